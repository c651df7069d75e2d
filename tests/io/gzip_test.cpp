#include "genmod/io/gzip.hpp"

#include "tests/io/scratch.hpp"

namespace gzip_test {

using namespace genmod;
using scratch::error_of;

namespace {

// gzip data of `text` by zlib itself.
io::Bytes packed(const std::string& text) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    io::Bytes out(text.size() + 100);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string unpacked(const io::Bytes& bytes) {
    const io::Bytes out = io::gunzip(bytes);
    return {out.begin(), out.end()};
}

}  // namespace

TEST_CASE("gzip data are unpacked, small and large, one member or more") {
    CHECK(unpacked(packed("hello")) == "hello");
    CHECK(unpacked(packed("")) == "");
    std::string large;
    for (int i = 0; i < 100000; ++i) large += std::to_string(i);
    CHECK(unpacked(packed(large)) == large);
    io::Bytes two = packed("one ");
    const io::Bytes second = packed("two");
    two.insert(two.end(), second.begin(), second.end());
    CHECK(unpacked(two) == "one two");
}

TEST_CASE("every cut and every flipped bit of the content is refused") {
    const io::Bytes good = packed("hello, hello, hello");
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK(error_of([&] { io::gunzip(std::span(good).first(size)); }).code == ErrorCode::bad_file);
    for (std::size_t bit = 8 * 10; bit < 8 * good.size(); ++bit) {
        io::Bytes flipped = good;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << bit % 8));
        CHECK(error_of([&] { io::gunzip(flipped); }).code == ErrorCode::bad_file);
    }
    io::Bytes trailing = good;
    trailing.push_back('x');
    CHECK(error_of([&] { io::gunzip(trailing); }).code == ErrorCode::bad_file);
}

TEST_CASE("a bomb stops at the limit") {
    const io::Bytes bomb = packed(std::string(10'000'000, '\0'));
    CHECK(bomb.size() < 20000);
    CHECK(error_of([&] { io::gunzip(bomb, "bomb", 1000); }).says("bomb: unpacks to over 1000 bytes"));
    CHECK(io::gunzip(bomb, "bomb", 10'000'000).size() == 10'000'000);
    CHECK(error_of([&] { io::gunzip(bomb, "bomb", 9'999'999); }).code == ErrorCode::bad_file);
}

TEST_CASE("a file is unpacked, errors name it") {
    const scratch::Folder folder;
    const io::Bytes good = packed("hello");
    scratch::put(folder / "a.gz", {reinterpret_cast<const char*>(good.data()), good.size()});
    CHECK(io::gunzip_file(folder / "a.gz").size() == 5);
    scratch::put(folder / "b.gz", "plain text");
    CHECK(error_of([&] { io::gunzip_file(folder / "b.gz"); }).says(folder / "b.gz"));
}

}  // namespace gzip_test
