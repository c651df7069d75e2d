// What stands at the head of a safetensors file: names, types, shapes and places of its tensors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/crc32.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

// One tensor of the file. Its bytes are begin..end-1 of the data, which follow the header.
struct SafetensorsEntry {
    std::string name;
    Dtype dtype = Dtype::f32;
    Shape shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

using Metadata = std::map<std::string, std::string, std::less<>>;

struct SafetensorsHeader {
    std::vector<SafetensorsEntry> entries;  // sorted by name
    Metadata metadata;
};

struct SafetensorsOptions {
    std::uint64_t max_header = std::uint64_t{1} << 24;  // bytes; never more than the format's 100,000,000
    bool allow_trailing_bytes = false;                  // after the last tensor
};

namespace detail {

// Reads the JSON text of a header. Throws Error(bad_file) with `name` unless every entry is well-formed, its byte range
// has the size of its shape and type, and the ranges cover the `data_bytes` bytes of data without holes or overlaps.
template <class Header>
Header parse_safetensors_header(std::string_view text, std::string_view name, std::uint64_t data_bytes,
                                const SafetensorsOptions& options);

// The key of our checksums in the metadata: 8 hexadecimal digits for the header, then 8 for each tensor, by name.
inline constexpr std::string_view checksum_key = "genmod_crc32";

inline std::string hex8(std::uint32_t number) {
    std::string digits(8, '0');
    for (std::size_t i = 8; i-- > 0; number >>= 4) digits[i] = "0123456789abcdef"[number & 15u];
    return digits;
}

// A checksum of all that a header says but byte ranges, so that it survives another order or spelling.
inline std::uint32_t header_checksum(const SafetensorsHeader& header, const std::vector<std::uint32_t>& tensors) {
    std::uint32_t crc = 0;
    for (const auto& [key, value] : header.metadata)
        if (key != checksum_key) crc = crc32(bytes_of(message(key.size(), ":", key, value.size(), ":", value)), crc);
    for (std::size_t i = 0; i < header.entries.size(); ++i) {
        const SafetensorsEntry& entry = header.entries[i];
        crc = crc32(bytes_of(message(entry.name.size(), ":", entry.name, entry.dtype, entry.shape, hex8(tensors[i]))),
                    crc);
    }
    return crc;
}

// "'a', 'b' and 3 more": up to five names of a list, in quotes.
inline std::string some_of(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 5); ++i)
        text += (i == 0 ? "" : ", ") + in_quotes(names[i]);
    if (names.size() > 5) text += " and " + std::to_string(names.size() - 5) + " more";
    return text;
}

}  // namespace detail

}  // namespace genmod::io

#ifndef GENMOD_COMPILED
#include "genmod/io/impl/safetensors_header.hpp"
#endif
