// Sums over the positions of a channels-last image: sums of columns, which no vector width can disturb.
#pragma once

#include <algorithm>
#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/sigmoid_gated.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/wide.hpp"

namespace genmod::kernels::detail {

// `fold` positions together make one row of `width` columns, a multiple of 16 and not too few; column j belongs to
// channel j % channels. The last row may be cut short.
struct Columns {
    Index channels = 1, fold = 1, width = 1;

    explicit Columns(Index c) : channels(c) {
        while (fold * c % 16 != 0 || fold * c < 64) fold *= 2;
        width = fold * c;
    }
};

inline constexpr Index block_rows = 64;  // rows that are summed in one chain

template <class T>
inline constexpr int column_vectors = simd::Wide<T>::parts == 1 ? 4 : 2;

// Calls body(first column, vectors) with the number of 16-column vectors as a compile-time constant.
template <int most, class Body>
inline void for_column_tiles(Index width, Body body) {
    Index j = 0;
    for (; j + most * 16 <= width; j += most * 16) body(j, std::integral_constant<int, most>{});
    for (; j < width; j += 16) body(j, std::integral_constant<int, 1>{});
}

// Mean and sum of squared deviations of some columns over a block of rows by two passes, merged with those of the
// `before` rows above (Chan, Golub and LeVeque 1979).
template <class T, int vectors>
void block_moments(const T* x, Index rows, Index step, Index before, T* mean, T* square) {
    using simd::Wide;
    Wide<T> sum[vectors], center[vectors], rest[vectors], squares[vectors];
    for (int i = 0; i < vectors; ++i) sum[i] = rest[i] = squares[i] = Wide<T>(T(0));
    for (Index row = 0; row < rows; ++row)
        for (int i = 0; i < vectors; ++i) sum[i] = sum[i] + simd::load_wide(x + row * step + i * 16);
    const Wide<T> share(T(1) / static_cast<T>(rows));
    for (int i = 0; i < vectors; ++i) center[i] = sum[i] * share;
    for (Index row = 0; row < rows; ++row)
        for (int i = 0; i < vectors; ++i) {
            const Wide<T> deviation = simd::load_wide(x + row * step + i * 16) - center[i];
            rest[i] = rest[i] + deviation;
            squares[i] = simd::fma(deviation, deviation, squares[i]);
        }
    const T weight = static_cast<T>(rows) / static_cast<T>(before + rows);
    for (int i = 0; i < vectors; ++i) {
        const Wide<T> shift = rest[i] * share;
        const Wide<T> here = center[i] + shift;
        const Wide<T> spread = squares[i] - rest[i] * shift;
        const Wide<T> above = before == 0 ? Wide<T>(T(0)) : simd::load_wide(mean + i * 16);
        const Wide<T> known = before == 0 ? Wide<T>(T(0)) : simd::load_wide(square + i * 16);
        const Wide<T> apart = here - above;
        simd::store(mean + i * 16, before == 0 ? here : simd::fma(apart, Wide<T>(weight), above));
        const Wide<T> between = simd::fma(apart * apart, Wide<T>(weight * static_cast<T>(before)), spread);
        simd::store(square + i * 16, known + between);
    }
}

// The same for all columns of `count` numbers; a row cut short counts as one more for its columns.
template <class T>
void column_moments(const Columns& columns, const T* x, Index count, T* mean, T* square) {
    using simd::Wide;
    const Index rows = count / columns.width, tail = count % columns.width;
    for (Index row = 0; row < rows; row += block_rows)
        for_column_tiles<column_vectors<T>>(columns.width, [&](Index j, auto vectors) {
            block_moments<T, vectors>(x + row * columns.width + j, std::min(block_rows, rows - row), columns.width, row,
                                      mean + j, square + j);
        });
    if (rows == 0) {
        std::fill(mean, mean + columns.width, T(0));
        std::fill(square, square + columns.width, T(0));
    }
    const Wide<T> weight(T(1) / static_cast<T>(rows + 1));
    const Wide<T> spread(static_cast<T>(rows) / static_cast<T>(rows + 1));
    simd::for_wide(tail, [&](Index j, Index some) {
        const Wide<T> above = simd::load_wide(mean + j);
        const Wide<T> apart = simd::load_some(x + rows * columns.width + j, some) - above;
        simd::store_some(mean + j, some, simd::fma(apart, weight, above));
        simd::store_some(square + j, some, simd::fma(apart * apart, spread, simd::load_wide(square + j)));
    });
}

// Columns to groups of `depth` channels each: mean and sum of squared deviations over `count` numbers.
template <class T>
void group_moments(const Columns& columns, Index count, Index depth, const T* mean, const T* square, double* group_mean,
                   double* group_square) {
    const Index rows = count / columns.width, tail = count % columns.width, groups = columns.channels / depth;
    std::fill(group_mean, group_mean + groups, 0.0);
    std::fill(group_square, group_square + groups, 0.0);
    const auto each = [&](auto body) {
        for (Index f = 0, j = 0; f < columns.fold; ++f)
            for (Index g = 0; g < groups; ++g)
                for (Index i = 0; i < depth; ++i, ++j) body(j, g, static_cast<double>(rows + (j < tail ? 1 : 0)));
    };
    each([&](Index j, Index g, double number) { group_mean[g] += number * static_cast<double>(mean[j]); });
    for (Index g = 0; g < groups; ++g) group_mean[g] /= static_cast<double>(count / groups);
    each([&](Index j, Index g, double number) {
        const double apart = static_cast<double>(mean[j]) - group_mean[g];
        group_square[g] += static_cast<double>(square[j]) + number * (apart * apart);
    });
}

// Adds mean and sum of squared deviations of `count` numbers to those of the `before` numbers seen so far.
inline void merge_moments(double before, double count, double mean, double square, double& all_mean,
                          double& all_square) {
    const double apart = mean - all_mean, weight = count / (before + count);
    all_mean += apart * weight;
    all_square += square + apart * apart * (before * weight);
}

// The numbers of each column that a normalisation needs: v = x * factor + offset.
template <class T>
struct ColumnFactors {
    T* center = nullptr;  // mean
    T* factor = nullptr;  // weight * (1 + scale) * rstd
    T* offset = nullptr;  // the rest of v
    T* slope = nullptr;   // backward: dx = dv * factor + (x - center) * slope + constant
    T* constant = nullptr;
};

// Gradient of v at some columns.
template <class T, bool with_silu>
[[gnu::always_inline]] inline simd::Wide<T> inner_gradient(const simd::Wide<T>& x, const simd::Wide<T>& dy,
                                                           const ColumnFactors<T>& at, Index j) {
    if constexpr (!with_silu) return dy;
    return dy * functions::Silu<T>{}.derivative(
                    simd::fma(x, simd::load_wide(at.factor + j), simd::load_wide(at.offset + j)));
}

// Adds the sums over a block of rows of dv and dv * (x - center).
template <class T, bool with_silu, int vectors>
void block_products(const T* x, const T* dy, Index rows, Index step, const ColumnFactors<T>& at, Index j, T* sum,
                    T* product) {
    using simd::Wide;
    Wide<T> sums[vectors], products[vectors];
    for (int i = 0; i < vectors; ++i) sums[i] = products[i] = Wide<T>(T(0));
    for (Index row = 0; row < rows; ++row)
        for (int i = 0; i < vectors; ++i) {
            const Index k = j + i * 16;
            const Wide<T> value = simd::load_wide(x + row * step + k);
            const Wide<T> dv = inner_gradient<T, with_silu>(value, simd::load_wide(dy + row * step + k), at, k);
            sums[i] = sums[i] + dv;
            products[i] = simd::fma(dv, value - simd::load_wide(at.center + k), products[i]);
        }
    for (int i = 0; i < vectors; ++i) {
        simd::store(sum + j + i * 16, simd::load_wide(sum + j + i * 16) + sums[i]);
        simd::store(product + j + i * 16, simd::load_wide(product + j + i * 16) + products[i]);
    }
}

// The same for all columns of `count` numbers; overwrites sum and product.
template <class T, bool with_silu>
void column_products(const Columns& columns, const T* x, const T* dy, Index count, const ColumnFactors<T>& at, T* sum,
                     T* product) {
    using simd::Wide;
    const Index rows = count / columns.width, tail = count % columns.width;
    std::fill(sum, sum + columns.width, T(0));
    std::fill(product, product + columns.width, T(0));
    for (Index row = 0; row < rows; row += block_rows)
        for_column_tiles<2>(columns.width, [&](Index j, auto vectors) {
            block_products<T, with_silu, vectors>(x + row * columns.width, dy + row * columns.width,
                                                  std::min(block_rows, rows - row), columns.width, at, j, sum, product);
        });
    simd::for_wide(tail, [&](Index j, Index some) {
        const Wide<T> value = simd::load_some(x + rows * columns.width + j, some);
        const Wide<T> slope = simd::load_some(dy + rows * columns.width + j, some);
        const Wide<T> dv = inner_gradient<T, with_silu>(value, slope, at, j);
        simd::store(sum + j, simd::load_wide(sum + j) + dv);
        simd::store(product + j, simd::fma(dv, value - simd::load_wide(at.center + j), simd::load_wide(product + j)));
    });
}

// Calls body(first number, first column, count) for 16 numbers at a time, row by row.
template <class Body>
[[gnu::always_inline]] inline void for_columns(const Columns& columns, Index count, Body body) {
    for (Index base = 0; base < count; base += columns.width)
        simd::for_wide(std::min(columns.width, count - base), [&](Index j, Index some) { body(base + j, j, some); });
}

template <class T, bool with_silu>
void apply_columns(const Columns& columns, const T* x, Index count, const ColumnFactors<T>& at, T* y) {
    for_columns(columns, count, [&](Index k, Index j, Index some) {
        const simd::Wide<T> v =
            simd::fma(simd::load_some(x + k, some), simd::load_wide(at.factor + j), simd::load_wide(at.offset + j));
        if constexpr (with_silu)
            simd::store_some(y + k, some, functions::Silu<T>{}.value(v));
        else
            simd::store_some(y + k, some, v);
    });
}

template <class T, bool with_silu>
void input_gradient(const Columns& columns, const T* x, const T* dy, Index count, const ColumnFactors<T>& at, T* dx,
                    Accumulate mode) {
    for_columns(columns, count, [&](Index k, Index j, Index some) {
        const simd::Wide<T> value = simd::load_some(x + k, some);
        const simd::Wide<T> dv = inner_gradient<T, with_silu>(value, simd::load_some(dy + k, some), at, j);
        const simd::Wide<T> inner = simd::fma(value - simd::load_wide(at.center + j), simd::load_wide(at.slope + j),
                                              simd::load_wide(at.constant + j));
        const simd::Wide<T> result = simd::fma(dv, simd::load_wide(at.factor + j), inner);
        simd::store_some(dx + k, some, mode == Accumulate::add ? simd::load_some(dx + k, some) + result : result);
    });
}

}  // namespace genmod::kernels::detail
