// The transformations of Winograd's F(4x4, 3x3) (Lavin and Gray 2016): y = A' [(G w G') . (B' d B)] A for tiles of
// 4 x 4 outputs, and their adjoints for the gradient of the weights. Each works on vectors of channels.
//
// Where a picture's extent is no multiple of four, its last tiles have two or three outputs along that axis. They go by
// F(2, 3) or F(3, 3), at the first of the same points 0, 1, -1, 2, -2 and the last, infinity; B' is scaled such that
// they take the weights as F(4, 3) transforms them.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index winograd_out = 4;                             // outputs of a whole tile along an axis
inline constexpr Index winograd_in = 6;                              // inputs it sees
inline constexpr Index winograd_points = winograd_in * winograd_in;  // products that replace 9 * 16

// Whether a tile of `outs` outputs along an axis takes part at a point of that axis: at outs + 2 of them.
constexpr bool winograd_takes(Index outs, Index point) { return point <= outs || point == winograd_in - 1; }

// B' d: the outs + 2 inputs along an axis, to the points that are taken.
template <class T, int outs>
[[gnu::always_inline]] inline void winograd_input(const simd::Batch<T>* d, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), minus_two(T(-2)), three(T(3)), minus_three(T(-3)), four(T(4)), minus_four(T(-4));
    if constexpr (outs == 2) {
        to[0] = four * (d[0] - d[2]);
        to[1] = minus_three * (d[1] + d[2]);
        to[2] = three * (d[1] - d[2]);
        to[5] = d[3] - d[1];
    } else if constexpr (outs == 3) {
        const Batch outer = d[3] - d[1];
        to[0] = simd::fma<T>(four, d[0] - d[2], two * outer);
        to[1] = three * (simd::fma<T>(minus_two, d[1], d[3]) - d[2]);
        to[2] = simd::fma<T>(minus_three, d[2], simd::fma<T>(two, d[1], d[3]));
        to[3] = four * outer;
        to[5] = simd::fma<T>(minus_two, outer, d[4] - d[2]);
    } else {
        const Batch minus_five(T(-5));
        to[0] = simd::fma<T>(four, d[0], simd::fma<T>(minus_five, d[2], d[4]));
        const Batch even = simd::fma<T>(minus_four, d[2], d[4]), odd = simd::fma<T>(minus_four, d[1], d[3]);
        to[1] = even + odd;
        to[2] = even - odd;
        const Batch second = d[4] - d[2], third = d[3] - d[1];
        to[3] = simd::fma<T>(two, third, second);
        to[4] = simd::fma<T>(minus_two, third, second);
        to[5] = simd::fma<T>(four, d[1], simd::fma<T>(minus_five, d[3], d[5]));
    }
}

// A' m: `outs` outputs along an axis, of the points that are taken.
template <class T, int outs>
[[gnu::always_inline]] inline void winograd_output(const simd::Batch<T>* m, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), four(T(4)), eight(T(8));
    const Batch sum1 = m[1] + m[2], difference1 = m[1] - m[2];
    if constexpr (outs == 2) {
        to[0] = m[0] + sum1;
        to[1] = difference1 + m[5];
    } else if constexpr (outs == 3) {
        to[0] = (m[0] + sum1) + m[3];
        to[1] = simd::fma<T>(two, m[3], difference1);
        to[2] = simd::fma<T>(four, m[3], sum1) + m[5];
    } else {
        const Batch sum2 = m[3] + m[4], difference2 = m[3] - m[4];
        to[0] = (m[0] + sum1) + sum2;
        to[1] = simd::fma<T>(two, difference2, difference1);
        to[2] = simd::fma<T>(four, sum2, sum1);
        to[3] = simd::fma<T>(eight, difference2, difference1) + m[5];
    }
}

// A y, the adjoint of winograd_output.
template <class T, int outs>
[[gnu::always_inline]] inline void winograd_output_adjoint(const simd::Batch<T>* y, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch two(T(2)), four(T(4));
    to[0] = y[0];
    to[5] = y[outs - 1];
    if constexpr (outs == 2) {
        to[1] = y[0] + y[1];
        to[2] = y[0] - y[1];
    } else if constexpr (outs == 3) {
        const Batch even = y[0] + y[2];
        to[1] = even + y[1];
        to[2] = even - y[1];
        to[3] = simd::fma<T>(two, y[1], simd::fma<T>(four, y[2], y[0]));
    } else {
        const Batch even = y[0] + y[2], odd = y[1] + y[3];
        to[1] = even + odd;
        to[2] = even - odd;
        const Batch even2 = simd::fma<T>(four, y[2], y[0]), odd2 = two * simd::fma<T>(four, y[3], y[1]);
        to[3] = even2 + odd2;
        to[4] = even2 - odd2;
    }
}

// G w: three weights along an axis.
template <class T>
[[gnu::always_inline]] inline void winograd_weight(const simd::Batch<T>* w, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch sixth(T(-1) / T(6)), twelfth(T(1) / T(12)), quarter(T(0.25)), four(T(4)), small(T(1) / T(24));
    const Batch w0 = w[0], w1 = w[1], w2 = w[2];
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
[[gnu::always_inline]] inline void winograd_weight_adjoint(const simd::Batch<T>* p, simd::Batch<T>* to) {
    using Batch = simd::Batch<T>;
    const Batch sixth(T(-1) / T(6)), twelfth(T(1) / T(12)), quarter(T(0.25)), four(T(4)), small(T(1) / T(24));
    const Batch p1 = p[1], p2 = p[2], p3 = p[3], p4 = p[4];
    const Batch sum1 = sixth * (p1 + p2), sum2 = small * (p3 + p4);
    to[0] = simd::fma<T>(quarter, p[0], sum1) + sum2;
    to[1] = simd::fma<T>(sixth, p1 - p2, twelfth * (p3 - p4));
    to[2] = simd::fma<T>(four, sum2, sum1) + p[5];
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
