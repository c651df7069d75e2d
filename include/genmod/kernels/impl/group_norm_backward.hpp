// Gradients of normalisation: the sums that each sample's gradient needs, then the gradient.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/group_norm.hpp"
#include "genmod/kernels/impl/norm_columns.hpp"
#include "genmod/kernels/norm.hpp"

namespace genmod::kernels::detail {

// Sums over a chunk's positions, for each channel, of dv and dv * (x - mean): [2][channels]. Keeps dv [count] unless
// null.
template <class T>
void chunk_products(const GroupPlan& plan, const T* x, const T* dy, const ColumnFactors<T>& at, bool with_silu,
                    Index count, double* products, T* dv) {
    const Index width = plan.columns.width, channels = plan.shape.channels;
    const Scratch<T> columns(2 * width);
    const ColumnSums<T> sums{.slope = columns.data(), .product = columns.data() + width, .dv = dv};
    if (with_silu)
        column_products<T, true>(plan.columns, x, dy, count, at, sums);
    else
        column_products<T, false>(plan.columns, x, dy, count, at, sums);
    std::fill(products, products + 2 * channels, 0.0);
    for (Index part = 0; part < 2; ++part)
        for (Index f = 0, j = 0; f < plan.columns.fold; ++f)
            for (Index c = 0; c < channels; ++c, ++j)
                products[part * channels + c] += static_cast<double>(columns.data()[part * width + j]);
}

// slope and constant of one sample: with M numbers in a group and sums over it,
// dx = factor dv - sum(factor dv) / M - (x - mean) rstd^2 sum(factor dv (x - mean)) / M.
template <class T>
void backward_factors(const GroupPlan& plan, T eps, const Moments<T>& moments, bool given, Index sample,
                      const double* products, ColumnFactors<T>& at, T* memory) {
    const Index channels = plan.shape.channels, groups = plan.shape.groups, width = plan.columns.width;
    at.slope = memory;
    at.constant = memory + width;
    const double number = static_cast<double>(plan.sample_size() / groups);
    for (Index g = 0; g < groups; ++g) {
        double sum = 0, product = 0;
        for (Index c = g * plan.depth(); c < (g + 1) * plan.depth() && !given; ++c) {
            sum += static_cast<double>(at.factor[c]) * products[c];
            product += static_cast<double>(at.factor[c]) * products[channels + c];
        }
        const double variance = static_cast<double>(moments.variance[sample * groups + g]) + static_cast<double>(eps);
        for (Index c = g * plan.depth(); c < (g + 1) * plan.depth(); ++c) {
            at.constant[c] = static_cast<T>(-sum / number);
            at.slope[c] = static_cast<T>(-product / (number * variance));
        }
    }
    for (Index k = channels; k < width; ++k) {
        at.slope[k] = at.slope[k - channels];
        at.constant[k] = at.constant[k - channels];
    }
}

// dx of a chunk that begins at number `first`, from its dy, or from its dv when not with_silu.
template <class T>
void input_gradient_chunk(const GroupPlan& plan, const T* x, const T* dy, const ColumnFactors<T>& at, bool with_silu,
                          Index first, Index count, const Gradient<T>& dx) {
    if (with_silu)
        input_gradient<T, true>(plan.columns, x + first, dy, count, at, dx.data + first, dx.mode);
    else
        input_gradient<T, false>(plan.columns, x + first, dy, count, at, dx.data + first, dx.mode);
}

template <class T>
void put(const Gradient<T>& gradient, Index k, double value) {
    if (gradient.data == nullptr) return;
    T& to = gradient.data[k];
    to = gradient.mode == Accumulate::add ? to + static_cast<T>(value) : static_cast<T>(value);
}

// Gradients of weight, bias, scale and shift from the sums [n][2][channels] of all samples.
template <class T>
void affine_gradients(const GroupPlan& plan, const NormAffine<T>& affine, T eps, const Moments<T>& moments,
                      const double* products, const NormGradients<T>& gradients) {
    const GroupShape& shape = plan.shape;
    for (Index c = 0; c < shape.channels; ++c) {
        double weight_sum = 0, bias_sum = 0;
        const double weight = affine.weight == nullptr ? 1.0 : static_cast<double>(affine.weight[c]);
        const double bias = affine.bias == nullptr ? 0.0 : static_cast<double>(affine.bias[c]);
        for (Index s = 0; s < shape.n; ++s) {
            const T rstd = reciprocal_deviation(moments.variance[s * shape.groups + c / plan.depth()], eps);
            const double sum = products[s * 2 * shape.channels + c];
            const double product = products[(s * 2 + 1) * shape.channels + c] * static_cast<double>(rstd);
            const Index k = s * shape.channels + c;
            const double gain = affine.scale == nullptr ? 1.0 : 1.0 + static_cast<double>(affine.scale[k]);
            weight_sum += gain * product;
            bias_sum += gain * sum;
            put(gradients.scale, k, weight * product + bias * sum);
            put(gradients.shift, k, sum);
        }
        put(gradients.weight, c, weight_sum);
        put(gradients.bias, c, bias_sum);
    }
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void group_norm_backward(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps,
                         const Moments<T>& moments, bool given, const T* dy, const NormGradients<T>& gradients) {
    const detail::GroupPlan plan(shape);
    const Index channels = shape.channels, width = plan.columns.width;
    const Scratch<double> sums(shape.n * 2 * channels);
    const Scratch<double> parts(plan.chunks > 1 ? shape.n * plan.chunks * 2 * channels : 0);
    const auto input_gradient = [&](detail::ColumnFactors<T> at, Index sample, Index chunk, const T* slope, bool silu) {
        const Scratch<T> memory(2 * width);
        const double* products = sums.data() + sample * 2 * channels;
        detail::backward_factors(plan, eps, moments, given, sample, products, at, memory.data());
        detail::input_gradient_chunk(plan, x, slope, at, silu, plan.first(sample, chunk), plan.count(chunk),
                                     gradients.x);
    };
    // A sample in one piece keeps dv near by: SiLU's derivative takes longer than to store and load it.
    const bool keeps = affine.silu && plan.chunks == 1 && gradients.x.data != nullptr;
    plan.each([&](Index sample, Index chunk) {
        const Scratch<T> memory(3 * width);
        const auto at = detail::forward_factors(plan, affine, eps, moments, sample, memory.data());
        double* products =
            (plan.chunks > 1 ? parts.data() : sums.data()) + (sample * plan.chunks + chunk) * 2 * channels;
        const Index first = plan.first(sample, chunk);
        const Scratch<T> kept(keeps ? plan.sample_size() : 0);
        T* const dv = keeps ? kept.data() : nullptr;
        detail::chunk_products(plan, x + first, dy + first, at, affine.silu, plan.count(chunk), products, dv);
        if (plan.chunks == 1 && gradients.x.data != nullptr)
            input_gradient(at, sample, chunk, keeps ? dv : dy + first, affine.silu && !keeps);
    });
    if (plan.chunks > 1) {
        for (Index sample = 0; sample < shape.n; ++sample)
            for (Index k = 0; k < 2 * channels; ++k) {
                double& sum = sums.data()[sample * 2 * channels + k] = 0;
                for (Index chunk = 0; chunk < plan.chunks; ++chunk)
                    sum += parts.data()[(sample * plan.chunks + chunk) * 2 * channels + k];
            }
        if (gradients.x.data != nullptr)
            plan.each([&](Index sample, Index chunk) {
                const Scratch<T> memory(3 * width);
                input_gradient(detail::forward_factors(plan, affine, eps, moments, sample, memory.data()), sample,
                               chunk, dy + plan.first(sample, chunk), affine.silu);
            });
    }
    detail::affine_gradients(plan, affine, eps, moments, sums.data(), gradients);
}

}  // namespace genmod::kernels
