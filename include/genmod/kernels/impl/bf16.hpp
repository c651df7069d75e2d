// bf16 operands of the matrix product. vdpbf16ps adds the products of pairs, the odd one first; where there is no such
// instruction, the float tile does the same on rows of k that were exchanged within pairs.
#pragma once

#include <bit>
#include <cstdint>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Numbers k in whole pairs.
inline Index in_pairs(Index k) { return (k + 1) / 2 * 2; }

// Denormal numbers count as zero on this thread, as operands and as results, until the end of the scope.
class FlushDenormals {
public:
#if defined(__SSE2__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
    ~FlushDenormals() { _mm_setcsr(before_); }

private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (std::uint64_t{1} << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

private:
    std::uint64_t before_;
#else
#error "bf16 products are written for x86-64 with SSE2 and for aarch64"
#endif
public:
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
};

inline simd::Batch<float> even_of(const simd::Batch<float>& pairs) {
    return simd::bits_as<float>(simd::shift_left<16>(simd::bits_as<std::uint32_t>(pairs)));
}
inline simd::Batch<float> odd_of(const simd::Batch<float>& pairs) {
    constexpr std::uint32_t upper_half = 0xffff0000u;
    return simd::bits_as<float>(simd::bits_as<std::uint32_t>(pairs) & simd::Batch<std::uint32_t>(upper_half));
}

// Whether the build has vdpbf16ps.
#if defined(__AVX512BF16__)
inline constexpr bool has_dot_pairs = true;
#else
inline constexpr bool has_dot_pairs = false;
#endif

// A step of the register tile on pairs: sum + odd a * odd b + even a * even b.
struct PairStep {
    static simd::Batch<float> add(const simd::Batch<float>& a, const simd::Batch<float>& b,
                                  const simd::Batch<float>& sum) {
#if defined(__AVX512BF16__)
        return simd::Batch<float>(_mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_castps_si512(a)),
                                                   reinterpret_cast<__m512bh>(_mm512_castps_si512(b))));
#else
        return simd::fma(even_of(a), even_of(b), simd::fma(odd_of(a), odd_of(b), sum));
#endif
    }
};

// Rounds a packed tile [depth][height] for the float tile, and exchanges the rows of each pair.
inline void round_and_exchange(float* tile, Index depth, Index height) {
    for (float* row = tile; row < tile + depth * height; row += 2 * height)
        for (Index i = 0; i < height; ++i) {
            const std::uint32_t even = rounded_bits(row[i]), odd = rounded_bits(row[height + i]);
            row[i] = std::bit_cast<float>(odd);
            row[height + i] = std::bit_cast<float>(even);
        }
}

// Rounds a packed tile [depth][height] into pairs [depth / 2][height], the even number in the lower half of a word;
// `to` may be the tile, or lie before it.
inline void round_to_pairs(const float* tile, Index depth, Index height, float* to) {
    for (const float* row = tile; row < tile + depth * height; row += 2 * height, to += height)
        for (Index i = 0; i < height; ++i)
            to[i] = std::bit_cast<float>(rounded_bits(row[i]) >> 16 | rounded_bits(row[height + i]));
}

// The two rows of floats of one row of pairs, `width` words of them (whole vectors).
inline void widen_pairs(const bf16* pairs, Index width, float* even, float* odd) {
    for (Index i = 0; i < width; i += simd::lanes<float>) {
        const auto both = simd::load(reinterpret_cast<const float*>(pairs) + i);
        simd::store(even + i, even_of(both));
        simd::store(odd + i, odd_of(both));
    }
}

}  // namespace genmod::kernels::detail
