// Layer normalisation: each row by itself, in sixteen virtual lanes.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/wide.hpp"
#include "genmod/kernels/norm.hpp"

namespace genmod::kernels::detail {

// Up to 512 rows of about 2^14 numbers make a tile; the gradients of weight and bias are summed tile by tile.
inline Index rows_of_tile(Index channels) { return std::clamp((Index{1} << 14) / channels, Index{1}, Index{512}); }

// Mean and 1 / sqrt(variance + eps) of a row, the variance by a second pass that also mends the mean.
template <class T>
void row_moments(const T* x, Index channels, T eps, T& mean, T& rstd) {
    using simd::Wide;
    Wide<T> sums(T(0)), squares(T(0)), rest(T(0));
    simd::for_wide(channels, [&](Index k, Index some) { sums = sums + simd::load_some(x + k, some); });
    const T center = simd::sum(sums) / static_cast<T>(channels);
    simd::for_wide(channels, [&](Index k, Index some) {
        const Wide<T> deviation = simd::load_some(x + k, some, center) - Wide<T>(center);
        rest = rest + deviation;
        squares = simd::fma(deviation, deviation, squares);
    });
    const double number = static_cast<double>(channels);
    const double shift = static_cast<double>(simd::sum(rest)) / number;
    const double variance = std::max(0.0, static_cast<double>(simd::sum(squares)) / number - shift * shift);
    mean = static_cast<T>(static_cast<double>(center) + shift);
    rstd = static_cast<T>(1.0 / std::sqrt(variance + static_cast<double>(eps)));
}

template <class T, class Out>
void normalise_row(const T* x, Index channels, const T* weight, const T* bias, T mean, T rstd, Out* y) {
    using simd::Wide;
    const Wide<T> center(mean), factor(rstd);
    simd::for_wide(channels, [&](Index k, Index some) {
        Wide<T> value = (simd::load_some(x + k, some) - center) * factor;
        if (weight != nullptr) {
            const Wide<T> gain = simd::load_some(weight + k, some);
            value = bias == nullptr ? value * gain : simd::fma(value, gain, simd::load_some(bias + k, some));
        } else if (bias != nullptr) {
            value = value + simd::load_some(bias + k, some);
        }
        simd::store_some(y + k, some, value);
    });
}

// dx = rstd (w dy - mean(w dy) - normal mean(w dy normal)); adds dy and dy normal to `sums` [2][channels].
template <class T>
void layer_norm_row_backward(const T* x, Index channels, const T* weight, T mean, T rstd, const T* dy,
                             const Gradient<T>& dx, T* sums) {
    using simd::Wide;
    const Wide<T> center(mean), factor(rstd);
    Wide<T> sum(T(0)), product(T(0));
    simd::for_wide(channels, [&](Index k, Index some) {
        const Wide<T> normal = (simd::load_some(x + k, some, mean) - center) * factor;
        const Wide<T> slope = simd::load_some(dy + k, some);
        simd::store_some(sums + k, some, simd::load_some(sums + k, some) + slope);
        T* products = sums + channels;
        simd::store_some(products + k, some, simd::fma(slope, normal, simd::load_some(products + k, some)));
        const Wide<T> weighted = weight == nullptr ? slope : slope * simd::load_some(weight + k, some);
        sum = sum + weighted;
        product = simd::fma(weighted, normal, product);
    });
    if (dx.data == nullptr) return;
    const Wide<T> offset(-simd::sum(sum) / static_cast<T>(channels));
    const Wide<T> fall(-simd::sum(product) / static_cast<T>(channels));
    simd::for_wide(channels, [&](Index k, Index some) {
        const Wide<T> normal = (simd::load_some(x + k, some, mean) - center) * factor;
        const Wide<T> slope = simd::load_some(dy + k, some);
        const Wide<T> weighted = weight == nullptr ? slope : slope * simd::load_some(weight + k, some);
        const Wide<T> result = (weighted + simd::fma(normal, fall, offset)) * factor;
        const bool add = dx.mode == Accumulate::add;
        simd::store_some(dx.data + k, some, add ? simd::load_some(dx.data + k, some) + result : result);
    });
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T, class Out>
void layer_norm(Index rows, Index channels, const T* x, const T* weight, const T* bias, T eps, Out* y, T* mean,
                T* rstd) {
    parallel_ranges(rows, detail::rows_of_tile(channels), [&](Index first, Index last) {
        for (Index row = first; row < last; ++row) {
            detail::row_moments(x + row * channels, channels, eps, mean[row], rstd[row]);
            detail::normalise_row(x + row * channels, channels, weight, bias, mean[row], rstd[row], y + row * channels);
        }
    });
}

template <class T>
void layer_norm_backward(Index rows, Index channels, const T* x, const T* weight, const T* mean, const T* rstd,
                         const T* dy, const NormGradients<T>& gradients) {
    const Index grain = detail::rows_of_tile(channels), tiles = (rows + grain - 1) / grain;
    const Scratch<T> parts(tiles * 2 * channels);
    parallel_ranges(rows, grain, [&](Index first, Index last) {
        T* sums = parts.data() + first / grain * 2 * channels;
        std::fill(sums, sums + 2 * channels, T(0));
        for (Index row = first; row < last; ++row) {
            Gradient<T> dx = gradients.x;
            if (dx.data != nullptr) dx.data += row * channels;
            detail::layer_norm_row_backward(x + row * channels, channels, weight, mean[row], rstd[row],
                                            dy + row * channels, dx, sums);
        }
    });
    for (Index part = 0; part < 2; ++part) {
        const Gradient<T>& gradient = part == 0 ? gradients.bias : gradients.weight;
        for (Index c = 0; c < channels && gradient.data != nullptr; ++c) {
            double sum = 0;
            for (Index tile = 0; tile < tiles; ++tile)
                sum += static_cast<double>(parts.data()[(tile * 2 + part) * channels + c]);
            T& to = gradient.data[c];
            to = gradient.mode == Accumulate::add ? to + static_cast<T>(sum) : static_cast<T>(sum);
        }
    }
}

}  // namespace genmod::kernels
