// The checksum of PNG, gzip and our checkpoints.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace genmod::io {

namespace detail {

// Table k advances the remainder by a byte that stands k places further on, so that eight bytes go in one step.
inline std::array<std::array<std::uint32_t, 256>, 8> crc32_tables() {
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1u) != 0 ? 0xEDB88320u : 0u);
        tables[0][byte] = remainder;
    }
    for (std::size_t k = 1; k < 8; ++k)
        for (std::size_t byte = 0; byte < 256; ++byte)
            tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xffu];
    return tables;
}

}  // namespace detail

// CRC-32 of the bytes (IEEE 802.3, as in zlib). To go on from a first part, pass its checksum as `before`.
inline std::uint32_t crc32(std::span<const std::uint8_t> bytes, std::uint32_t before = 0) {
    static const auto tables = detail::crc32_tables();  // at run time: compilers are slow at it
    std::uint32_t crc = ~before;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        crc ^= static_cast<std::uint32_t>(bytes[i]) | static_cast<std::uint32_t>(bytes[i + 1]) << 8 |
               static_cast<std::uint32_t>(bytes[i + 2]) << 16 | static_cast<std::uint32_t>(bytes[i + 3]) << 24;
        crc = tables[7][crc & 0xffu] ^ tables[6][(crc >> 8) & 0xffu] ^ tables[5][(crc >> 16) & 0xffu] ^
              tables[4][crc >> 24] ^ tables[3][bytes[i + 4]] ^ tables[2][bytes[i + 5]] ^ tables[1][bytes[i + 6]] ^
              tables[0][bytes[i + 7]];
    }
    for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ tables[0][(crc ^ bytes[i]) & 0xffu];
    return ~crc;
}

}  // namespace genmod::io
