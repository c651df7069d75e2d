// Reading PNG files. Needs libpng, so it is not in genmod.hpp: include it by name and link genmod::png.
#pragma once

#include <png.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/gzip.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png_chunks.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

struct PngLimits {
    Index side = 16384;                       // pixels
    Index pixels = Index{1} << 28;            // in all
    std::size_t text = std::size_t{1} << 20;  // bytes of all texts, unpacked
};

namespace detail {

// Width, height and colour type of a PNG, within the limits; also refuses what cannot unpack to that many pixels.
inline void check_png_size(const std::vector<PngChunk>& chunks, std::string_view name, const PngLimits& limits) {
    if (chunks[0].type != "IHDR" || chunks[0].data.size() != 13)
        fail(ErrorCode::bad_file, name, ": damaged PNG: no IHDR chunk at its start");
    const Index width = read_u32(chunks[0].data.data()), height = read_u32(chunks[0].data.data() + 4);
    if (width < 1 || height < 1 || width > limits.side || height > limits.side || width > limits.pixels / height)
        fail(ErrorCode::bad_file, name, ": a picture of ", width, " x ", height, " pixels; the limits are ",
             limits.side, " a side and ", limits.pixels, " in all");
    std::size_t packed = 0;
    for (const PngChunk& chunk : chunks)
        if (chunk.type == "IDAT") packed += chunk.data.size();
    // Deflate packs at most 1032 bytes into one; a pixel takes at least one bit.
    if (static_cast<std::size_t>(width) * static_cast<std::size_t>(height) / 8 / 1032 > packed)
        fail(ErrorCode::bad_file, name, ": damaged PNG: ", packed, " bytes cannot hold ", width, " x ", height,
             " pixels");
}

// Only what makes the pixels: libpng never sees profiles, texts and the like, nor corrects colours by them.
inline Bytes bare_png(const std::vector<PngChunk>& chunks) {
    Bytes bare(png_signature, png_signature + 8);
    for (const PngChunk& chunk : chunks)
        if (chunk.type == "tRNS" || (chunk.type[0] & 0x20) == 0) append_chunk(bare, chunk.type, chunk.data);
    return bare;
}

// Keyword and text of a tEXt, zTXt or iTXt chunk as UTF-8; nothing when it is malformed. Throws Error(bad_file) when it
// is packed and damaged, or unpacks to over `limit` bytes.
inline std::optional<std::pair<std::string, std::string>> text_of(const PngChunk& chunk, const std::string& name,
                                                                  std::size_t limit) {
    std::string_view rest(reinterpret_cast<const char*>(chunk.data.data()), chunk.data.size());
    const auto until_nul = [&]() -> std::optional<std::string_view> {
        const auto nul = rest.find('\0');
        if (nul == std::string_view::npos) return std::nullopt;
        const std::string_view part = rest.substr(0, nul);
        rest.remove_prefix(nul + 1);
        return part;
    };
    const auto keyword = until_nul();
    if (!keyword || keyword->empty() || keyword->size() > 79) return std::nullopt;
    bool packed = chunk.type == "zTXt";
    if (packed) {
        if (rest.empty() || rest[0] != 0) return std::nullopt;
        rest.remove_prefix(1);
    } else if (chunk.type == "iTXt") {
        if (rest.size() < 2 || rest[0] < 0 || rest[0] > 1 || rest[1] != 0) return std::nullopt;
        packed = rest[0] == 1;
        rest.remove_prefix(2);
        if (!until_nul() || !until_nul()) return std::nullopt;  // language, translated keyword
    }
    Bytes unpacked;
    if (packed) {
        unpacked = unpack(bytes_of(rest), name, limit, Packing::zlib);
        rest = {reinterpret_cast<const char*>(unpacked.data()), unpacked.size()};
    }
    std::string text;
    for (std::string_view left = rest; !left.empty();) {
        if (chunk.type == "iTXt") {
            append_utf8(text, next_code_point(left));
        } else {
            append_utf8(text, static_cast<unsigned char>(left[0]));
            left.remove_prefix(1);
        }
    }
    return std::pair(std::string(*keyword), std::move(text));
}

}  // namespace detail

// The pixels of a PNG with 8 bits a channel: grey, grey + alpha, RGB or RGBA; palettes are looked up, fewer bits
// widened, 16 bits reduced, of an animation the first picture. `name` stands for it in messages. Throws
// Error(bad_file).
inline Image decode_png(std::span<const std::uint8_t> png, const std::string& name, const PngLimits& limits = {}) {
    const std::vector<detail::PngChunk> chunks = detail::png_chunks(png, name);
    detail::check_png_size(chunks, name, limits);
    const Bytes bare = detail::bare_png(chunks);
    png_image reader{};
    reader.version = PNG_IMAGE_VERSION;
    struct Closer {
        png_image* reader;
        ~Closer() { png_image_free(reader); }
    } const closer{&reader};
    const auto refuse = [&] {
        fail(ErrorCode::bad_file, name, ": damaged PNG: ", static_cast<const char*>(reader.message));
    };
    if (png_image_begin_read_from_memory(&reader, bare.data(), bare.size()) == 0) refuse();
    reader.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    reader.format &= PNG_FORMAT_FLAG_ALPHA | PNG_FORMAT_FLAG_COLOR;
    Image image{static_cast<Index>(reader.height),
                static_cast<Index>(reader.width),
                static_cast<Index>(PNG_IMAGE_PIXEL_CHANNELS(reader.format)),
                {}};
    image.pixels.resize(static_cast<std::size_t>(image.height * image.width * image.channels));
    if (png_image_finish_read(&reader, nullptr, image.pixels.data(), 0, nullptr) == 0) refuse();
    return image;
}

// Reads a picture file. Throws also Error(io).
inline Image read_png(const std::string& path, const PngLimits& limits = {}) {
    return decode_png(read_file(path, std::uint64_t{1} << 30), path, limits);
}

// The texts of a PNG. Malformed ones are left out. Throws Error(bad_file) when it is damaged, or has more than
// limits.text bytes of them.
inline PngText decode_png_text(std::span<const std::uint8_t> png, const std::string& name,
                               const PngLimits& limits = {}) {
    PngText texts;
    std::size_t total = 0;
    for (const detail::PngChunk& chunk : detail::png_chunks(png, name)) {
        if (chunk.type != "tEXt" && chunk.type != "zTXt" && chunk.type != "iTXt") continue;
        const auto text = detail::text_of(chunk, name, limits.text);
        total += std::max<std::size_t>(chunk.data.size(), text ? text->second.size() : 0);
        if (total > limits.text || texts.size() == 1000)
            fail(ErrorCode::bad_file, name, ": over ", limits.text, " bytes, or 1000, of texts");
        if (text) texts.push_back(*text);
    }
    return texts;
}

inline PngText read_png_text(const std::string& path, const PngLimits& limits = {}) {
    return decode_png_text(read_file(path, std::uint64_t{1} << 30), path, limits);
}

}  // namespace genmod::io
