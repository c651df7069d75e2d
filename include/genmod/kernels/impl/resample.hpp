// Definitions of kernels/resample.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/resample.hpp"

namespace genmod::kernels {

namespace detail {

template <class T>
void add_tap(Taps<T>& taps, Index source, double weight) {
    taps.source.push_back(source);
    taps.weight.push_back(static_cast<T>(weight));
}

template <class T>
void end_output(Taps<T>& taps) {
    taps.begin.push_back(static_cast<Index>(taps.source.size()));
    ++taps.out;
}

// The taps of one output of an axis.
template <class T>
struct TapRange {
    TapRange(const Taps<T>& taps, Index i)
        : source(taps.source.data() + taps.begin[static_cast<std::size_t>(i)]),
          weight(taps.weight.data() + taps.begin[static_cast<std::size_t>(i)]),
          count(taps.begin[static_cast<std::size_t>(i) + 1] - taps.begin[static_cast<std::size_t>(i)]) {}
    const Index* source;
    const T* weight;
    Index count;
};

// y [c] = weighted sum of pixels of x, of which a row holds row_step numbers.
template <class T>
void resample_pixel(const TapRange<T>& rows, const TapRange<T>& cols, Index c, Index row_step, const T* x, T* y,
                    Accumulate mode) {
    const bool add = mode == Accumulate::add;
    Index k = 0;
    for (; k + simd::lanes<T> <= c; k += simd::lanes<T>) {
        simd::Batch<T> sum = add ? simd::load(y + k) : simd::Batch<T>(T(0));
        for (Index i = 0; i < rows.count; ++i)
            for (Index j = 0; j < cols.count; ++j)
                sum = simd::fma(simd::Batch<T>(rows.weight[i] * cols.weight[j]),
                                simd::load(x + rows.source[i] * row_step + cols.source[j] * c + k), sum);
        simd::store(y + k, sum);
    }
    for (; k < c; ++k) {
        T sum = add ? y[k] : T(0);
        for (Index i = 0; i < rows.count; ++i)
            for (Index j = 0; j < cols.count; ++j)
                sum = simd::fma(rows.weight[i] * cols.weight[j], x[rows.source[i] * row_step + cols.source[j] * c + k],
                                sum);
        y[k] = sum;
    }
}

}  // namespace detail

template <class T>
Taps<T> nearest_taps(Index in, Index factor) {
    Taps<T> taps{.in = in};
    for (Index i = 0; i < in * factor; ++i) {
        detail::add_tap(taps, i / factor, 1);
        detail::end_output(taps);
    }
    return taps;
}

template <class T>
Taps<T> linear_taps(Index in, Index out) {
    Taps<T> taps{.in = in};
    for (Index i = 0; i < out; ++i) {
        const double ratio = static_cast<double>(in) / static_cast<double>(out);
        const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
        const Index left = std::min(static_cast<Index>(at), in - 1);
        const double part = at - static_cast<double>(left);
        if (left + 1 < in) {
            detail::add_tap(taps, left, 1 - part);
            detail::add_tap(taps, left + 1, part);
        } else {
            detail::add_tap(taps, left, 1);
        }
        detail::end_output(taps);
    }
    return taps;
}

template <class T>
Taps<T> mean_taps(Index in, Index size, Index stride) {
    Taps<T> taps{.in = in};
    for (Index first = 0; first + size <= in; first += stride) {
        for (Index k = 0; k < size; ++k) detail::add_tap(taps, first + k, 1 / static_cast<double>(size));
        detail::end_output(taps);
    }
    return taps;
}

template <class T>
Taps<T> stride_taps(Index in, Index stride) {
    Taps<T> taps{.in = in};
    for (Index source = 0; source < in; source += stride) {
        detail::add_tap(taps, source, 1);
        detail::end_output(taps);
    }
    return taps;
}

template <class T>
Taps<T> transposed(const Taps<T>& taps) {
    std::vector<std::vector<std::size_t>> users(static_cast<std::size_t>(taps.in));
    std::vector<Index> output(taps.source.size());
    for (Index i = 0; i < taps.out; ++i)
        for (Index k = taps.begin[static_cast<std::size_t>(i)]; k < taps.begin[static_cast<std::size_t>(i) + 1]; ++k) {
            const auto tap = static_cast<std::size_t>(k);
            output[tap] = i;
            users[static_cast<std::size_t>(taps.source[tap])].push_back(tap);
        }
    Taps<T> result{.in = taps.out};
    for (const auto& of_source : users) {
        for (const std::size_t tap : of_source) {
            result.source.push_back(output[tap]);
            result.weight.push_back(taps.weight[tap]);
        }
        detail::end_output(result);
    }
    return result;
}

template <class T>
void resample(const Taps<T>& rows, const Taps<T>& cols, Index n, Index c, const T* x, T* y, Accumulate mode) {
    const Index in_step = cols.in * c, out_step = cols.out * c;
    if (n * rows.out * out_step == 0) return;
    const Index work = out_step * std::max(Index{1}, static_cast<Index>(rows.source.size()) / rows.out) *
                       std::max(Index{1}, static_cast<Index>(cols.source.size()) / cols.out);  // of one row
    parallel_ranges(n * rows.out, std::max(Index{1}, 32768 / work), [&](Index first, Index last) {
        for (Index row = first; row < last; ++row) {
            const detail::TapRange<T> row_taps(rows, row % rows.out);
            const T* image = x + row / rows.out * rows.in * in_step;
            for (Index col = 0; col < cols.out; ++col)
                detail::resample_pixel(row_taps, detail::TapRange<T>(cols, col), c, in_step, image,
                                       y + row * out_step + col * c, mode);
        }
    });
}

}  // namespace genmod::kernels
