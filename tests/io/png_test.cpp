#include "genmod/io/png.hpp"

#include <array>

#include "genmod/core/rng.hpp"
#include "genmod/io/gzip.hpp"
#include "genmod/io/png_read.hpp"
#include "tests/io/scratch.hpp"

namespace png_test {

using namespace genmod;
using scratch::error_of;

namespace {

io::Image noise(Index height, Index width, Index channels, bool smooth = false) {
    io::Image image{height, width, channels, io::Bytes(static_cast<std::size_t>(height * width * channels))};
    Rng rng(7);
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
        image.pixels[i] = static_cast<std::uint8_t>(smooth ? i / 7 : rng.next());
    return image;
}

// Puts a chunk behind the header.
io::Bytes with_chunk(io::Bytes png, const std::string& type, const std::string& data) {
    io::Bytes chunk;
    io::detail::append_chunk(chunk, type, io::detail::bytes_of(data));
    png.insert(png.begin() + 33, chunk.begin(), chunk.end());
    return png;
}

}  // namespace

TEST_CASE("what is written, libpng reads back, in every format and odd sizes") {
    for (Index channels = 1; channels <= 4; ++channels)
        for (const auto& [height, width] : {std::array<Index, 2>{1, 1}, {1, 40}, {33, 1}, {17, 23}, {64, 64}})
            for (const bool smooth : {false, true}) {
                const io::Image image = noise(height, width, channels, smooth);
                const io::Image back = io::decode_png(io::encode_png(image), "memory");
                CHECK(back.height == height);
                CHECK(back.width == width);
                CHECK(back.channels == channels);
                CHECK(back.pixels == image.pixels);
            }
}

TEST_CASE("the same picture gives the same bytes") {
    const io::Image image = noise(20, 30, 3);
    CHECK(io::encode_png(image) == io::encode_png(image));
}

TEST_CASE("a tensor is written as a sheet") {
    const scratch::Folder folder;
    const auto images = Rng(1).uniforms<float>({6, 8, 8, 3}, -1, 1);
    io::write_png(folder / "sheet.png", images, 3, {{"genmod", "{}"}});
    const io::Image back = io::read_png(folder / "sheet.png");
    CHECK(back.height == 18);
    CHECK(back.width == 28);
    CHECK(back.pixels == io::grid(images, 3).pixels);
    CHECK(io::read_png_text(folder / "sheet.png") == io::PngText{{"genmod", "{}"}});
    CHECK(folder.count() == 1);
}

TEST_CASE("texts stand behind the header: Latin-1 as tEXt, others as iTXt") {
    const io::PngText texts{{"parameters", "a cat\nSteps: 20, Seed: 1"},
                            {"caf", "caf\xc3\xa9"},
                            {"genmod", "{\"prompt\":\"\xe7\x8c\xab \xf0\x9f\x98\x80\"}"},
                            {"empty", ""}};
    const io::Bytes png = io::encode_png(noise(2, 2, 1), texts);
    const auto chunks = io::detail::png_chunks(png, "memory");
    REQUIRE(chunks.size() == 7);
    const std::array<const char*, 7> types{"IHDR", "tEXt", "tEXt", "iTXt", "tEXt", "IDAT", "IEND"};
    for (std::size_t i = 0; i < 7; ++i) CHECK(chunks[i].type == types[i]);
    CHECK(std::string(chunks[2].data.begin(), chunks[2].data.end()) == std::string("caf\0caf\xe9", 8));
    CHECK(io::decode_png_text(png, "memory") == texts);
    CHECK(io::decode_png(png, "memory").pixels == noise(2, 2, 1).pixels);
}

TEST_CASE("texts that are not UTF-8 or hold NUL are mended") {
    const io::Bytes png = io::encode_png(noise(2, 2, 1), {{"k", std::string("a\xff"
                                                                            "b\0c\xed\xa0\x80",
                                                                            8)}});
    const std::string replaced = "\xef\xbf\xbd";
    const auto texts = io::decode_png_text(png, "memory");
    REQUIRE(texts.size() == 1);
    CHECK(texts[0].second == "a" + replaced + "b" + replaced + "c" + replaced + replaced + replaced);
}

TEST_CASE("keywords and pictures outside the rules are refused") {
    const auto keyword = [](const std::string& word) {
        return error_of([&] { io::encode_png(noise(1, 1, 1), {{word, "x"}}); }).code == ErrorCode::argument;
    };
    for (const std::string& word : {std::string(), std::string(80, 'k'), std::string(" k"), std::string("k "),
                                    std::string("k\n"), std::string("caf\xc3\xa9")})
        CHECK(keyword(word));
    CHECK_FALSE(keyword(std::string(79, 'k')));
    const auto picture = [](io::Image image) {
        return error_of([&] { io::encode_png(image); }).code == ErrorCode::argument;
    };
    CHECK(picture({}));
    CHECK(picture({2, 2, 1, io::Bytes(3)}));
    CHECK(picture({2, 2, 5, io::Bytes(20)}));
    CHECK(picture({-2, 2, 1, io::Bytes(4)}));
    CHECK(picture({1, 16385, 1, io::Bytes(16385)}));
}

TEST_CASE("every cut and every flipped bit of a PNG is refused") {
    const io::Bytes png = io::encode_png(noise(4, 5, 3), {{"k", "text"}});
    for (std::size_t size = 0; size < png.size(); ++size) {
        const io::Bytes cut(png.begin(), png.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(error_of([&] { io::decode_png(cut, "cut"); }).code == ErrorCode::bad_file);
        CHECK(error_of([&] { io::decode_png_text(cut, "cut"); }).code == ErrorCode::bad_file);
    }
    std::size_t silent = 0;
    for (std::size_t bit = 0; bit < png.size() * 8; ++bit) {
        io::Bytes flipped = png;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << bit % 8));
        if (error_of([&] { io::decode_png(flipped, "flipped"); }).code != ErrorCode::bad_file) ++silent;
    }
    CHECK(silent == 0);
}

