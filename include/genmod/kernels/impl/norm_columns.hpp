// Sums over the positions of a channels-last image: sums of columns, which no vector width can disturb.
#pragma once

#include <algorithm>
#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
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

// Calls body(first column, type) with the vectors that some columns are to be loaded as: as many as are worth taking
// side by side, or sixteen numbers.
template <class T, class Body>
[[gnu::always_inline]] inline void for_column_tiles(Index width, Body body) {
    using Most = simd::Several<T, column_vectors<T> * simd::Wide<T>::parts>;
    Index j = 0;
    for (; j + Most::size <= width; j += Most::size) body(j, std::type_identity<Most>{});
    for (; j < width; j += 16) body(j, std::type_identity<simd::Wide<T>>{});
}

// Mean and sum of squared deviations of some columns over a block of rows by two passes, merged with those of the
// `before` rows above (Chan, Golub and LeVeque 1979).
template <class T, class V>
void block_moments(const T* x, Index rows, Index step, Index before, T* mean, T* square) {
    V sum(T(0)), rest(T(0)), squares(T(0));
    for (Index row = 0; row < rows; ++row) sum = sum + simd::load_as<V>(x + row * step);
    const V share(T(1) / static_cast<T>(rows)), center = sum * share;
    for (Index row = 0; row < rows; ++row) {
        const V deviation = simd::load_as<V>(x + row * step) - center;
        rest = rest + deviation;
        squares = simd::fma(deviation, deviation, squares);
    }
    const V shift = rest * share, here = center + shift, spread = squares - rest * shift;
    if (before == 0) {
        simd::store(mean, here);
        return simd::store(square, spread);
    }
    const T weight = static_cast<T>(rows) / static_cast<T>(before + rows);
    const V above = simd::load_as<V>(mean), apart = here - above;
    simd::store(mean, simd::fma(apart, V(weight), above));
    const V between = simd::fma(apart * apart, V(weight * static_cast<T>(before)), spread);
    simd::store(square, simd::load_as<V>(square) + between);
}

