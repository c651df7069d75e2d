// Normals by the dozen: sixteen blocks of a stream at a time, in plain loops that compilers turn into vectors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "genmod/core/rng.hpp"

namespace genmod {

// Sixty-four numbers, four for each of sixteen blocks.
struct WideNormals {
    float x[4][16];
};

namespace detail {

inline constexpr std::size_t wide = 16;

// The words of sixteen blocks: word 0 of each, word 1 of each ...
struct WideWords {
    std::uint32_t a[wide], b[wide], c[wide], d[wide];
};

// One round of philox() for each block.
inline void philox_round(const WideWords& from, WideWords& to, std::uint32_t low, std::uint32_t high) {
    for (std::size_t k = 0; k < wide; ++k) {
        const std::uint64_t p = std::uint64_t{0xD2511F53u} * from.a[k];
        const std::uint64_t q = std::uint64_t{0xCD9E8D57u} * from.c[k];
        to.a[k] = static_cast<std::uint32_t>(q >> 32) ^ from.b[k] ^ low;
        to.b[k] = static_cast<std::uint32_t>(q);
        to.c[k] = static_cast<std::uint32_t>(p >> 32) ^ from.d[k] ^ high;
        to.d[k] = static_cast<std::uint32_t>(p);
    }
}

// Blocks 16 * index .. 16 * index + 15 of a stream.
inline WideWords wide_blocks(const Stream& stream, std::uint32_t index) {
    const auto start = block_counter(stream, 16 * index);
    WideWords even, odd;
    for (std::size_t k = 0; k < wide; ++k) {
        even.a[k] = start[0] + static_cast<std::uint32_t>(k);
        even.b[k] = start[1];
        even.c[k] = start[2];
        even.d[k] = start[3];
    }
    auto low = static_cast<std::uint32_t>(stream.seed);
    auto high = static_cast<std::uint32_t>(stream.seed >> 32);
    for (int round = 0; round < 10; round += 2) {
        philox_round(even, odd, low, high);
        philox_round(odd, even, low + 0x9E3779B9u, high + 0xBB67AE85u);
        low += 2 * 0x9E3779B9u;
        high += 2 * 0xBB67AE85u;
    }
    return even;
}

// ln(u) for 0 < u <= 1, to some 1e-7 of its size.
inline float quick_log(float u) {
    const auto bits = std::bit_cast<std::int32_t>(u);
    const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;  // of u / sqrt(1/2)
    const float f = std::bit_cast<float>(bits - exponent * (1 << 23)) - 1.0f;
    float sum = 7.0376836292e-2f;
    sum = sum * f - 1.1514610310e-1f;
    sum = sum * f + 1.1676998740e-1f;
    sum = sum * f - 1.2420140846e-1f;
    sum = sum * f + 1.4249322787e-1f;
    sum = sum * f - 1.6668057665e-1f;
    sum = sum * f + 2.0000714765e-1f;
    sum = sum * f - 2.4999993993e-1f;
    sum = sum * f + 3.3333331174e-1f;
    const float square = f * f;
    return f + (sum * f * square - 0.5f * square) + static_cast<float>(exponent) * 0.69314718f;
}

// Newton's iterations for 1 / sqrt(x): a library's root sets errno, which keeps a loop from becoming vectors.
inline float quick_sqrt(float x) {
    float y = std::bit_cast<float>(0x5f375a86u - (std::bit_cast<std::uint32_t>(x) >> 1));
    y = y * (1.5f - 0.5f * x * y * y);
    y = y * (1.5f - 0.5f * x * y * y);
    y = y * (1.5f - 0.5f * x * y * y);
    return x * y;
}

// Box and Muller of sixteen pairs of words: the cosines' part in row `row`, the sines' in the next one.
inline void wide_box_muller(const std::uint32_t (&a)[wide], const std::uint32_t (&b)[wide], WideNormals& normals,
                            std::size_t row) {
    for (std::size_t k = 0; k < wide; ++k) {
        const float u = (static_cast<float>(static_cast<std::int32_t>(a[k] >> 8)) + 0.5f) * 0x1p-24f;
        const float radius = quick_sqrt(2.0f * (0.0f - quick_log(u)));
        const std::uint32_t turn = b[k] >> 8, quarter = (turn + (1u << 21)) >> 22;
        const float x = static_cast<float>(static_cast<std::int32_t>(turn - (quarter << 22))) * 3.7450704e-7f;
        const float y = x * x;
        const float sine = x + x * y * ((8.3321608736e-3f - 1.9515295891e-4f * y) * y - 1.6666654611e-1f);
        const float cosine =
            1.0f - 0.5f * y + y * y * ((2.4433157118e-5f * y - 1.3887316255e-3f) * y + 4.1666645683e-2f);
        const auto s = std::bit_cast<std::uint32_t>(sine), c = std::bit_cast<std::uint32_t>(cosine);
        const std::uint32_t exchanged = (s ^ c) & (0u - (quarter & 1u));
        normals.x[row][k] = radius * std::bit_cast<float>((c ^ exchanged) ^ (((quarter + 1u) & 2u) << 30));
        normals.x[row + 1][k] = radius * std::bit_cast<float>((s ^ exchanged) ^ ((quarter & 2u) << 30));
    }
}

}  // namespace detail

// Normals 64 * index .. 64 * index + 63 of a stream, in single precision: not those of fill_normal(), some thirty times
// as fast, and with the same bits everywhere. None lies further out than 5.9.
inline WideNormals wide_normals(const Stream& stream, std::uint32_t index) {
    const detail::WideWords words = detail::wide_blocks(stream, index);
    WideNormals normals;
    detail::wide_box_muller(words.a, words.b, normals, 0);
    detail::wide_box_muller(words.c, words.d, normals, 2);
    return normals;
}

}  // namespace genmod
