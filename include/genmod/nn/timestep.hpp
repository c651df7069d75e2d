// Time as a vector: sinusoids, random Fourier features, and the small network behind them.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"

namespace genmod::nn {

namespace detail {

// angles [n, half] -> [n, width]: sines and cosines side by side, then zeros.
template <class T>
Tensor<T> sines_and_cosines(const Tensor<double>& angles, Index width, bool cosines_first) {
    const Index n = angles.dim(0), half = angles.dim(1);
    Tensor<double> sines(angles.shape()), cosines(angles.shape());
    kernels::unary(kernels::Unary::sin, angles.data(), sines.data(), angles.size());
    kernels::unary(kernels::Unary::cos, angles.data(), cosines.data(), angles.size());
    const Tensor<double>& left = cosines_first ? cosines : sines;
    const Tensor<double>& right = cosines_first ? sines : cosines;
    auto result = Tensor<T>::zeros({n, width});
    for (Index row = 0; row < n; ++row)
        for (Index k = 0; k < half; ++k) {
            result[row * width + k] = static_cast<T>(left[row * half + k]);
            result[row * width + half + k] = static_cast<T>(right[row * half + k]);
        }
    return result;
}

}  // namespace detail

struct SinusoidOptions {
    bool flip_sin_to_cos = false;  // cosines before sines
    double freq_shift = 1;
    double max_period = 10000;
    double scale = 1;  // of the angles
};

// t [n] -> [n, width], diffusers' get_timestep_embedding: with half = width / 2, number k of sin and cos is that of
// scale * t * max_period^(-k / (half - freq_shift)). Odd widths end with a zero. (Vaswani et al. 2017, 3.5)
template <class T>
Tensor<T> sinusoid_embedding(const Tensor<T>& t, Index width, const SinusoidOptions& options = {}) {
    const Index half = width / 2;
    const double steps = static_cast<double>(half) - options.freq_shift;
    check(t.rank() == 1 && half >= 1 && options.max_period > 0 && (steps > 0 || half == 1), "sinusoid_embedding: t ",
          t.shape(), ", width ", width, ", freq_shift ", options.freq_shift, " do not go together");
    double log_period = options.max_period;
    kernels::unary(kernels::Unary::log, &log_period, &log_period, 1);
    Tensor<double> frequencies({half}), angles({t.size(), half});
    for (Index k = 0; k < half; ++k) frequencies[k] = k == 0 ? 0 : -log_period * static_cast<double>(k) / steps;
    kernels::unary(kernels::Unary::exp, frequencies.data(), frequencies.data(), half);
    for (Index row = 0; row < t.size(); ++row)
        for (Index k = 0; k < half; ++k)
            angles[row * half + k] = options.scale * static_cast<double>(t[row]) * frequencies[k];
    return detail::sines_and_cosines<T>(angles, width, options.flip_sin_to_cos);
}

struct FourierOptions {
    double scale = 16;  // deviation of the random frequencies
    bool log = true;    // of log(t) instead of t
    bool flip_sin_to_cos = false;
};

// t [n] -> [n, 2 width]: sin and cos of 2 pi w t for random w that stay as they are, diffusers'
// GaussianFourierProjection (Tancik et al. 2020; Song et al. 2021 put log(sigma) in).
template <class T>
struct FourierEmbedding : Module {
    Tensor<T> weight;  // [width]
    FourierOptions options;

    FourierEmbedding(Index width, Rng& rng, FourierOptions o = {})
        : weight(normal_parameter<T>({width}, o.scale, rng).value()), options(o) {}

    Tensor<T> operator()(const Tensor<T>& t) const {
        check(t.rank() == 1, "FourierEmbedding: expected times [n], found ", t.shape());
        Tensor<double> times = cast<double>(t);
        if (options.log) kernels::unary(kernels::Unary::log, times.data(), times.data(), times.size());
        const Index width = weight.size();
        Tensor<double> angles({t.size(), width});
        for (Index row = 0; row < t.size(); ++row)
            for (Index k = 0; k < width; ++k)
                angles[row * width + k] = 6.283185307179586 * static_cast<double>(weight[k]) * times[row];
        return detail::sines_and_cosines<T>(angles, 2 * width, options.flip_sin_to_cos);
    }

    static void visit(auto& self, auto&& f) { f("weight", self.weight); }
};

// Linear, SiLU, Linear: x [n, in] -> [n, out].
template <class T>
struct TimestepEmbedding : Module {
    Linear<T> linear_1, linear_2;

    TimestepEmbedding(Index in, Index out, Rng& rng) : linear_1(in, out, rng), linear_2(out, out, rng) {}

    Var<T> operator()(const Var<T>& x) const { return linear_2(linear_1(x, kernels::Unary::silu)); }
    Dual<T> operator()(const Dual<T>& x) const { return linear_2(linear_1(x, kernels::Unary::silu)); }

    static void visit(auto& self, auto&& f) {
        f("linear_1", self.linear_1);
        f("linear_2", self.linear_2);
    }
};

}  // namespace genmod::nn