TEST_CASE("pictures over the limits are refused before memory is taken") {
    io::Bytes png = io::encode_png(noise(4, 5, 1));
    CHECK(error_of([&] { io::decode_png(png, "p", {.side = 4}); }).says("limits are 4 a side"));
    CHECK(error_of([&] { io::decode_png(png, "p", {.pixels = 19}); }).says("19 in all"));
    const auto with_size = [&](std::uint32_t width, std::uint32_t height) {
        io::Bytes header;
        io::detail::append_u32(header, width);
        io::detail::append_u32(header, height);
        header.insert(header.end(), {8, 6, 0, 0, 0});
        io::Bytes out(io::detail::png_signature, io::detail::png_signature + 8);
        io::detail::append_chunk(out, "IHDR", header);
        io::detail::append_chunk(out, "IDAT", io::Bytes(100));
        io::detail::append_chunk(out, "IEND", {});
        return error_of([&] { io::decode_png(out, "p"); });
    };
    CHECK(with_size(0, 1).code == ErrorCode::bad_file);
    CHECK(with_size(16385, 1).says("16385 x 1"));
    CHECK(with_size(0xffffffff, 0xffffffff).code == ErrorCode::bad_file);
    CHECK(with_size(16384, 16384).says("cannot hold"));
}

TEST_CASE("texts of others: packed ones, malformed ones, too many") {
    const io::Bytes png = io::encode_png(noise(2, 2, 1));
    const auto texts = [](const io::Bytes& bytes) { return io::decode_png_text(bytes, "p"); };
    const std::string packed("\x78\x9c\x4b\x4a\x4e\x01\x00\x02\x4a\x01\x28", 11);  // zlib of "bcd" but for its checksum
    CHECK(error_of([&] { texts(with_chunk(png, "zTXt", std::string("a\0\0", 3) + packed)); }).says("damaged"));
    CHECK(texts(with_chunk(png, "tEXt", "no nul")).empty());
    CHECK(texts(with_chunk(png, "iTXt", std::string("a\0\0", 3))).empty());
    CHECK(texts(with_chunk(png, "iTXt", std::string("a\0\2\0\0\0x", 7))).empty());
    CHECK(texts(with_chunk(png, "iTXt", std::string("a\0\0\0en\0b\0x", 10))) == io::PngText{{"a", "x"}});
    CHECK(texts(with_chunk(png, "tEXt", std::string("a\0b\0c", 5)))[0].second == std::string("b\0c", 3));
    const std::string large = std::string("a\0", 2) + std::string(1 << 20, 'x');
    CHECK(error_of([&] { texts(with_chunk(png, "tEXt", large)); }).says("bytes"));
    io::Bytes many = png;
    for (int i = 0; i < 1001; ++i) many = with_chunk(std::move(many), "tEXt", std::string("a\0b", 3));
    CHECK(error_of([&] { texts(many); }).says("1000"));
    CHECK(io::decode_png(with_chunk(png, "iCCP", "not a profile"), "p").pixels == noise(2, 2, 1).pixels);
    CHECK(error_of([&] { io::decode_png(with_chunk(png, "ABCD", "unknown critical"), "p"); }).says("damaged PNG"));
}

TEST_CASE("other kinds of PNG are reduced to 8 bits: of Pillow, from the fuzzers' corpus") {
    const auto of = [](const std::string& name) {
        const io::Bytes bytes = io::read_file(GENMOD_SOURCE_DIR "/tests/fuzz/corpus/image/" + name);
        return io::decode_png(std::span(bytes).subspan(1), name);
    };
    CHECK(of("palette0").channels == 4);  // it has a clear colour
    CHECK(of("bit0").channels == 1);
    CHECK(of("bit0").pixels[15] == 255);
    CHECK(of("grey160").pixels[1] == 16);  // 4095 of 65535
    CHECK(of("grey160").pixels[15] == 239);
    CHECK(of("rgba0").channels == 4);
    CHECK(of("rgba0").pixels[1] == 5);
    CHECK(of("la0").channels == 2);
    CHECK(of("interlaced1").pixels.size() == 25);
}

}  // namespace png_test
