// Training on levels without a table of steps: what flow matching and EDM share.
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/training_inputs.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::diffusion {

// What becomes of a sample x0 and its noise at one level: the network sees seen_x0 * x0 + seen_noise * noise, is told
// `time`, and is to say target_x0 * x0 + target_noise * noise.
struct RegressionWeights {
    double seen_x0, seen_noise;
    double target_x0, target_noise;
    double time;
};

// One step's worth of training data for a network that is to say `target`.
template <class T>
struct RegressionInputs {
    Tensor<T> seen;             // [n, ..., c]
    Tensor<T> times;            // [n]
    Tensor<T> target;           // [n, ..., c]
    std::vector<Index> labels;  // n, or empty
};

// An objective of this kind draws the sigma of sample k of a step, and knows what to do there. check_options() throws
// Error when its own settings or the loss options do not fit.
template <class Objective>
concept Regression = requires(const Objective& objective, const LossOptions& options, const TrainingKey& key,
                              double s) {
    objective.check_options(options);
    { objective.draw_sigma(key, Index{}) } -> std::convertible_to<double>;
    { objective.weights(s, options) } -> std::convertible_to<RegressionWeights>;
};

// The data of samples x0 and their noise, each with its own weights. Throws Error when they do not fit.
template <class T>
RegressionInputs<T> regression_inputs(const Tensor<T>& x0, const TrainingNoise<T>& noise,
                                      const std::vector<RegressionWeights>& weights) {
    check(x0.rank() >= 1 && x0.dim(0) == static_cast<Index>(weights.size()), "regression: ", weights.size(),
          " weights for pictures ", x0.shape());
    const auto of = [&](Index k) { return weights[static_cast<std::size_t>(k)]; };
    RegressionInputs<T> inputs{.seen = detail::mix_samples(x0, noise.seen,
                                                           [&](Index k) {
                                                               return NoiseLevel{of(k).seen_x0, of(k).seen_noise};
                                                           }),
                               .times = Tensor<T>({x0.dim(0)}),
                               .target = detail::mix_samples(x0, noise.target,
                                                             [&](Index k) {
                                                                 return NoiseLevel{of(k).target_x0, of(k).target_noise};
                                                             }),
                               .labels = {}};
    for (Index k = 0; k < x0.dim(0); ++k) inputs.times[k] = static_cast<T>(of(k).time);
    return inputs;
}

// Draws sigmas, noise and dropped labels. Throws Error when labels (none, or one for each picture) or options do not
// fit.
template <class T, Regression Objective>
RegressionInputs<T> draw_training_inputs(const Objective& objective, const Tensor<T>& x0, std::vector<Index> labels,
                                         const LossOptions& options, const TrainingKey& key) {
    detail::check_batch(x0, labels, options);
    objective.check_options(options);
    std::vector<RegressionWeights> weights;
    for (Index k = 0; k < x0.dim(0); ++k) weights.push_back(objective.weights(objective.draw_sigma(key, k), options));
    auto inputs = regression_inputs(x0, detail::draw_noise<T>(x0.shape(), options, key), weights);
    inputs.labels = detail::drop_labels(std::move(labels), options, key);
    return inputs;
}

// The loss of a step, as on a Schedule: the mean squared error of what network(seen, times) or network(seen, times,
// labels) says. Throws Error(non_finite), with the step, when it is NaN or infinite.
template <class T, class Network, Regression Objective>
Var<T> training_loss(const Network& network, const Objective& objective, const Tensor<T>& x0,
                     const std::vector<Index>& labels, const LossOptions& options, const TrainingKey& key) {
    const RegressionInputs<T> inputs = draw_training_inputs(objective, x0, labels, options, key);
    const Var<T> output = detail::ask_in_training(network, inputs.seen, inputs.times, inputs.labels);
    const std::vector<double> weights(static_cast<std::size_t>(x0.dim(0)), 1.0);
    return detail::finish_loss(output, squared_error_terms(output.value(), inputs.target, weights), key);
}

namespace detail {

// Options that make sense on a schedule only.
inline void check_regression(const LossOptions& options, const char* what) {
    check(options.kind == LossKind::simple && options.min_snr_gamma == 0, what,
          ": the loss kinds vlb and hybrid and min_snr_gamma belong to schedules");
}

// f(x) with the same bits on every machine. Who calls it is a template (key and options are TrainingKey and
// LossOptions), so that only programs that train by it compile all such functions.
inline double exactly(kernels::Unary f, double x) {
    kernels::unary(f, &x, &x, 1);
    return x;
}

inline double sample_normal(const TrainingKey& key, Purpose purpose, Index k) {
    double value = 0;
    fill_normal(sample_stream(key, purpose, k), &value, 1);
    return value;
}

}  // namespace detail

}  // namespace genmod::diffusion
