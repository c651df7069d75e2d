// Text in UTF-8, also where it comes from somebody who did not take care.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace genmod::io {

// The next code point of UTF-8 text, which it takes off; U+FFFD for a byte that begins no valid sequence.
inline char32_t next_code_point(std::string_view& text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xC2 ? 0 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
    char32_t code = length == 1 ? byte(0) : length == 2 ? byte(0) & 0x1Fu : length == 3 ? byte(0) & 0xFu : byte(0) & 7u;
    bool valid = length != 0 && byte(0) < 0xF5 && length <= text.size();
    for (std::size_t i = 1; valid && i < length; ++i) {
        valid = (byte(i) & 0xC0u) == 0x80;
        code = code << 6 | (byte(i) & 0x3Fu);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    valid =
        valid && !surrogate && code <= 0x10FFFF && !(length == 3 && code < 0x800) && !(length == 4 && code < 0x10000);
    text.remove_prefix(valid ? length : 1);
    return valid ? code : U'\uFFFD';
}

// Adds a code point to UTF-8 text.
inline void append_utf8(std::string& text, char32_t code) {
    const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            put(0xE0 | code >> 12);
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3F));
        }
        put(0x80 | (code >> 6 & 0x3F));
    }
    put(0x80 | (code & 0x3F));
}

// The text with a U+FFFD for each byte that belongs to no valid sequence.
inline std::string valid_utf8(std::string_view text) {
    std::string result;
    while (!text.empty()) append_utf8(result, next_code_point(text));
    return result;
}

namespace detail {

// The text as JSON writes it, in quotes; bytes that are not UTF-8 become U+FFFD.
inline std::string json_quoted(std::string_view text) {
    constexpr std::string_view letters = "\"\\bfnrt", meanings = "\"\\\b\f\n\r\t", hex = "0123456789abcdef";
    std::string result = "\"";
    for (const char c : valid_utf8(text)) {
        const auto byte = static_cast<unsigned char>(c);
        if (const auto k = meanings.find(c); k != std::string_view::npos)
            (result += '\\') += letters[k];
        else if (byte < 0x20)
            ((result += "\\u00") += hex[byte / 16]) += hex[byte % 16];
        else
            result += c;
    }
    return result += '"';
}

}  // namespace detail

}  // namespace genmod::io
