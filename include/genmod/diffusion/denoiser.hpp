// From a network's raw output to a prediction: conversion, clipping, thresholding.
#pragma once

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/threshold.hpp"

namespace genmod::diffusion {

// Names and defaults are those of diffusers' schedulers.
struct DenoiserOptions {
    PredictionType prediction_type = PredictionType::epsilon;
    bool clip_sample = true;
    double clip_sample_range = 1;
    bool thresholding = false;  // wins over clip_sample
    double dynamic_thresholding_ratio = 0.995;
    double sample_max_value = 1;
    double sigma_data = 0;  // not 0: the network is preconditioned for data of this deviation (EDM; 0.5 is usual)
    double sigma_min = 0;   // of a preconditioned consistency model: where a picture counts as clean
};

namespace detail {

// Channels first..last-1 of a tensor [..., c].
template <class T>
Tensor<T> channels(const Tensor<T>& x, Index first, Index last) {
    const Index all = x.dim(-1), kept = last - first, rows = x.size() / all;
    Tensor<T> result(x.shape().with(-1, kept));
    for (Index r = 0; r < rows; ++r) std::copy_n(x.data() + r * all + first, kept, result.data() + r * kept);
    return result;
}

template <class T>
const Tensor<T>& tensor_of(const Tensor<T>& tensor) {
    return tensor;
}
template <class V>
    requires requires(const V& var) { var.value(); }
const auto& tensor_of(const V& var) { return var.value(); }

}  // namespace detail

// Asks a network and reads its answer. Network: (x [n, ..., c], t [n]) -> Tensor or Var [n, ..., c], or [n, ..., 2c]
// when it also predicts the variance. One that wants to know the noise level is asked (x, t, level).
template <class Network>
class Denoiser {
public:
    explicit Denoiser(Network network, const DenoiserOptions& options = {})
        : network_(std::move(network)), options_(options) {}

    // Throws Error when the output does not have the shape of x (or twice its channels).
    template <class T>
    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& level) const {
        const Reading way = reading(options_.prediction_type, level, options_.sigma_data, options_.sigma_min);
        const Tensor<T> input = way.input == 1 ? x : combine(way.input, x, 0, x);
        const auto t = Tensor<T>::full({x.dim(0)}, static_cast<T>(level.t));
        if constexpr (std::invocable<const Network&, const Tensor<T>&, const Tensor<T>&, const NoiseLevel&>)
            return read(detail::tensor_of(network_(input, t, level)), x, way);
        else
            return read(detail::tensor_of(network_(input, t)), x, way);
    }

private:
    template <class T>
    Prediction<T> read(const Tensor<T>& answer, const Tensor<T>& x, const Reading& way) const {
        const Index c = x.dim(-1);
        const bool two = answer.shape() == x.shape().with(-1, 2 * c);
        check(two || answer.shape() == x.shape(), "denoiser: the network made ", answer.shape(), " of ", x.shape());
        Prediction<T> result = to_prediction(way, two ? detail::channels(answer, 0, c) : answer, x);
        if (two) result.variance = detail::channels(answer, c, 2 * c);
        if (options_.thresholding)
            result.x0 = dynamic_threshold(result.x0, options_.dynamic_thresholding_ratio, options_.sample_max_value);
        else if (options_.clip_sample)
            result.x0 = clip(result.x0, options_.clip_sample_range);
        return result;
    }

    Network network_;
    DenoiserOptions options_;
};

// A denoiser for sample(). It keeps a copy of `network`: hand in a lambda that refers to the real one.
template <class Network>
Denoiser<Network> denoiser(Network network, const DenoiserOptions& options = {}) {
    return Denoiser<Network>(std::move(network), options);
}

}  // namespace genmod::diffusion
