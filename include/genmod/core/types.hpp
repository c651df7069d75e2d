// Number types shared by every room.
#pragma once

#include <bit>
#include <cstdint>

namespace genmod {

// Sizes, counts and positions. Signed, so that differences are safe.
using Index = std::int64_t;

// Brain float: the upper half of a float. Storage only; arithmetic happens in float.
struct bf16 {
    std::uint16_t bits = 0;
};

// IEEE half precision. Storage only; arithmetic happens in float.
struct f16 {
    std::uint16_t bits = 0;
};

// Rounds to nearest even; NaN stays NaN, overflow becomes infinity.
inline bf16 to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x0040u)};
    return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

inline float to_float(bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16); }

// Rounds to nearest even; NaN stays NaN, overflow becomes infinity, small values become subnormal or zero.
inline f16 to_f16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
    if (magnitude >= 0x47800000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
    if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 lines the half's subnormal bits up with the float's last
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u))};
    }
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return {static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

inline float to_float(f16 value) {
    const std::uint32_t sign = (static_cast<std::uint32_t>(value.bits) & 0x8000u) << 16;
    const std::uint32_t exponent = (value.bits >> 10) & 0x1fu;
    const std::uint32_t mantissa = value.bits & 0x3ffu;
    if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

// Whether a value is neither infinite nor NaN, by its bits: holds under -ffast-math too.
inline bool is_finite(float value) { return (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) != 0x7f800000u; }
inline bool is_finite(double value) {
    return (std::bit_cast<std::uint64_t>(value) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

// How weights are kept and multiplied for inference: as they are, or rounded to bf16, with float sums in the order of
// vdpbf16ps (AVX-512) or of AMX's tiles.
enum class Precision { full, bf16, bf16_tiles };

// What a kernel does with a gradient buffer: the first contribution overwrites, later ones are added.
enum class Accumulate { write, add };

}  // namespace genmod
