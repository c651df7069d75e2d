// The chunks a PNG file is made of, and texts in them (PNG specification, third edition, sections 5 and 11.3.3).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/crc32.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/utf8.hpp"

namespace genmod::io {

// Keyword and text (UTF-8), in the order of the file. Keywords in use: "parameters" (the settings as web UIs write
// them), "genmod" (the same as JSON).
using PngText = std::vector<std::pair<std::string, std::string>>;

namespace detail {

inline constexpr std::uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

inline void append_u32(Bytes& out, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
}

inline void append_u16(Bytes& out, std::uint16_t number) {
    out.push_back(static_cast<std::uint8_t>(number >> 8));
    out.push_back(static_cast<std::uint8_t>(number));
}

inline std::uint32_t read_u32(const std::uint8_t* bytes) {
    return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
           static_cast<std::uint32_t>(bytes[2]) << 8 | static_cast<std::uint32_t>(bytes[3]);
}

// Length, type (four letters), data, checksum.
inline void append_chunk(Bytes& out, std::string_view type, std::span<const std::uint8_t> data) {
    check(data.size() < 0x80000000u, "png: a chunk of ", data.size(), " bytes is too large");
    append_u32(out, static_cast<std::uint32_t>(data.size()));
    const std::size_t start = out.size();
    out.insert(out.end(), type.begin(), type.end());
    out.insert(out.end(), data.begin(), data.end());
    append_u32(out, crc32(std::span(out).subspan(start)));
}

struct PngChunk {
    std::string_view type;
    std::span<const std::uint8_t> data;
};

// The chunks of a PNG up to IEND; `name` stands for it in messages. Throws Error(bad_file) unless each is whole and
// matches its checksum. Bytes behind IEND are ignored.
inline std::vector<PngChunk> png_chunks(std::span<const std::uint8_t> png, std::string_view name) {
    if (png.size() < 8 || !std::equal(png.begin(), png.begin() + 8, png_signature))
        fail(ErrorCode::bad_file, name, ": not a PNG file");
    std::vector<PngChunk> chunks;
    for (std::size_t at = 8; png.size() - at >= 12;) {
        const std::size_t length = read_u32(png.data() + at);
        if (length > png.size() - at - 12) break;
        const auto typed = png.subspan(at + 4, length + 4);
        if (crc32(typed) != read_u32(png.data() + at + 8 + length))
            fail(ErrorCode::bad_file, name, ": damaged PNG: the chunk at byte ", at, " does not match its checksum");
        chunks.push_back({{reinterpret_cast<const char*>(typed.data()), 4}, typed.subspan(4)});
        if (chunks.back().type == "IEND") return chunks;
        at += 12 + length;
    }
    fail(ErrorCode::bad_file, name, ": PNG cut off: no IEND chunk in ", png.size(), " bytes");
}

// A text chunk: tEXt where Latin-1 can hold the text, else iTXt. What is not UTF-8, and NUL, becomes U+FFFD.
inline void append_text_chunk(Bytes& out, const std::string& keyword, const std::string& text) {
    bool plain = !keyword.empty() && keyword.size() <= 79 && keyword.front() != ' ' && keyword.back() != ' ';
    for (const char c : keyword) plain = plain && c >= 0x20 && c < 0x7f;
    check(plain, "png: a text's keyword is 1 to 79 printable ASCII characters");
    std::string latin, utf8;
    bool fits = true;
    for (std::string_view rest = text; !rest.empty();) {
        char32_t code = next_code_point(rest);
        if (code == 0) code = U'\uFFFD';
        append_utf8(utf8, code);
        latin += static_cast<char>(static_cast<unsigned char>(code));
        fits = fits && code < 0x100;
    }
    const std::string international("\0\0\0\0\0", 5);  // end of keyword; not compressed; no language, no translation
    const std::string data = fits ? keyword + '\0' + latin : keyword + international + utf8;
    append_chunk(out, fits ? "tEXt" : "iTXt", bytes_of(data));
}

}  // namespace detail

}  // namespace genmod::io
