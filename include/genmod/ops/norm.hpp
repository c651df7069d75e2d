// Normalisation layers' functions, channels last. Means and variances are over the numbers of a group (biased), as in
// y = (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias are [channels] or empty.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/norm.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/rounded.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::ops {

struct GroupNormOptions {
    Index groups = 32;
    double eps = 1e-5;
    Precision reader = Precision::full;  // of the product that alone reads the result (ops/rounded.hpp)
};

struct LayerNormOptions {
    double eps = 1e-5;
    Precision reader = Precision::full;  // as above
};

struct BatchNormOptions {
    double eps = 1e-5;
    double momentum = 0.1;  // share of the newest batch in the running statistics
};

// What batch normalisation remembers of the batches seen: [channels] each, and how many they were, [].
template <class T>
struct RunningMoments {
    Tensor<T> mean;
    Tensor<T> variance;
    Tensor<std::int64_t> batches;  // may be empty
};

namespace detail {

template <class T>
kernels::Gradient<T> gradient_for(const Sink<T>& sink) {
    return {sink.data, sink.mode};
}

template <class T>
void check_affine(const char* op, const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
    check(x.rank() >= 2 && x.size() > 0, op, ": expected numbers [n, ..., channels], found shape ", x.shape());
    const Shape channels{x.dim(-1)};
    check(weight.empty() || weight.shape() == channels, op, ": weight ", weight.shape(), " for x ", x.shape());
    check(bias.empty() || bias.shape() == channels, op, ": bias ", bias.shape(), " for x ", x.shape());
}

// The tensors that a normalisation's backward function keeps.
template <class T>
struct NormRecord {
    kernels::GroupShape shape;
    Tensor<T> x, weight, bias, scale, shift, mean, variance;
    bool silu = false;
    T eps = T(0);
    bool given = false;  // the moments do not depend on x

    kernels::NormAffine<T> affine() const { return {weight.data(), bias.data(), scale.data(), shift.data(), silu}; }
    kernels::Moments<T> moments() { return {mean.data(), variance.data()}; }

    void backward(const Tensor<T>& dy, Sinks<T>& sinks) {
        kernels::NormGradients<T> gradients;
        gradients.x = gradient_for(sinks[0]);
        gradients.weight = gradient_for(sinks[1]);
        gradients.bias = gradient_for(sinks[2]);
        gradients.scale = gradient_for(sinks[3]);
        gradients.shift = gradient_for(sinks[4]);
        kernels::group_norm_backward(shape, x.data(), affine(), eps, moments(), given, dy.data(), gradients);
    }
};

template <class T>
Var<T> group_norm(const char* op, bool silu, const Var<T>& x, const Var<T>& weight, const Var<T>& bias,
                  GroupNormOptions options, const Var<T>& scale, const Var<T>& shift) {
    check_affine(op, x, weight, bias);
    const Index n = x.dim(0), channels = x.dim(-1), groups = options.groups;
    check(groups >= 1 && channels % groups == 0, op, ": ", groups, " groups do not divide ", channels, " channels");
    const bool fits = scale.empty() || (scale.size() == n * channels && scale.dim(0) == n && scale.dim(-1) == channels);
    check(fits && (scale.empty() ? shift.empty() : shift.shape() == scale.shape()), op, ": scale ", scale.shape(),
          " and shift ", shift.shape(), " for x ", x.shape());
    NormRecord<T> record{.shape = {n, x.size() / (n * channels), channels, groups},
                         .x = x.value(),
                         .weight = weight.value(),
                         .bias = bias.value(),
                         .scale = scale.value(),
                         .shift = shift.value(),
                         .mean = Tensor<T>({n, groups}),
                         .variance = Tensor<T>({n, groups}),
                         .silu = silu,
                         .eps = static_cast<T>(options.eps)};
    Var<T> result = stored<T>(x.shape(), stores_rounded<T>(options.reader), [&](auto* y) {
        kernels::group_norm(record.shape, x.data(), record.affine(), record.eps, y, record.moments());
    });
    if (recording(x, weight, bias, scale, shift))
        result.attach(
            {x, weight, bias, scale, shift},
            [record = std::move(record)](const Tensor<T>& dy, Sinks<T>& sinks) mutable { record.backward(dy, sinks); });
    return result;
}

// The same by ops that know their tangents: x of any shape, moments along `axes`.
template <class T>
Dual<T> normalised(const Dual<T>& x, const std::vector<Index>& axes, double eps) {
    const Dual<T> centered = x - mean(x, axes, true);
    return centered / sqrt(mean(square(centered), axes, true) + eps);
}

template <class T>
Dual<T> with_affine(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias) {
    const Dual<T> weighted = weight.empty() ? x : x * weight;
    return bias.empty() ? weighted : weighted + bias;
}

}  // namespace detail

// Group normalisation (Wu and He 2018) of x [n, ..., channels]: a group is channels / groups neighbouring channels of
// one sample. With scale and shift [n, channels] (or [n, 1, ..., channels]): y * (1 + scale) + shift. Throws Error when
// they do not fit.
template <class T>
Var<T> group_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, GroupNormOptions options = {},
                  const Var<T>& scale = {}, const Var<T>& shift = {}) {
    return detail::group_norm("group_norm", false, x, weight, bias, options, scale, shift);
}

// silu(group_norm(...)) in one pass.
template <class T>
Var<T> group_norm_silu(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, GroupNormOptions options = {},
                       const Var<T>& scale = {}, const Var<T>& shift = {}) {
    return detail::group_norm("group_norm_silu", true, x, weight, bias, options, scale, shift);
}

