// Sums of terms over contiguous rows: the order of additions is fixed by the length of a row alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_math.hpp"

namespace genmod::kernels::detail {

inline constexpr Index sum_lanes = 16;    // lane l takes numbers l, l + 16, ...
inline constexpr Index sum_chunk = 8192;  // longer rows are summed in chunks of this length

// Adds 16 * width numbers [16, width] to [width] in a fixed tree, in place.
template <class T>
inline void fold_lanes(T* sums, Index width) {
    for (Index half = sum_lanes / 2; half > 0; half /= 2)
        for (Index k = 0; k < half * width; ++k) sums[k] += sums[k + half * width];
}

template <class T, std::size_t inputs, class Term, std::size_t... k>
inline simd::Batch<T> term_at(const std::array<const T*, inputs>& in, Index at, const Term& term,
                              std::index_sequence<k...>) {
    return term(simd::load(in[k] + at)...);
}

// The sum of term(in[0][at], in[1][at], ...) for `at` in first..last-1.
template <class T, std::size_t inputs, class Term>
T sum_of_terms(const std::array<const T*, inputs>& in, Index first, Index last, const Term& term) {
    constexpr Index lanes = simd::lanes<T>;
    constexpr Index width = lanes < sum_lanes ? lanes : sum_lanes;
    static_assert(width == lanes, "a batch has at most 16 lanes");
    constexpr auto which = std::make_index_sequence<inputs>{};
    constexpr std::size_t parts = static_cast<std::size_t>(sum_lanes / lanes);
    std::array<simd::Batch<T>, parts> sums;
    sums.fill(simd::Batch<T>(T(0)));
    Index at = first;
    for (; at + sum_lanes <= last; at += sum_lanes)
#pragma GCC unroll 8
        for (std::size_t part = 0; part < parts; ++part)
            sums[part] = sums[part] + term_at<T>(in, at + static_cast<Index>(part) * lanes, term, which);
    T total[sum_lanes];
#pragma GCC unroll 8
    for (std::size_t part = 0; part < parts; ++part) simd::store(total + static_cast<Index>(part) * lanes, sums[part]);
    if (at < last) {  // the rest, behind padding whose terms are not used
        T padded[inputs][sum_lanes];
        std::array<const T*, inputs> rest;
        for (std::size_t k = 0; k < inputs; ++k) {
            std::fill_n(padded[k], sum_lanes, T(1));
            std::copy(in[k] + at, in[k] + last, padded[k]);
            rest[k] = padded[k];
        }
        T terms[sum_lanes];
        for (Index part = 0; part < sum_lanes; part += lanes)
            simd::store(terms + part, term_at<T>(rest, part, term, which));
        for (Index k = 0; k < last - at; ++k) total[k] += terms[k];
    }
    fold_lanes(total, Index{1});
    return total[0];
}

struct Identity {
    template <class Batch>
    Batch operator()(const Batch& x) const {
        return x;
    }
};

// y[row] = [y[row] +] scale * sum of the terms of row `row`, for inputs [rows, n].
template <class T, std::size_t inputs, class Term>
void sum_terms(const std::array<const T*, inputs>& in, Index rows, Index n, T* y, Accumulate mode, T scale,
               const Term& term) {
    const auto give = [=](Index row, T sum) {
        y[row] = mode == Accumulate::add ? simd::fma(scale, sum, y[row]) : scale * sum;
    };
    if (n <= sum_chunk) {
        const Index grain = std::max(Index{1}, 4 * sum_chunk / std::max(Index{1}, n));
        parallel_ranges(rows, grain, [&](Index first, Index last) {
            for (Index row = first; row < last; ++row) give(row, sum_of_terms<T>(in, row * n, (row + 1) * n, term));
        });
        return;
    }
    const Index chunks = (n + sum_chunk - 1) / sum_chunk;
    const Scratch<T> partial(rows * chunks);
    parallel_ranges(rows * chunks, Index{4}, [&](Index first, Index last) {
        for (Index k = first; k < last; ++k) {
            const Index row = k / chunks, from = k % chunks * sum_chunk;
            partial.data()[k] = sum_of_terms<T>(in, row * n + from, row * n + std::min(n, from + sum_chunk), term);
        }
    });
    sum_terms<T, 1>({partial.data()}, rows, chunks, y, mode, scale, Identity{});
}

}  // namespace genmod::kernels::detail
