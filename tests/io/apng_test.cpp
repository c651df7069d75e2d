#include "genmod/io/apng.hpp"

#include "genmod/core/rng.hpp"
#include "genmod/io/png_read.hpp"
#include "tests/io/scratch.hpp"

namespace apng_test {

using namespace genmod;
using scratch::error_of;

namespace {

std::vector<io::Image> frames(Index count) {
    std::vector<io::Image> result;
    const auto images = Rng(3).uniforms<float>({count, 6, 5, 3}, -1, 1);
    for (Index i = 0; i < count; ++i) result.push_back(io::grid(images.slice(i, i + 1)));
    return result;
}

std::uint32_t u32(const io::detail::PngChunk& chunk, std::size_t at) { return io::detail::read_u32(&chunk.data[at]); }
int u16(const io::detail::PngChunk& chunk, std::size_t at) { return chunk.data[at] << 8 | chunk.data[at + 1]; }

}  // namespace

TEST_CASE("the chunks are those of the specification, in order, with sound checksums") {
    const auto pictures = frames(3);
    const io::Bytes apng = io::encode_apng(pictures, {.frame_ms = 40, .last_frame_ms = 900, .plays = 2}, {{"k", "v"}});
    const auto chunks = io::detail::png_chunks(apng, "apng");  // compares the checksums
    std::string types;
    for (const auto& chunk : chunks) types += std::string(chunk.type) + " ";
    REQUIRE(types == "IHDR tEXt acTL fcTL IDAT fcTL fdAT fcTL fdAT IEND ");
    CHECK(u32(chunks[2], 0) == 3);
    CHECK(u32(chunks[2], 4) == 2);
    std::uint32_t sequence = 0;
    for (std::size_t frame = 0; frame < 3; ++frame) {
        const auto& control = chunks[3 + 2 * frame];
        const auto& data = chunks[4 + 2 * frame];
        REQUIRE(control.data.size() == 26);
        CHECK(u32(control, 0) == sequence++);
        CHECK(u32(control, 4) == 5);
        CHECK(u32(control, 8) == 6);
        CHECK(u32(control, 12) == 0);
        CHECK(u32(control, 16) == 0);
        CHECK(u16(control, 20) == (frame == 2 ? 900 : 40));
        CHECK(u16(control, 22) == 1000);
        CHECK(control.data[24] == 0);
        CHECK(control.data[25] == 0);
        if (frame > 0) CHECK(u32(data, 0) == sequence++);
        // The frame alone, put together again as a picture.
        io::Bytes alone(io::detail::png_signature, io::detail::png_signature + 8);
        io::detail::append_chunk(alone, "IHDR", chunks[0].data);
        io::detail::append_chunk(alone, "IDAT", data.data.subspan(frame > 0 ? 4 : 0));
        io::detail::append_chunk(alone, "IEND", {});
        CHECK(io::decode_png(alone, "frame").pixels == pictures[frame].pixels);
    }
    CHECK(io::decode_png(apng, "apng").pixels == pictures[0].pixels);
}

TEST_CASE("it is written to a file, and one frame is enough") {
    const scratch::Folder folder;
    io::write_apng(folder / "a.apng", frames(1));
    CHECK(io::read_png(folder / "a.apng").pixels == frames(1)[0].pixels);
}

TEST_CASE("frames of different sizes, none, and times out of range are refused") {
    CHECK(error_of([] { io::encode_apng({}); }).code == ErrorCode::argument);
    auto two = frames(2);
    two[1] = io::grid(Tensor<float>::zeros({1, 6, 6, 3}));
    CHECK(error_of([&] { io::encode_apng(two); }).says("frame 1 is 6 x 6 x 3"));
    CHECK(error_of([] { io::encode_apng(frames(1), {.frame_ms = -1}); }).code == ErrorCode::argument);
    CHECK(error_of([] { io::encode_apng(frames(1), {.last_frame_ms = 65536}); }).code == ErrorCode::argument);
    CHECK(error_of([] { io::encode_apng(frames(1), {.plays = -1}); }).code == ErrorCode::argument);
}

}  // namespace apng_test
