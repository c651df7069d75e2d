// The exponential function and the sigmoid on batches, and what all elementary functions are made of: the same bits on
// every instruction set that has fused multiply-add, by +, -, *, /, sqrt, fma, comparisons and bit operations alone.
// Errors stay below 2.5 units in the last place (exp: 1) unless a function says otherwise. Call them with their
// namespace (simd::exp): xsimd has functions of the same names that differ between instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_constants.hpp"
#include "genmod/kernels/impl/wide.hpp"

namespace genmod::simd {

namespace detail {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
using BitBatch = Batch<BitsOf<T>>;

// The bits of x moved up or down by the width of the mantissa. (g++ 12 warns of the plain AVX-512 intrinsics.)
template <class T>
inline BitBatch<T> mantissa_up(const BitBatch<T>& x) {
    return shift_left<Constants<T>::mantissa_bits>(x);
}
template <class T>
inline BitBatch<T> mantissa_down(const BitBatch<T>& x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4 && sizeof(x) == 64)
        return BitBatch<T>(_mm512_maskz_srli_epi32(static_cast<__mmask16>(-1), x, Constants<T>::mantissa_bits));
    else if constexpr (sizeof(x) == 64)
        return BitBatch<T>(_mm512_maskz_srli_epi64(static_cast<__mmask8>(-1), x, Constants<T>::mantissa_bits));
#endif
    return x >> Constants<T>::mantissa_bits;
}

// Here and below V is a batch, or several side by side.
template <class V>
using Number = typename V::value_type;

template <class V, std::size_t count>
[[gnu::always_inline]] inline V polynomial(const V& x, const Number<V> (&coefficients)[count]) {
    V sum(coefficients[count - 1]);
#pragma GCC unroll 16
    for (std::size_t k = count - 1; k > 0; --k) sum = fma(sum, x, V(coefficients[k - 1]));
    return sum;
}

// The nearest integer, ties to even. For |x| < 2^22 (float), 2^51 (double).
template <class T>
inline Batch<T> nearest(const Batch<T>& x) {
    const Batch<T> shift(Constants<T>::round);
    return (x + shift) - shift;
}

// The power of two whose exponent is the lowest bits of x.
template <class T>
[[gnu::always_inline]] inline Batch<T> exponent_of(const Batch<T>& x) {
    return bits_as<T>(mantissa_up<T>(bits_as<BitsOf<T>>(x)));
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> exponent_of(const Several<T, count>& x) {
    return map([](const Batch<T>& part) { return exponent_of(part); }, x);
}

// 2^n for an integer n, within the exponents of normal numbers.
template <class T>
inline Batch<T> power_of_two(const Batch<T>& n) {
    return exponent_of(n + Batch<T>(Constants<T>::round + Constants<T>::exponent_bias));
}

template <class V>
[[gnu::always_inline]] inline V clamped(const V& x, Number<V> low, Number<V> high) {  // NaN stays
    return smaller(V(high), larger(V(low), x));
}

// x = n log(2) + r, and e^r by a polynomial. The lowest bits of `shifted` are n + offset.
template <class V>
struct ReducedExp {
    using C = Constants<Number<V>>;
    V shifted, n, power;

    [[gnu::always_inline]] explicit ReducedExp(const V& x, Number<V> offset = 0)
        : shifted(fma(x, V(Number<V>(1.44269504088896340736)), V(C::round + offset))),
          n(shifted - V(C::round + offset)),
          power(of(x, n)) {}

    // 2^(n + offset - bias)
    [[gnu::always_inline]] V factor() const { return exponent_of(shifted); }

private:
    [[gnu::always_inline]] static V of(const V& x, const V& n) {
        const V r = fma(n, V(-C::ln2_low), fma(n, V(-C::ln2_high), x));
        return fma(r * r, polynomial(r, C::exp), r) + V(Number<V>(1));
    }
};

}  // namespace detail

// e^x; 2^n in two factors, so that results may be subnormal.
template <class T>
[[gnu::always_inline]] inline Batch<T> exp(const Batch<T>& x) {
    using C = detail::Constants<T>;
    const detail::ReducedExp<Batch<T>> e(detail::clamped(x, C::exp_low, C::exp_high));
    const Batch<T> half = detail::nearest(e.n * Batch<T>(T(0.5)));
    return e.power * detail::power_of_two(half) * detail::power_of_two(e.n - half);
}

// e^x for x <= 64 (or NaN), with the bits of exp() in three quarters of its time: where nothing can overflow, one of
// the factors is fixed.
template <class V>
[[gnu::always_inline]] inline V exp_not_large(const V& x) {
    using C = detail::Constants<detail::Number<V>>;
    const detail::ReducedExp<V> e(larger(V(C::exp_low), x), C::exponent_bias - C::subnormal_exponent);
    return e.power * e.factor() * V(1 / C::subnormal_scale);
}

// e^x for x <= 64 (or NaN) with a relative error below 1e-7 + 1.5e-8 |x| (double: 2e-16 + 2e-17 |x|), in two thirds of
// the time of exp_not_large(); subnormal results may be 0.
template <class V>
[[gnu::always_inline]] inline V exp_share(const V& x) {
    using T = detail::Number<V>;
    using C = detail::Constants<T>;
    const V inside = larger(V(C::exp_least), x), log2_e(T(1.44269504088896340736)), shift(C::round + C::exponent_bias);
    const V shifted = fma(inside, log2_e, shift);
    const V r = fma(inside, log2_e, shift - shifted);  // x / log(2) less its nearest integer
    return fma(r, detail::polynomial(r, C::exp2), V(T(1))) * detail::exponent_of(shifted);
}

// 2^x for x <= 64 (or NaN), in float, with a relative error below 1.02e-4 (1 at 0) in three quarters of the time of
// exp_share(): for results that are rounded to bf16.
template <class V>
[[gnu::always_inline]] inline V exp2_rough(const V& x) {
    using C = detail::Constants<float>;
    const V inside = larger(V(C::exp2_least), x), shift(C::round + C::exponent_bias);
    const V shifted = inside + shift, r = inside - (shifted - shift);
    return fma(r, detail::polynomial(r, C::exp2_rough), V(1.0f)) * detail::exponent_of(shifted);
}

// e^x - 1 without cancellation: 2^n (e^r - 1) + (2^n - 1), where r keeps its rounding error.
template <class T>
inline Batch<T> expm1(const Batch<T>& x) {
    using C = detail::Constants<T>;
    const Batch<T> inside = detail::clamped(x, C::expm1_low, C::exp_high);
    const Batch<T> n = detail::nearest(inside * Batch<T>(T(1.44269504088896340736)));
    const Batch<T> high = fma(n, Batch<T>(-C::ln2_high), inside);
    const Batch<T> low = n * Batch<T>(C::ln2_low);
    const Batch<T> r = high - low;
    const Batch<T> tail = fma(r * r, detail::polynomial(r, C::exp), (high - r) - low);
    const Batch<T> scale = detail::power_of_two(n - Batch<T>(T(1)));  // half of 2^n, which may overflow
    const Batch<T> half = fma(scale, tail, fma(scale, r, scale - Batch<T>(T(0.5))));
    return xsimd::select(xsimd::abs(x) < Batch<T>(C::tiny), x, half + half);
}

// 1 / (1 + e^-x)
template <class T>
[[gnu::always_inline]] inline Batch<T> sigmoid(const Batch<T>& x) {
    const Batch<T> one(T(1));
    const Batch<T> e = exp_not_large(x | Batch<T>(T(-0.0)));
    return divide<T>(xsimd::select(x < Batch<T>(T(0)), e, one), one + e);
}

// x / (1 + e^-gate), x times the sigmoid of gate; 0 where e^-gate overflows (gate below -88, double: -709).
template <class V>
[[gnu::always_inline]] inline V sigmoid_times(const V& x, const V& gate) {
    using T = detail::Number<V>;
    using C = detail::Constants<T>;
    const detail::ReducedExp<V> e(detail::clamped(-gate, 2 - C::exp_high, C::exp_high), C::exponent_bias);
    return divide(x, fma(e.power, e.factor(), V(T(1))));
}

// The same functions of one number, with the same bits.
template <class T>
    requires std::is_floating_point_v<T>
inline T exp(T x) { return exp(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T expm1(T x) { return expm1(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T sigmoid(T x) { return sigmoid(Batch<T>(x)).get(0); }

}  // namespace genmod::simd
