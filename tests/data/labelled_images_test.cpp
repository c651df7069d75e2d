#include "genmod/data/labelled_images.hpp"

#include <filesystem>

#include "genmod/io/gzip.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "tests/io/scratch.hpp"

namespace labelled_images_test {

using namespace genmod;
using scratch::error_of;

namespace {

io::SafetensorsWriter example() {
    io::SafetensorsWriter writer;
    writer.add("images_2", Tensor<std::uint8_t>::full({3, 2, 2, 3}, 9));
    writer.add("class", Tensor<std::uint8_t>::from({3}, {1, 0, 1}));
    writer.add("emoji", Tensor<std::int32_t>::from({3}, {4, 2, 0}));
    writer.add("city", Tensor<std::int32_t>::from({3}, {0, 0, 0}));
    writer.set_metadata("classes", R"(["cat", "dog", "unused"])");
    writer.set_metadata("cities", R"(["Rome"])");
    return writer;
}

data::Images load(const io::SafetensorsWriter& writer, const std::string& labels = "") {
    return data::load_labelled_images(io::Safetensors(writer.to_bytes(), "the file"), labels);
}

}  // namespace

TEST_CASE("pictures, labels and names are found") {
    const auto images = load(example(), "class");
    CHECK(images.pixels.shape() == Shape{3, 2, 2, 3});
    CHECK(images.pixels[0] == 9);
    CHECK(images.labels == std::vector<Index>{1, 0, 1});
    CHECK(images.class_names == std::vector<std::string>{"cat", "dog", "unused"});
    CHECK(load(example(), "emoji").class_names == std::vector<std::string>{"0", "1", "2", "3", "4"});
    CHECK(load(example(), "city").class_names == std::vector<std::string>{"Rome"});
    CHECK(load(example()).labels.empty());
    const scratch::Folder folder;
    example().save(folder / "a.safetensors");
    CHECK(data::load_labelled_images(folder / "a.safetensors", "class").size() == 3);
}

TEST_CASE("sets that do not fit together are refused") {
    CHECK(error_of([] { load(example(), "vendor"); }).says("no tensor 'vendor'"));
    auto two = example();
    two.add("images_4", Tensor<std::uint8_t>::full({3, 4, 4, 3}, 9));
    CHECK(error_of([&] { load(two); }).says("more than one"));
    io::SafetensorsWriter none;
    none.add("images", Tensor<float>::zeros({3, 4, 4, 3}));
    CHECK(error_of([&] { load(none); }).says("no byte tensor"));
    auto wrong = example();
    wrong.add("short", Tensor<std::uint8_t>::from({2}, {1, 0}));
    wrong.add("negative", Tensor<std::int32_t>::from({3}, {1, 0, -1}));
    wrong.add("large", Tensor<std::int32_t>::from({3}, {1, 0, 2'000'000'000}));
    wrong.add("kind", Tensor<std::uint8_t>::from({3}, {1, 0, 0}));
    wrong.add("sort", Tensor<std::uint8_t>::from({3}, {1, 0, 0}));
    wrong.set_metadata("kinds", R"(["one"])");
    wrong.set_metadata("sorts", R"(["one", 2])");
    CHECK(error_of([&] { load(wrong, "short"); }).says("expected shape [3], found [2]"));
    CHECK(error_of([&] { load(wrong, "negative"); }).says("does not fit"));
    CHECK(error_of([&] { load(wrong, "large"); }).says("over the limit"));
    CHECK(error_of([&] { load(wrong, "kind"); }).says("names 1 classes"));
    CHECK(error_of([&] { load(wrong, "sort"); }).code == ErrorCode::bad_file);
}

TEST_CASE("the tiles are read from their packed file") {
    const std::string path = std::string(GENMOD_TEST_DATA) + "/tiles/tiles_32.safetensors.gz";
    if (!std::filesystem::exists(path)) {
        WARN("no reference data: skipped");
        return;
    }
    const auto images = data::load_labelled_images(io::Safetensors(io::gunzip_file(path), path), "class");
    CHECK(images.pixels.shape() == Shape{3893, 32, 32, 3});
    CHECK(images.class_names.front() == "monster");
    CHECK(images.with_label({0}).size() == 679);
}

}  // namespace labelled_images_test
