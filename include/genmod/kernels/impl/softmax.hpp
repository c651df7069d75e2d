// Softmax by rows, each in sixteen virtual lanes.
#pragma once

#include <algorithm>
#include <limits>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"
#include "genmod/kernels/impl/vector_math.hpp"
#include "genmod/kernels/impl/wide.hpp"
#include "genmod/kernels/softmax.hpp"

namespace genmod::kernels::detail {

// Calls body(first number) for each row, in parallel tiles of about 2^14 numbers.
template <class Body>
void for_rows(Index rows, Index columns, Body body) {
    parallel_ranges(rows, std::max(Index{1}, (Index{1} << 14) / std::max(Index{1}, columns)),
                    [&](Index first, Index last) {
                        for (Index row = first; row < last; ++row) body(row * columns);
                    });
}

template <class T>
T row_maximum(const T* x, Index columns) {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    simd::Wide<T> most(lowest);
    simd::for_wide(columns,
                   [&](Index k, Index some) { most = simd::larger(most, simd::load_some(x + k, some, lowest)); });
    return simd::largest(most);
}

// Puts result(k, some) into dx[k...], or adds it.
template <class T, class Result>
void put_row(T* dx, Index columns, Accumulate mode, Result result) {
    simd::for_wide(columns, [&](Index k, Index some) {
        const simd::Wide<T> value = result(k, some);
        simd::store_some(dx + k, some, mode == Accumulate::add ? simd::load_some(dx + k, some) + value : value);
    });
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void softmax(Index rows, Index columns, const T* x, T* y) {
    using simd::Wide;
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    detail::for_rows(rows, columns, [&](Index row) {
        const Wide<T> most(detail::row_maximum(x + row, columns));
        Wide<T> sum(T(0));
        simd::for_wide(columns, [&](Index k, Index some) {
            const Wide<T> power = simd::exp_not_large(simd::load_some(x + row + k, some, lowest) - most);
            sum = sum + power;
            simd::store_some(y + row + k, some, power);
        });
        const Wide<T> share(T(1) / simd::sum(sum));
        simd::for_wide(columns, [&](Index k, Index some) {
            simd::store_some(y + row + k, some, simd::load_some(y + row + k, some) * share);
        });
    });
}

template <class T>
void softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx, Accumulate mode) {
    using simd::Wide;
    detail::for_rows(rows, columns, [&](Index row) {
        Wide<T> products(T(0));
        simd::for_wide(columns, [&](Index k, Index some) {
            products = simd::fma(simd::load_some(y + row + k, some), simd::load_some(dy + row + k, some), products);
        });
        const Wide<T> product(simd::sum(products));
        detail::put_row(dx + row, columns, mode, [&](Index k, Index some) {
            return simd::load_some(y + row + k, some) * (simd::load_some(dy + row + k, some) - product);
        });
    });
}

template <class T>
void log_softmax(Index rows, Index columns, const T* x, T* y) {
    using simd::Wide;
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    detail::for_rows(rows, columns, [&](Index row) {
        const Wide<T> most(detail::row_maximum(x + row, columns));
        Wide<T> sum(T(0));
        simd::for_wide(columns, [&](Index k, Index some) {
            sum = sum + simd::exp_not_large(simd::load_some(x + row + k, some, lowest) - most);
        });
        const Wide<T> total = simd::map([](const simd::Batch<T>& part) -> simd::Batch<T> { return simd::log<T>(part); },
                                        Wide<T>(simd::sum(sum)));
        simd::for_wide(columns, [&](Index k, Index some) {
            simd::store_some(y + row + k, some, (simd::load_some(x + row + k, some) - most) - total);
        });
    });
}

template <class T>
void log_softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx, Accumulate mode) {
    using simd::Wide;
    detail::for_rows(rows, columns, [&](Index row) {
        Wide<T> sums(T(0));
        simd::for_wide(columns, [&](Index k, Index some) { sums = sums + simd::load_some(dy + row + k, some); });
        const Wide<T> fall(-simd::sum(sums));
        detail::put_row(dx + row, columns, mode, [&](Index k, Index some) {
            return simd::fma(simd::exp_not_large(simd::load_some(y + row + k, some)), fall,
                             simd::load_some(dy + row + k, some));
        });
    });
}

}  // namespace genmod::kernels
