// Any bytes as a picture file: only genmod::Error may leave. The first byte selects the format: PNG as it is, PNG whose
// checksums are put right first, IDX, gzip.
#include <cstddef>
#include <cstdint>

#include "genmod/core/error.hpp"
#include "genmod/data/idx.hpp"
#include "genmod/io/gzip.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/png_read.hpp"

using namespace genmod;

namespace {

template <class F>
void run(F&& call) {
    try {
        call();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::bad_file) __builtin_trap();
    }
}

constexpr io::PngLimits limits{.side = 2048, .pixels = 1 << 20, .text = 1 << 16};

void png(std::span<const std::uint8_t> bytes) {
    run([&] { io::decode_png_text(bytes, "fuzz", limits); });
    run([&] {
        const io::Image image = io::decode_png(bytes, "fuzz", limits);
        if (static_cast<Index>(image.pixels.size()) != image.height * image.width * image.channels) __builtin_trap();
        if (image.pixels.size() > 4096) return;
        const io::Image again = io::decode_png(io::encode_png(image), "again");
        if (again.pixels != image.pixels || again.channels != image.channels) __builtin_trap();
    });
}

// Writes the right checksum behind each chunk.
io::Bytes mended(std::span<const std::uint8_t> bytes) {
    io::Bytes png(bytes.begin(), bytes.end());
    for (std::size_t at = 8; at < png.size() && png.size() - at >= 12;) {
        const std::size_t length = io::detail::read_u32(png.data() + at);
        if (length > png.size() - at - 12) break;
        const std::uint32_t crc = io::crc32(std::span(png).subspan(at + 4, length + 4));
        for (std::size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
        at += 12 + length;
    }
    return png;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    switch (data[0] % 4) {
        case 0: png(bytes); break;
        case 1: png(mended(bytes)); break;
        case 2: run([&] { data::idx_images(data::parse_idx(bytes, "fuzz"), "fuzz"); }); break;
        default: run([&] { io::gunzip(bytes, "fuzz", 1 << 20); }); break;
    }
    return 0;
}