template <class T>
Dual<T> group_norm(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, GroupNormOptions options = {}) {
    detail::check_affine("group_norm", x.value, weight, bias);
    const Index n = x.dim(0), channels = x.dim(-1), groups = options.groups;
    check(groups >= 1 && channels % groups == 0, "group_norm: ", groups, " groups do not divide ", channels,
          " channels");
    const Dual<T> cells = reshape(x, {n, x.size() / (n * channels), groups, channels / groups});
    return detail::with_affine(reshape(detail::normalised(cells, {1, 3}, options.eps), x.shape()), weight, bias);
}
template <class T>
Dual<T> group_norm_silu(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, GroupNormOptions options = {}) {
    return silu(group_norm(x, weight, bias, options));
}

// Layer normalisation (Ba et al. 2016) over the last axis; x [..., channels]. Throws Error when they do not fit.
template <class T>
Var<T> layer_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, LayerNormOptions options = {}) {
    detail::check_affine("layer_norm", x, weight, bias);
    const Index channels = x.dim(-1), rows = x.size() / channels;
    Tensor<T> mean({rows}), rstd({rows});
    Var<T> result = detail::stored<T>(x.shape(), detail::stores_rounded<T>(options.reader), [&](auto* y) {
        kernels::layer_norm(rows, channels, x.data(), weight.data(), bias.data(), static_cast<T>(options.eps), y,
                            mean.data(), rstd.data());
    });
    if (recording(x, weight, bias))
        result.attach({x, weight, bias},
                      [xv = x.value(), wv = weight.value(), mean, rstd](const Tensor<T>& dy, Sinks<T>& sinks) {
                          kernels::NormGradients<T> gradients;
                          gradients.x = detail::gradient_for(sinks[0]);
                          gradients.weight = detail::gradient_for(sinks[1]);
                          gradients.bias = detail::gradient_for(sinks[2]);
                          const Index width = xv.dim(-1);
                          kernels::layer_norm_backward(xv.size() / width, width, xv.data(), wv.data(), mean.data(),
                                                       rstd.data(), dy.data(), gradients);
                      });
    return result;
}

template <class T>
Dual<T> layer_norm(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, LayerNormOptions options = {}) {
    detail::check_affine("layer_norm", x.value, weight, bias);
    return detail::with_affine(detail::normalised(x, {-1}, options.eps), weight, bias);
}

namespace detail {

// running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
template <class T>
void collect_moments(Training& step, const RunningMoments<T>& running, const Tensor<T>& mean, const Tensor<T>& variance,
                     Index count, double momentum) {
    step.collect(step.next_place(), [to = running, mean, variance, count, momentum]() mutable {
        const T share = static_cast<T>(momentum), rest = static_cast<T>(1.0 - momentum);
        const T unbiased = static_cast<T>(momentum * static_cast<double>(count) / static_cast<double>(count - 1));
        for (Index c = 0; c < mean.size(); ++c) {
            to.mean[c] = rest * to.mean[c] + share * mean[c];
            to.variance[c] = rest * to.variance[c] + unbiased * variance[c];
        }
        if (!to.batches.empty()) ++to.batches[0];
    });
}

}  // namespace detail

// Batch normalisation (Ioffe and Szegedy 2015) of x [n, ..., channels]. Inside a Training scope each channel is
// normalised by the batch's own moments, and `running` follows them when the step is committed; elsewhere by `running`.
// Throws Error when shapes do not fit, or while training on a single number per channel.
template <class T>
Var<T> batch_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, const RunningMoments<T>& running,
                  BatchNormOptions options = {}) {
    detail::check_affine("batch_norm", x, weight, bias);
    const Index channels = x.dim(-1), count = x.size() / channels;
    check(running.mean.shape() == Shape{channels} && running.variance.shape() == Shape{channels},
          "batch_norm: running mean ", running.mean.shape(), " and variance ", running.variance.shape(), " for x ",
          x.shape());
    const bool given = training() == nullptr;
    check(given || count > 1, "batch_norm: cannot train on one number per channel, x ", x.shape());
    detail::NormRecord<T> record{.shape = {1, count, channels, channels},
                                 .x = x.value(),
                                 .weight = weight.value(),
                                 .bias = bias.value(),
                                 .scale = {},
                                 .shift = {},
                                 .mean = given ? running.mean.clone() : Tensor<T>({channels}),
                                 .variance = given ? running.variance.clone() : Tensor<T>({channels}),
                                 .eps = static_cast<T>(options.eps),
                                 .given = given};
    Tensor<T> y(x.shape());
    if (given) {
        kernels::group_norm_apply(record.shape, x.data(), record.affine(), record.eps, record.moments(), y.data());
    } else {
        kernels::group_norm(record.shape, x.data(), record.affine(), record.eps, y.data(), record.moments());
        detail::collect_moments(*training(), running, record.mean, record.variance, count, options.momentum);
    }
    Var<T> result(y);
    const Var<T> none;
    if (recording(x, weight, bias))
        result.attach(
            {x, weight, bias, none, none},
            [record = std::move(record)](const Tensor<T>& dy, Sinks<T>& sinks) mutable { record.backward(dy, sinks); });
    return result;
}
template <class T>
Dual<T> batch_norm(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, const RunningMoments<T>& running,
                   BatchNormOptions options = {}) {
    const Var<T> y = batch_norm(x.value, weight, bias, running, options);
    if (training() == nullptr) {
        const RunningMoments<T> centered{Tensor<T>::zeros(running.mean.shape()), running.variance, {}};
        return {y, batch_norm(x.tangent, weight, Var<T>{}, centered, options)};
    }
    const Dual<T> rows = reshape(x, {x.size() / x.dim(-1), x.dim(-1)});
    const Dual<T> all = detail::with_affine(detail::normalised(rows, {0}, options.eps), weight, bias);
    return {y, reshape(all.tangent, x.shape())};
}

}  // namespace genmod::ops
