// The number types of safetensors files, and conversions to and from the types of this library.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "genmod/core/types.hpp"

namespace genmod::io {

static_assert(std::endian::native == std::endian::little, "files are little-endian and read without swapping");

// All types that the format names. The first thirteen can be read as numbers.
enum class Dtype {
    f64,
    f32,
    f16,
    bf16,
    i64,
    i32,
    i16,
    i8,
    u64,
    u32,
    u16,
    u8,
    boolean,
    c64,
    f8_e4m3,
    f8_e5m2,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    f6_e2m3,
    f6_e3m2,
    f4
};

struct DtypeInfo {
    std::string_view name;
    int bits;
};

inline constexpr std::array<DtypeInfo, 22> dtype_table{{
    {"F64", 64},        {"F32", 32},    {"F16", 16},    {"BF16", 16},   {"I64", 64},    {"I32", 32},
    {"I16", 16},        {"I8", 8},      {"U64", 64},    {"U32", 32},    {"U16", 16},    {"U8", 8},
    {"BOOL", 8},        {"C64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
}};

inline const DtypeInfo& info(Dtype dtype) { return dtype_table[static_cast<std::size_t>(dtype)]; }
inline std::string to_string(Dtype dtype) { return std::string(info(dtype).name); }
inline int bits_of(Dtype dtype) { return info(dtype).bits; }

// Empty for names the format does not know.
inline std::optional<Dtype> dtype_named(std::string_view name) {
    for (std::size_t i = 0; i < dtype_table.size(); ++i)
        if (dtype_table[i].name == name) return static_cast<Dtype>(i);
    return std::nullopt;
}

// What a Tensor<T> is written as.
template <class T>
constexpr Dtype dtype_of() {
    if constexpr (std::same_as<T, double>)
        return Dtype::f64;
    else if constexpr (std::same_as<T, float>)
        return Dtype::f32;
    else if constexpr (std::same_as<T, f16>)
        return Dtype::f16;
    else if constexpr (std::same_as<T, bf16>)
        return Dtype::bf16;
    else if constexpr (std::same_as<T, bool>)
        return Dtype::boolean;
    else {
        static_assert(std::integral<T>, "no number type of safetensors");
        if constexpr (std::is_signed_v<T>)
            return sizeof(T) == 8 ? Dtype::i64 : sizeof(T) == 4 ? Dtype::i32 : sizeof(T) == 2 ? Dtype::i16 : Dtype::i8;
        else
            return sizeof(T) == 8 ? Dtype::u64 : sizeof(T) == 4 ? Dtype::u32 : sizeof(T) == 2 ? Dtype::u16 : Dtype::u8;
    }
}

namespace detail {

// Calls f with a value of the type that holds the numbers of `dtype`; false for types that cannot be read.
template <class F>
bool with_type(Dtype dtype, F&& f) {
    switch (dtype) {
        case Dtype::f64: f(double{}); return true;
        case Dtype::f32: f(float{}); return true;
        case Dtype::f16: f(f16{}); return true;
        case Dtype::bf16: f(bf16{}); return true;
        case Dtype::i64: f(std::int64_t{}); return true;
        case Dtype::i32: f(std::int32_t{}); return true;
        case Dtype::i16: f(std::int16_t{}); return true;
        case Dtype::i8: f(std::int8_t{}); return true;
        case Dtype::u64: f(std::uint64_t{}); return true;
        case Dtype::u32: f(std::uint32_t{}); return true;
        case Dtype::u16: f(std::uint16_t{}); return true;
        case Dtype::u8: f(std::uint8_t{}); return true;
        case Dtype::boolean: f(false); return true;
        default: return false;
    }
}

template <class T>
inline constexpr bool is_half = std::same_as<T, f16> || std::same_as<T, bf16>;

// Converts one number. Floats round to nearest; false when a whole number does not fit, or a float should become one.
template <class To, class From>
bool convert(From from, To& to) {
    if constexpr (std::same_as<To, From>) {
        to = from;
    } else if constexpr (is_half<From>) {
        return convert(to_float(from), to);
    } else if constexpr (std::same_as<To, bool>) {
        to = from != 0;
    } else if constexpr (std::same_as<To, f16>) {
        to = to_f16(static_cast<float>(from));
    } else if constexpr (std::same_as<To, bf16>) {
        to = to_bf16(static_cast<float>(from));
    } else if constexpr (std::floating_point<To>) {
        to = static_cast<To>(from);
    } else if constexpr (std::floating_point<From>) {
        return false;
    } else if constexpr (std::same_as<From, bool>) {
        to = static_cast<To>(from ? 1 : 0);
    } else {
        if (!std::in_range<To>(from)) return false;
        to = static_cast<To>(from);
    }
    return true;
}

// Number `index` of a buffer that need not be aligned.
template <class T>
T load(const std::uint8_t* bytes, std::size_t index) {
    if constexpr (std::same_as<T, bool>) {
        return bytes[index] != 0;
    } else {
        T value;
        std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
        return value;
    }
}

}  // namespace detail

}  // namespace genmod::io