// The same for all columns of `count` numbers; a row cut short counts as one more for its columns.
template <class T>
void column_moments(const Columns& columns, const T* x, Index count, T* mean, T* square) {
    using simd::Wide;
    const Index rows = count / columns.width, tail = count % columns.width;
    for (Index row = 0; row < rows; row += block_rows)
        for_column_tiles<T>(columns.width, [&]<class V>(Index j, std::type_identity<V>) {
            block_moments<T, V>(x + row * columns.width + j, std::min(block_rows, rows - row), columns.width, row,
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
template <class T, bool with_silu, class V>
[[gnu::always_inline]] inline V inner_gradient(const V& x, const V& dy, const ColumnFactors<T>& at, Index j) {
    if constexpr (!with_silu) return dy;
    return dy * functions::Silu<T>{}.derivative(
                    simd::fma(x, simd::load_as<V>(at.factor + j), simd::load_as<V>(at.offset + j)));
}

// Where sums over columns go, [width] each, and dv itself: null, or as many numbers as there are.
template <class T>
struct ColumnSums {
    T* slope = nullptr;    // of dv
    T* product = nullptr;  // of dv * (x - center)
    T* dv = nullptr;
};

// Adds the sums over a block of rows.
template <class T, bool with_silu, class V>
void block_products(const T* x, const T* dy, Index rows, Index step, const ColumnFactors<T>& at, Index j,
                    const ColumnSums<T>& to) {
    V sums(T(0)), products(T(0));
    for (Index row = 0; row < rows; ++row) {
        const V value = simd::load_as<V>(x + row * step + j);
        const V dv = inner_gradient<T, with_silu>(value, simd::load_as<V>(dy + row * step + j), at, j);
        sums = sums + dv;
        products = simd::fma(dv, value - simd::load_as<V>(at.center + j), products);
        if (to.dv != nullptr) simd::store(to.dv + row * step + j, dv);
    }
    simd::store(to.slope + j, simd::load_as<V>(to.slope + j) + sums);
    simd::store(to.product + j, simd::load_as<V>(to.product + j) + products);
}

// The sums over all columns of `count` numbers.
template <class T, bool with_silu>
void column_products(const Columns& columns, const T* x, const T* dy, Index count, const ColumnFactors<T>& at,
                     const ColumnSums<T>& to) {
    using simd::Wide;
    const Index rows = count / columns.width, tail = count % columns.width, end = rows * columns.width;
    std::fill(to.slope, to.slope + columns.width, T(0));
    std::fill(to.product, to.product + columns.width, T(0));
    for (Index row = 0; row < rows; row += block_rows) {
        const Index first = row * columns.width, some = std::min(block_rows, rows - row);
        ColumnSums<T> here = to;
        if (to.dv != nullptr) here.dv += first;
        for_column_tiles<T>(columns.width, [&]<class V>(Index j, std::type_identity<V>) {
            block_products<T, with_silu, V>(x + first, dy + first, some, columns.width, at, j, here);
        });
    }
    simd::for_wide(tail, [&](Index j, Index some) {
        const Wide<T> value = simd::load_some(x + end + j, some);
        const Wide<T> dv = inner_gradient<T, with_silu>(value, simd::load_some(dy + end + j, some), at, j);
        if (to.dv != nullptr) simd::store_some(to.dv + end + j, some, dv);
        const Wide<T> apart = value - simd::load_wide(at.center + j);
        simd::store(to.slope + j, simd::load_wide(to.slope + j) + dv);
        simd::store(to.product + j, simd::fma(dv, apart, simd::load_wide(to.product + j)));
    });
}

// Calls body(first number, first column, count, type) row by row, for as many numbers at a time as the type holds; the
// last of a row that is cut short may be fewer. A count that is the type's own is a constant.
template <class T, class Body>
[[gnu::always_inline]] inline void for_columns(const Columns& columns, Index count, Body body) {
    for (Index base = 0; base < count; base += columns.width) {
        const Index here = std::min(columns.width, count - base), bulk = here - here % 16;
        const auto whole = [&]<class V>(Index j, std::type_identity<V> type) __attribute__((always_inline)) {
            body(base + j, j, std::integral_constant<Index, V::size>{}, type);
        };
        for_column_tiles<T>(bulk, whole);
        if (bulk < here) body(base + bulk, bulk, here - bulk, std::type_identity<simd::Wide<T>>{});
    }
}

template <class T, bool with_silu, class Out>
void apply_columns(const Columns& columns, const T* x, Index count, const ColumnFactors<T>& at, Out* y) {
    const auto apply = [&]<class V>(Index k, Index j, auto some, std::type_identity<V>) __attribute__((always_inline)) {
        const V v = simd::fma(simd::load_some_as<V>(x + k, some), simd::load_as<V>(at.factor + j),
                              simd::load_as<V>(at.offset + j));
        if constexpr (with_silu)
            simd::store_some(y + k, some, functions::Silu<T>{}.value(v));
        else
            simd::store_some(y + k, some, v);
    };
    for_columns<T>(columns, count, apply);
}

template <class T, bool with_silu>
void input_gradient(const Columns& columns, const T* x, const T* dy, Index count, const ColumnFactors<T>& at, T* dx,
                    Accumulate mode) {
    const auto give = [&]<class V>(Index k, Index j, auto some, std::type_identity<V>) __attribute__((always_inline)) {
        const V value = simd::load_some_as<V>(x + k, some);
        const V dv = inner_gradient<T, with_silu>(value, simd::load_some_as<V>(dy + k, some), at, j);
        const V inner = simd::fma(value - simd::load_as<V>(at.center + j), simd::load_as<V>(at.slope + j),
                                  simd::load_as<V>(at.constant + j));
        const V result = simd::fma(dv, simd::load_as<V>(at.factor + j), inner);
        const bool add = mode == Accumulate::add;
        simd::store_some(dx + k, some, add ? simd::load_some_as<V>(dx + k, some) + result : result);
    };
    for_columns<T>(columns, count, give);
}

}  // namespace genmod::kernels::detail
