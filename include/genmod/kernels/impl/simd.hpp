// The one wrapper of xsimd, where its gaps and its renamings between versions are filled.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <utility>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/xsimd.hpp"

namespace genmod::simd {

template <class T>
using Batch = xsimd::batch<T>;

// Lanes of a batch. Never let a result depend on it.
template <class T>
inline constexpr Index lanes = static_cast<Index>(Batch<T>::size);

// a * b + c with one rounding wherever the build has fused multiply-add (xsimd 8.1's own is not fused on AVX-512).
template <class T>
inline Batch<T> fma(const Batch<T>& a, const Batch<T>& b, const Batch<T>& c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Batch<T>) == 64) {
        if constexpr (sizeof(T) == 4)
            return Batch<T>(_mm512_fmadd_ps(a, b, c));
        else
            return Batch<T>(_mm512_fmadd_pd(a, b, c));
    }
#endif
    return xsimd::fma(a, b, c);
}

// The same for one number.
inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
inline double fma(double a, double b, double c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// a / b, rounded correctly (xsimd's own is an approximation for floats on aarch64).
template <class T>
inline Batch<T> divide(const Batch<T>& a, const Batch<T>& b) {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == 4) return Batch<T>(vdivq_f32(a, b));
#endif
    return a / b;
}

inline float divide(float a, float b) { return a / b; }
inline double divide(double a, double b) { return a / b; }

// The square root, rounded correctly. (AVX-512's plain intrinsics make g++ 12 warn of their undefined third operand.)
template <class T>
inline Batch<T> sqrt(const Batch<T>& a) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Batch<T>) == 64) {
        if constexpr (sizeof(T) == 4)
            return Batch<T>(_mm512_mask_sqrt_ps(a, __mmask16{0xffff}, a));
        else
            return Batch<T>(_mm512_mask_sqrt_pd(a, __mmask8{0xff}, a));
    }
#endif
#if defined(__aarch64__)
    if constexpr (sizeof(T) == 4) return Batch<T>(vsqrtq_f32(a));
#endif
    return xsimd::sqrt(a);
}

// The larger and the smaller number of each lane. Where b is NaN, the result is. (AVX-512's plain intrinsics make
// g++ 12 warn, as above.)
template <class T>
inline Batch<T> larger(const Batch<T>& a, const Batch<T>& b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Batch<T>) == 64) {
        if constexpr (sizeof(T) == 4)
            return Batch<T>(_mm512_mask_max_ps(a, __mmask16{0xffff}, a, b));
        else
            return Batch<T>(_mm512_mask_max_pd(a, __mmask8{0xff}, a, b));
    }
#endif
    return xsimd::max(a, b);
}
template <class T>
inline Batch<T> smaller(const Batch<T>& a, const Batch<T>& b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Batch<T>) == 64) {
        if constexpr (sizeof(T) == 4)
            return Batch<T>(_mm512_mask_min_ps(a, __mmask16{0xffff}, a, b));
        else
            return Batch<T>(_mm512_mask_min_pd(a, __mmask8{0xff}, a, b));
    }
#endif
    return xsimd::min(a, b);
}

template <class T>
inline Batch<T> load(const T* from) {
    return Batch<T>::load_unaligned(from);
}

template <class T>
inline void store(T* to, const Batch<T>& value) {
    value.store_unaligned(to);
}

// The bits of a vector as lanes of another type (xsimd's own is told the batch in some versions, its numbers in
// others).
template <class To, class From>
[[gnu::always_inline]] inline Batch<To> bits_as(const Batch<From>& x) {
    return std::bit_cast<Batch<To>>(x);
}

// Whether a vector is a whole line of the cache, so that it can go past the cache to memory.
template <class T>
inline constexpr bool streams = sizeof(Batch<T>) == 64;

// Stores a vector that no one will read soon: where it streams, the line is not fetched first. `to` is aligned to 64
// bytes. end_stream() comes before another thread may read it.
template <class T>
inline void stream(T* to, const Batch<T>& value) {
#if defined(__AVX512F__)
    if constexpr (streams<T> && sizeof(T) == 4)
        return _mm512_stream_ps(to, value);
    else if constexpr (streams<T>)
        return _mm512_stream_pd(to, value);
#endif
    store(to, value);
}
inline void end_stream() {
#if defined(__AVX512F__)
    _mm_sfence();
#endif
}

// x << bits, for 32 or 64 bits a lane. (g++ 12 warns of the plain AVX-512 intrinsics, as above.)
template <int bits, class Bits>
inline Batch<Bits> shift_left(const Batch<Bits>& x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Bits) == 4 && sizeof(x) == 64)
        return Batch<Bits>(_mm512_maskz_slli_epi32(static_cast<__mmask16>(-1), x, bits));
    else if constexpr (sizeof(x) == 64)
        return Batch<Bits>(_mm512_maskz_slli_epi64(static_cast<__mmask8>(-1), x, bits));
#endif
    return x << bits;
}

// The same vector, which the compiler keeps in a register: it would read one from memory again at each use, if that
// saves an instruction now.
template <class T>
[[gnu::always_inline]] inline Batch<T> in_register(const Batch<T>& value) {
    typename Batch<T>::register_type held = value;
#if defined(__x86_64__)
    asm("" : "+v"(held));
#elif defined(__aarch64__)
    asm("" : "+w"(held));
#endif
    return Batch<T>(held);
}

// The vector is still in its register here. A compiler that sees it end in a multiply-add may let the sum take its
// place, and run out of registers over the moves (g++ 16: a product's tiles took 1.4 times as long).
template <class T>
[[gnu::always_inline]] inline void keep(const Batch<T>& value) {
    const typename Batch<T>::register_type held = value;
#if defined(__x86_64__)
    asm("" : : "v"(held));
#elif defined(__aarch64__)
    asm("" : : "w"(held));
#endif
}

namespace detail {

// Exchanges the lanes of a with bit `Step` set and the lanes of b with it clear.
template <class T, std::size_t Step, std::size_t... Lane>
inline void exchange(Batch<T>& a, Batch<T>& b, std::index_sequence<Lane...>) {
    using Register = typename Batch<T>::register_type;
    constexpr std::size_t count = sizeof...(Lane);
    const Register x = a;
    const Register y = b;
    a = Batch<T>(__builtin_shufflevector(x, y, ((Lane & Step) != 0 ? count + Lane - Step : Lane)...));
    b = Batch<T>(__builtin_shufflevector(x, y, ((Lane & Step) != 0 ? count + Lane : Lane + Step)...));
}

template <class T, std::size_t Step>
inline void transpose_steps(Batch<T>* rows) {
    constexpr std::size_t count = Batch<T>::size;
    if constexpr (Step < count) {
#pragma GCC unroll 16
        for (std::size_t i = 0; i < count; ++i)
            if ((i & Step) == 0) exchange<T, Step>(rows[i], rows[i + Step], std::make_index_sequence<count>{});
        transpose_steps<T, Step * 2>(rows);
    }
}

}  // namespace detail

// Transposes lanes x lanes numbers.
template <class T>
inline void transpose(Batch<T>* rows) {
    detail::transpose_steps<T, 1>(rows);
}

}  // namespace genmod::simd
