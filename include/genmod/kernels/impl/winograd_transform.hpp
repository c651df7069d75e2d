// The transformations of Winograd's F(4x4, 3x3) (Lavin and Gray 2016): y = A' [(G w G') . (B' d B)] A for tiles of
// 4 x 4 outputs, and their adjoints for the gradient of the weights. Each works on vectors of channels.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index winograd_out = 4;                             // outputs of a tile along an axis
inline constexpr Index winograd_in = 6;                              // inputs it sees
inline constexpr Index winograd_points = winograd_in * winograd_in;  // products that replace 9 * 16

// B' d: six inputs along an axis, `step` apart.
template <class T>
[[gnu::always_inline]] inline void winograd_input(const simd::Batch<T>* d, Index step, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), minus_two(T(-2)), four(T(4)), minus_four(T(-4)), minus_five(T(-5));
    const Batch d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    to[0] = simd::fma<T>(four, d0, simd::fma<T>(minus_five, d2, d4));
    const Batch even = simd::fma<T>(minus_four, d2, d4), odd = simd::fma<T>(minus_four, d1, d3);
    to[1] = even + odd;
    to[2] = even - odd;
    const Batch second = d4 - d2, third = d3 - d1;
    to[3] = simd::fma<T>(two, third, second);
    to[4] = simd::fma<T>(minus_two, third, second);
    to[5] = simd::fma<T>(four, d1, simd::fma<T>(minus_five, d3, d5));
}

// A' m: four outputs along an axis.
template <class T>
[[gnu::always_inline]] inline void winograd_output(const simd::Batch<T>* m, Index step, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), four(T(4)), eight(T(8));
    const Batch m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
    const Batch sum1 = m1 + m2, difference1 = m1 - m2, sum2 = m3 + m4, difference2 = m3 - m4;
    to[0] = (m[0] + sum1) + sum2;
    to[1] = simd::fma<T>(two, difference2, difference1);
    to[2] = simd::fma<T>(four, sum2, sum1);
    to[3] = simd::fma<T>(eight, difference2, difference1) + m[5 * step];
}

// A y, the adjoint of winograd_output.
template <class T>
[[gnu::always_inline]] inline void winograd_output_adjoint(const simd::Batch<T>* y, Index step, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), four(T(4));
    const Batch y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
    to[0] = y0;
    const Batch even = y0 + y2, odd = y1 + y3;
    to[1] = even + odd;
    to[2] = even - odd;
    const Batch even2 = simd::fma<T>(four, y2, y0), odd2 = two * simd::fma<T>(four, y3, y1);
    to[3] = even2 + odd2;
    to[4] = even2 - odd2;
    to[5] = y3;
}

// G w: three weights along an axis.
template <class T>
[[gnu::always_inline]] inline void winograd_weight(const simd::Batch<T>* w, Index step, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch sixth(T(-1) / T(6)), twelfth(T(1) / T(12)), quarter(T(0.25)), four(T(4)), small(T(1) / T(24));
    const Batch w0 = w[0], w1 = w[step], w2 = w[2 * step];
    to[0] = quarter * w0;
    const Batch even = sixth * (w0 + w2), odd = sixth * w1;
    to[1] = even + odd;
    to[2] = even - odd;
    const Batch even2 = small * simd::fma<T>(four, w2, w0), odd2 = twelfth * w1;
    to[3] = even2 + odd2;
    to[4] = even2 - odd2;
    to[5] = w2;
}

// G' p, the adjoint of winograd_weight.
template <class T>
[[gnu::always_inline]] inline void winograd_weight_adjoint(const simd::Batch<T>* p, Index step, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch sixth(T(-1) / T(6)), twelfth(T(1) / T(12)), quarter(T(0.25)), four(T(4)), small(T(1) / T(24));
    const Batch p1 = p[step], p2 = p[2 * step], p3 = p[3 * step], p4 = p[4 * step];
    const Batch sum1 = sixth * (p1 + p2), sum2 = small * (p3 + p4);
    to[0] = simd::fma<T>(quarter, p[0], sum1) + sum2;
    to[1] = simd::fma<T>(sixth, p1 - p2, twelfth * (p3 - p4));
    to[2] = simd::fma<T>(four, sum2, sum1) + p[5 * step];
}

// The first `count` numbers, zeros behind.
template <class T>
inline simd::Batch<T> load_part(const T* from, Index count) {
    constexpr Index lanes = simd::lanes<T>;
    if (count >= lanes) return simd::load(from);
    T part[lanes] = {};
    for (Index i = 0; i < count; ++i) part[i] = from[i];
    return simd::load<T>(part);
}

template <class T>
inline void store_part(T* to, const simd::Batch<T>& value, Index count) {
    constexpr Index lanes = simd::lanes<T>;
    if (count >= lanes) return simd::store(to, value);
    T part[lanes];
    simd::store<T>(part, value);
    for (Index i = 0; i < count; ++i) to[i] = part[i];
}

// Applies an epilogue to `count` sums of one row, the first of them at c and in column `column`.
template <class T>
inline void finish_part(simd::Batch<T> sum, const Epilogue<T>& epilogue, T* c, Index at, Index column, Index count) {
    if (epilogue.scale != T(1)) sum = sum * simd::Batch<T>(epilogue.scale);
    if (epilogue.bias != nullptr) sum = sum + load_part(epilogue.bias + column, count);
    if (epilogue.residual != nullptr) sum = sum + load_part(epilogue.residual + at, count);
    if (epilogue.mode == Accumulate::add) sum = sum + load_part<T>(c + at, count);
    store_part(c + at, sum, count);
}

}  // namespace genmod::kernels::detail
