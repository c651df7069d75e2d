#include "genmod/io/read_file.hpp"

#include <sys/stat.h>

#include <filesystem>

#include "tests/io/scratch.hpp"

namespace read_file_test {

using namespace genmod;
using scratch::error_of;

TEST_CASE("a regular file is read whole or in pieces") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "hello");
    CHECK(io::read_text_file(folder / "a") == "hello");
    const io::ReadFile file(folder / "a");
    CHECK(file.size() == 5);
    io::Bytes middle(3);
    file.read_at(1, middle);
    CHECK(std::string(middle.begin(), middle.end()) == "ell");
    scratch::put(folder / "empty", "");
    CHECK(io::read_file(folder / "empty").empty());
}

TEST_CASE("links to files are followed") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "hello");
    std::filesystem::create_symlink("a", folder / "link");
    CHECK(io::read_text_file(folder / "link") == "hello");
}

TEST_CASE("what is no regular file is refused without hanging") {
    const scratch::Folder folder;
    REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
    std::filesystem::create_symlink("nowhere", folder / "broken");
    const auto of = [](const std::string& path) { return error_of([&] { io::read_file(path); }); };
    CHECK(of(folder / "fifo").code == ErrorCode::bad_file);
    CHECK(of(folder / "fifo").says("named pipe"));
    CHECK(of(folder.path().string()).code == ErrorCode::bad_file);
    CHECK(of(folder.path().string()).says("a folder"));
    CHECK(of("/dev/zero").code == ErrorCode::bad_file);
    CHECK(of("/dev/tty").what != "");
    CHECK(of(folder / "none").code == ErrorCode::io);
    CHECK(of(folder / "none").says(folder / "none"));
    CHECK(of(folder / "none").says("No such file"));
    CHECK(of(folder / "broken").code == ErrorCode::io);
    CHECK(of("").code == ErrorCode::io);
    CHECK(of(std::string("/etc/passwd\0.png", 16)).code == ErrorCode::io);
}

TEST_CASE("a limit bounds what is read") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "hello");
    CHECK(io::read_file(folder / "a", 5).size() == 5);
    CHECK(error_of([&] { io::read_file(folder / "a", 4); }).code == ErrorCode::bad_file);
}

TEST_CASE("a file that shrinks while it is read gives an error") {
    const scratch::Folder folder;
    scratch::put(folder / "a", "hello");
    const io::ReadFile file(folder / "a");
    std::filesystem::resize_file(folder / "a", 2);
    io::Bytes all(5);
    const auto thrown = error_of([&] { file.read_at(0, all); });
    CHECK(thrown.code == ErrorCode::io);
    CHECK(thrown.says("shrink"));
}

}  // namespace read_file_test
