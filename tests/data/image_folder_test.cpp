#include "genmod/data/image_folder.hpp"

#include <filesystem>

#include "genmod/io/png.hpp"
#include "tests/io/scratch.hpp"

namespace image_folder_test {

using namespace genmod;
using scratch::error_of;

namespace {

void put(const std::string& path, std::uint8_t value, Index side = 2, Index channels = 3) {
    io::write_png(path, {side, side, channels, io::Bytes(static_cast<std::size_t>(side * side * channels), value)});
}

}  // namespace

TEST_CASE("the pictures of a folder, by name") {
    const scratch::Folder folder;
    put(folder / "b.png", 2);
    put(folder / "a.PNG", 1);
    put(folder / ".hidden.png", 9);
    scratch::put(folder / "notes.txt", "x");
    const auto images = data::load_image_folder(folder.path().string());
    CHECK(images.pixels.shape() == Shape{2, 2, 2, 3});
    CHECK(images.pixels[0] == 1);
    CHECK(images.pixels[12] == 2);
    CHECK(images.labels.empty());
    CHECK(images.class_names.empty());
}

TEST_CASE("subfolders are classes") {
    const scratch::Folder folder;
    for (const char* name : {"dog", "cat", "empty"}) std::filesystem::create_directory(folder / name);
    put(folder / "dog/1.png", 1);
    put(folder / "cat/1.png", 2);
    put(folder / "cat/2.png", 3);
    const auto images = data::load_image_folder(folder.path().string());
    CHECK(images.class_names == std::vector<std::string>{"cat", "dog"});
    CHECK(images.labels == std::vector<Index>{0, 0, 1});
    CHECK(images.pixels[24] == 1);
}

TEST_CASE("what does not fit is refused by name") {
    const scratch::Folder folder;
    const auto load = [&] { return error_of([&] { data::load_image_folder(folder.path().string()); }); };
    CHECK(load().says("no .png files"));
    put(folder / "a.png", 1);
    put(folder / "b.png", 1, 3);
    CHECK(load().says("b.png: a picture of [3, 3, 3], the first one of the folder is [2, 2, 3]"));
    put(folder / "b.png", 1, 2, 1);
    CHECK(load().code == ErrorCode::bad_file);
    scratch::put(folder / "b.png", "no picture");
    CHECK(load().says("b.png: not a PNG file"));
    CHECK(error_of([&] { data::load_image_folder(folder / "none"); }).code == ErrorCode::io);
}

}  // namespace image_folder_test
