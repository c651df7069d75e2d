// Definitions of kernels/reduce.hpp.
#pragma once

#include <algorithm>
#include <limits>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/sum_terms.hpp"
#include "genmod/kernels/reduce.hpp"

namespace genmod::kernels {

namespace detail {

// y [cols] = x [rows, cols] combined row after row, beginning with `start`.
template <class T, class Combine>
void combine_rows(Index rows, Index cols, const T* x, T* y, T start, Combine combine) {
    constexpr Index lanes = simd::lanes<T>;
    Index col = 0;
    for (; col + 4 * lanes <= cols; col += 4 * lanes) {
        simd::Batch<T> a(start), b(start), c(start), d(start);
        for (Index row = 0; row < rows; ++row) {
            const T* from = x + row * cols + col;
            a = combine(a, simd::load(from));
            b = combine(b, simd::load(from + lanes));
            c = combine(c, simd::load(from + 2 * lanes));
            d = combine(d, simd::load(from + 3 * lanes));
        }
        simd::store(y + col, a);
        simd::store(y + col + lanes, b);
        simd::store(y + col + 2 * lanes, c);
        simd::store(y + col + 3 * lanes, d);
    }
    for (; col + lanes <= cols; col += lanes) {
        simd::Batch<T> a(start);
        for (Index row = 0; row < rows; ++row) a = combine(a, simd::load(x + row * cols + col));
        simd::store(y + col, a);
    }
    if (col == cols) return;
    const Index rest = cols - col;
    simd::Batch<T> a(start);
    for (Index row = 0; row < rows; ++row) a = combine(a, simd::load_part(x + row * cols + col, rest));
    simd::store_part(y + col, a, rest);
}

struct Plus {
    template <class Batch>
    Batch operator()(const Batch& a, const Batch& b) const {
        return a + b;
    }
};

// Column sums of few rows. Narrow rows are read 16 at a time, as the 16 lanes of each column.
template <class T>
void sum_columns(Index rows, Index cols, const T* x, T* y) {
    if (cols >= sum_lanes) return combine_rows(rows, cols, x, y, T(0), Plus{});
    T lanes[sum_lanes * sum_lanes];
    const Index rounds = rows / sum_lanes, width = sum_lanes * cols;
    combine_rows(rounds, width, x, lanes, T(0), Plus{});
    const T* rest = x + rounds * width;
    for (Index k = 0; k < (rows - rounds * sum_lanes) * cols; ++k) lanes[k] += rest[k];
    fold_lanes(lanes, cols);
    std::copy_n(lanes, cols, y);
}

}  // namespace detail

template <class T>
void reduce_sum(Index outer, Index reduced, Index inner, const T* x, T* y, Accumulate mode, T scale) {
    if (inner == 1) return detail::sum_terms<T, 1>({x}, outer, reduced, y, mode, scale, detail::Identity{});
    if (outer * inner == 0) return;
    const Index chunk = inner < detail::sum_lanes ? 4096 : 256;  // rows that are summed one after the other
    const Index chunks = std::max(Index{1}, (reduced + chunk - 1) / chunk);
    const bool direct = chunks == 1 && mode == Accumulate::write && scale == T(1);
    const Scratch<T> partial(direct ? 0 : outer * chunks * inner);
    T* sums = direct ? y : partial.data();
    const Index grain = std::max(Index{1}, 32768 / (std::max(Index{1}, std::min(chunk, reduced)) * inner));
    parallel_ranges(outer * chunks, grain, [&](Index first, Index last) {
        for (Index k = first; k < last; ++k) {
            const Index from = k % chunks * chunk, count = std::min(chunk, reduced - from);
            detail::sum_columns(count, inner, x + (k / chunks * reduced + from) * inner, sums + k * inner);
        }
    });
    if (direct) return;
    if (chunks > 1) return reduce_sum(outer, chunks, inner, sums, y, mode, scale);
    for (Index k = 0; k < outer * inner; ++k)
        y[k] = mode == Accumulate::add ? simd::fma(scale, sums[k], y[k]) : scale * sums[k];
}

template <class T>
void reduce_max(Index outer, Index reduced, Index inner, const T* x, T* y) {
    // NaN wins: b <= a is false for it, and a == a is. (xsimd 8.1's != takes NaN for equal to itself on AVX-512.)
    const auto larger = [](const auto& a, const auto& b) {
        return xsimd::select(a == a, xsimd::select(b <= a, a, b), a);
    };
    const T least = -std::numeric_limits<T>::infinity();
    const Index grain = std::max(Index{1}, 32768 / std::max(Index{1}, reduced * inner));
    parallel_ranges(outer, grain, [&](Index first, Index last) {
        for (Index o = first; o < last; ++o) {
            const T* from = x + o * reduced * inner;
            if (inner != 1) {
                detail::combine_rows(reduced, inner, from, y + o * inner, least, larger);
                continue;
            }
            T best[detail::sum_lanes];
            const Index rounds = reduced / detail::sum_lanes;
            detail::combine_rows(rounds, detail::sum_lanes, from, best, least, larger);
            T result = least;
            const auto take = [&result](T value) { result = value > result || value != value ? value : result; };
            for (const T value : best) take(value);
            for (Index k = rounds * detail::sum_lanes; k < reduced; ++k) take(from[k]);
            y[o] = result;
        }
    });
}

template <class T>
void reduce_max_backward(Index outer, Index reduced, Index inner, const T* x, const T* y, const T* dy, T* dx,
                         Accumulate mode) {
    const Index grain = std::max(Index{1}, 32768 / std::max(Index{1}, reduced * inner));
    parallel_ranges(outer, grain, [=](Index first, Index last) {
        for (Index k = first * inner; k < last * inner; ++k) {
            const Index base = k / inner * reduced * inner + k % inner;
            Index ties = 0;
            for (Index r = 0; r < reduced; ++r) ties += x[base + r * inner] == y[k] ? 1 : 0;
            const T share = dy[k] / static_cast<T>(std::max(Index{1}, ties));
            for (Index r = 0; r < reduced; ++r) {
                const Index at = base + r * inner;
                const T value = x[at] == y[k] ? share : T(0);
                dx[at] = mode == Accumulate::add ? dx[at] + value : value;
            }
        }
    });
}

template <class T>
void sum_to(const Shape& from, const Shape& to, const T* x, T* y, Accumulate mode, T scale) {
    // The last run of axes that are to be summed; what lies before it is left to another round.
    const auto kept = [&](Index axis) {
        const Index own = axis - (from.rank() - to.rank());
        return own >= 0 && to.dim(own) == from.dim(axis);
    };
    Index last = from.rank();
    while (last > 0 && (kept(last - 1) || from.dim(last - 1) == 1)) --last;
    Index first = last, before = 0;
    while (first > 0 && (!kept(first - 1) || from.dim(first - 1) == 1)) --first;
    for (Index axis = 0; axis < first; ++axis) before += kept(axis) ? 0 : 1;
    const Index outer = from.product(0, first), reduced = from.product(first, last);
    const Index inner = from.product(last, from.rank());
    if (before == 0) return reduce_sum(outer, reduced, inner, x, y, mode, scale);
    const Scratch<T> partial(outer * inner);
    reduce_sum(outer, reduced, inner, x, partial.data());
    Shape shorter = from;
    for (Index axis = first; axis < last; ++axis) shorter = shorter.with(axis, 1);
    sum_to(shorter, to, partial.data(), y, mode, scale);
}

template <class T>
T sum(Index n, const T* x) {
    T result = 0;
    detail::sum_terms<T, 1>({x}, 1, n, &result, Accumulate::write, T(1), detail::Identity{});
    return result;
}

template <class T>
T sum_of_squares(Index n, const T* x) {
    T result = 0;
    detail::sum_terms<T, 1>({x}, 1, n, &result, Accumulate::write, T(1), [](const auto& v) { return v * v; });
    return result;
}

}  // namespace genmod::kernels
