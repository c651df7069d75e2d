// Rounding of floats to operands in bf16: to nearest even, denormal numbers to zero, NaN to NaN. Processors with
// vdpbf16ps have an instruction for it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/wide.hpp"

namespace genmod::kernels::detail {

// The bits of floats rounded to bf16, in the upper halves of words: one word, or a vector of them.
template <class Words>
[[gnu::always_inline]] inline void round_words(Words& bits) {
    const Words size = bits & 0x7fffffffu, nan = bits | 0x00400000u, zero = bits & 0x80000000u;
    const Words nearest = bits + 0x7fffu + ((bits >> 16) & 1u), finite = size < 0x00800000u ? zero : nearest;
    bits = (size > 0x7f800000u ? nan : finite) & 0xffff0000u;
}

inline std::uint32_t rounded_bits(float value) {
    auto bits = std::bit_cast<std::uint32_t>(value);
    round_words(bits);
    return bits;
}

inline bf16 round_one(float value) { return {static_cast<std::uint16_t>(rounded_bits(value) >> 16)}; }

// to = the floats of a vector, rounded: their bits are Words, those of the results Halves.
template <class Words, class Halves>
[[gnu::always_inline]] inline void round_vector(const void* from, bf16* to) {
    Words bits;
    std::memcpy(&bits, from, sizeof bits);
    round_words(bits);
    const Halves halves = __builtin_convertvector(bits >> 16, Halves);
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
}

// to = 16 numbers rounded.
inline void round_sixteen(const float* from, bf16* to) {
#if defined(__AVX512BF16__)
    const __m256bh halves = _mm512_cvtneps_pbh(_mm512_loadu_ps(from));
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
#else
    using Words [[gnu::vector_size(64)]] = std::uint32_t;
    using Halves [[gnu::vector_size(32)]] = std::uint16_t;
    round_vector<Words, Halves>(from, to);
#endif
}

// to = 32 numbers rounded.
inline void round_thirty_two(const float* from, bf16* to) {
#if defined(__AVX512BF16__)
    const __m512bh halves = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
#else
    round_sixteen(from, to);
    round_sixteen(from + 16, to + 16);
#endif
}

inline void round_all(const float* from, Index count, bf16* to) {
    for (; count >= 32; count -= 32, from += 32, to += 32) round_thirty_two(from, to);
    for (; count >= 16; count -= 16, from += 16, to += 16) round_sixteen(from, to);
    for (Index i = 0; i < count; ++i) to[i] = round_one(from[i]);
}

// Two vectors, rounded side by side.
[[gnu::always_inline]] inline void round_side_by_side(const simd::Batch<float> (&value)[2], bf16* to) {
#if defined(__AVX512BF16__)
    const __m512bh halves = _mm512_cvtne2ps_pbh(value[1], value[0]);
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
#else
    using Words [[gnu::vector_size(sizeof(simd::Batch<float>))]] = std::uint32_t;
    using Halves [[gnu::vector_size(sizeof(simd::Batch<float>) / 2)]] = std::uint16_t;
    round_vector<Words, Halves>(&value[0], to);
    round_vector<Words, Halves>(&value[1], to + simd::lanes<float>);
#endif
}

// One vector of pairs: to = [lanes][2] of the rounded numbers of two rows.
[[gnu::always_inline]] inline void round_vector_pairs(const simd::Batch<float>& even, const simd::Batch<float>& odd,
                                                      bf16* to) {
#if defined(__AVX512BF16__)
    using Halves [[gnu::vector_size(64)]] = std::uint16_t;
    const auto rows = reinterpret_cast<Halves>(_mm512_cvtne2ps_pbh(odd, even));
    const Halves both = __builtin_shufflevector(rows, rows, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8,
                                                24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
    using Words [[gnu::vector_size(sizeof(simd::Batch<float>))]] = std::uint32_t;
    Words low, high;
    std::memcpy(&low, &even, sizeof low);
    std::memcpy(&high, &odd, sizeof high);
    round_words(low);
    round_words(high);
    const Words both = low >> 16 | high;
#endif
    std::memcpy(static_cast<void*>(to), &both, sizeof both);
}

// Rows [2 * pairs][width] of floats (whole vectors) rounded, as pairs [pairs][width][2].
inline void round_row_pairs(const float* from, Index pairs, Index width, bf16* to) {
    for (Index pair = 0; pair < pairs; ++pair, from += 2 * width, to += 2 * width)
        for (Index i = 0; i < width; i += simd::lanes<float>)
            round_vector_pairs(simd::load(from + i), simd::load(from + width + i), to + 2 * i);
}

}  // namespace genmod::kernels::detail

namespace genmod::simd {

// The first `count` numbers, rounded.
template <int parts>
[[gnu::always_inline]] inline void store_some(bf16* to, Index count, const Several<float, parts>& value) {
    alignas(64) float lane[Several<float, parts>::size];
    store(lane, value);
    kernels::detail::round_all(lane, count, to);
}

}  // namespace genmod::simd
