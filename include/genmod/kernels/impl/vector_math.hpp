// Elementary functions on batches: logarithms, hyperbolic and trigonometric functions, erf. What vector_exp.hpp says
// holds for them too (errors of log: below one unit in the last place).
#pragma once

#include <limits>
#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_constants.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"

namespace genmod::simd {

namespace detail {

// x with the sign of `sign`, for x >= 0.
template <class T>
inline Batch<T> with_sign(const Batch<T>& x, const Batch<T>& sign) {
    return x | (sign & Batch<T>(T(-0.0)));
}

// log(u) + correction for positive normal u = m 2^e with m in [sqrt(1/2), sqrt(2)): with f = m - 1, s = f / (2 + f),
// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)); e log(2) in two parts. After FreeBSD's e_log.c.
template <class T>
inline Batch<T> log_of_normal(const Batch<T>& u, const Batch<T>& exponent_offset, const Batch<T>& correction) {
    using C = Constants<T>;
    using Bits = BitsOf<T>;
    const BitBatch<T> shifted = bits_as<Bits>(u) + BitBatch<T>(static_cast<Bits>(C::one - C::sqrt_half));
    const BitBatch<T> exponent_bits = mantissa_down<T>(shifted) | BitBatch<T>(C::exponent_grid);
    const Batch<T> e = (bits_as<T>(exponent_bits) - Batch<T>(C::exponent_shift)) + exponent_offset;
    const BitBatch<T> mantissa = shifted & BitBatch<T>((Bits{1} << C::mantissa_bits) - 1);
    const Batch<T> f = bits_as<T>(mantissa + BitBatch<T>(C::sqrt_half)) - Batch<T>(T(1));
    const Batch<T> s = divide<T>(f, f + Batch<T>(T(2)));
    const Batch<T> z = s * s;
    const Batch<T> half_square = Batch<T>(T(0.5)) * f * f;
    const Batch<T> low = fma(s, fma(z, polynomial(z, C::log), half_square), fma(e, Batch<T>(C::ln2_low), correction));
    return fma(e, Batch<T>(C::ln2_high), (low - half_square) + f);
}

// What log and log1p return where the formula does not hold; `u` is the argument of the logarithm.
template <class T>
inline Batch<T> log_special(const Batch<T>& u, const Batch<T>& value) {
    using Limits = std::numeric_limits<T>;
    const Batch<T> zero(T(0)), infinity(Limits::infinity());
    const Batch<T> outside = xsimd::select(u == zero, -infinity, Batch<T>(Limits::quiet_NaN()));
    return xsimd::select(u == infinity, infinity, xsimd::select(u > zero, value, outside));
}

// sin(x + quarters * pi/2): the argument is taken modulo pi/2 in four parts (Cody and Waite).
template <class T>
inline Batch<T> sin_from(const Batch<T>& x, T quarters) {
    using C = Constants<T>;
    const Batch<T> n = nearest(x * Batch<T>(T(0.63661977236758134308)));
    Batch<T> r = x;
    for (const T part : C::half_pi) r = fma(n, Batch<T>(-part), r);
    const Batch<T> z = r * r;
    const Batch<T> sine = fma(r * z, polynomial(z, C::sin), r);
    const Batch<T> cosine = fma(z * z, polynomial(z, C::cos), fma(z, Batch<T>(T(-0.5)), Batch<T>(T(1))));
    const Batch<T> turned = n + Batch<T>(quarters);
    const Batch<T> k = fma(nearest(turned * Batch<T>(T(0.25))), Batch<T>(T(-4)), turned);  // -2..2
    const Batch<T> magnitude = xsimd::select(xsimd::abs(k) == Batch<T>(T(1)), cosine, sine);
    const auto negative = (k == Batch<T>(T(-1))) || (xsimd::abs(k) == Batch<T>(T(2)));
    return xsimd::select(negative, -magnitude, magnitude);
}

}  // namespace detail

// Natural logarithm; -infinity at 0, NaN below.
template <class T>
inline Batch<T> log(const Batch<T>& x) {
    using C = detail::Constants<T>;
    const Batch<T> zero(T(0));
    const auto subnormal = x < Batch<T>(std::numeric_limits<T>::min());
    const Batch<T> u = xsimd::select(subnormal, x * Batch<T>(C::subnormal_scale), x);
    const Batch<T> offset = xsimd::select(subnormal, Batch<T>(C::subnormal_exponent), zero);
    return detail::log_special(x, detail::log_of_normal(u, offset, zero));
}

// log(1 + x): what 1 + x loses by rounding is put back to first order.
template <class T>
inline Batch<T> log1p(const Batch<T>& x) {
    const Batch<T> one(T(1));
    const Batch<T> u = one + x;
    const Batch<T> lost = xsimd::select(x > one, one - (u - x), x - (u - one));
    const Batch<T> y = detail::log_special(u, detail::log_of_normal(u, Batch<T>(T(0)), divide<T>(lost, u)));
    return xsimd::select(xsimd::abs(x) < Batch<T>(detail::Constants<T>::tiny), x, y);
}

// With t = e^(2a) - 1 for a = |x|: t / (t + 2) near zero, 1 - 2 / (t + 2) for larger a.
template <class T>
inline Batch<T> tanh(const Batch<T>& x) {
    const Batch<T> a = xsimd::abs(x), one(T(1)), two(T(2));
    const auto near_zero = a < Batch<T>(T(0.55));
    const Batch<T> t = expm1(a + a);
    const Batch<T> ratio = divide<T>(xsimd::select(near_zero, t, two), t + two);
    return detail::with_sign(xsimd::select(near_zero, ratio, one - ratio), x);
}

// log(1 + e^x)
template <class T>
inline Batch<T> softplus(const Batch<T>& x) {
    const Batch<T> zero(T(0));
    return xsimd::select(x < zero, zero, x) + log1p(exp_not_large(x | Batch<T>(T(-0.0))));
}

// x + x E(x^2) near zero, 1 - e^-(a + a G(a)) for larger a = |x|.
template <class T>
inline Batch<T> erf(const Batch<T>& x) {
    using C = detail::Constants<T>;
    const Batch<T> a = xsimd::abs(x);
    const Batch<T> near = fma(x, detail::polynomial(x * x, C::erf), x);
    const Batch<T> b = xsimd::select(a > Batch<T>(C::erf_end), Batch<T>(C::erf_end), a);
    const Batch<T> far = Batch<T>(T(1)) - exp_not_large(-fma(b, detail::polynomial(b, C::erfc), b));
    return xsimd::select(a < Batch<T>(C::erf_split), near, detail::with_sign(far, x));
}

// Accurate for |x| < 2^21 (float), 2^30 (double); NaN for infinity.
template <class T>
inline Batch<T> sin(const Batch<T>& x) {
    return xsimd::select(x == Batch<T>(T(0)), x, detail::sin_from(x, T(0)));
}

// Accurate for |x| < 2^21 (float), 2^30 (double); NaN for infinity.
template <class T>
inline Batch<T> cos(const Batch<T>& x) {
    return detail::sin_from(x, T(1));
}

// The same functions of one number, with the same bits.
template <class T>
    requires std::is_floating_point_v<T>
inline T log(T x) { return log(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T log1p(T x) { return log1p(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T tanh(T x) { return tanh(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T softplus(T x) { return softplus(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T erf(T x) { return erf(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T sin(T x) { return sin(Batch<T>(x)).get(0); }
template <class T>
    requires std::is_floating_point_v<T>
inline T cos(T x) { return cos(Batch<T>(x)).get(0); }

// The first `count` lanes from memory, the others 1; count < lanes.
template <class T>
inline Batch<T> load_part(const T* from, Index count) {
    T buffer[static_cast<std::size_t>(lanes<T>)];
    for (Index k = 0; k < lanes<T>; ++k) buffer[k] = k < count ? from[k] : T(1);
    return load(buffer);
}

// The first `count` lanes to memory.
template <class T>
inline void store_part(T* to, const Batch<T>& value, Index count) {
    T buffer[static_cast<std::size_t>(lanes<T>)];
    store(buffer, value);
    for (Index k = 0; k < count; ++k) to[k] = buffer[k];
}

}  // namespace genmod::simd
