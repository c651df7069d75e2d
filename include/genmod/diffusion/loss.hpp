// Training losses of diffusion models on a schedule.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/bound.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/loss_terms.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/training_inputs.hpp"

namespace genmod::diffusion {

// One step's worth of training data.
template <class T>
struct TrainingInputs {
    Tensor<T> x0;               // [n, ..., c]
    Tensor<T> noise;            // like x0
    Tensor<T> noisy;            // like x0: what the network sees
    std::vector<Index> t;       // n
    std::vector<Index> labels;  // n, or empty
    Tensor<T> times() const {
        Tensor<T> result({static_cast<Index>(t.size())});
        for (Index k = 0; k < result.size(); ++k) result[k] = static_cast<T>(t[static_cast<std::size_t>(k)]);
        return result;
    }
};

// Draws t, uniform in 0..T-1, noise and dropped labels. Throws Error when labels (none, or one for each picture of x0)
// or options do not fit.
template <class T>
TrainingInputs<T> draw_training_inputs(const Schedule& schedule, const Tensor<T>& x0, std::vector<Index> labels,
                                       const LossOptions& options, const TrainingKey& key) {
    detail::check_batch(x0, labels, options);
    const TrainingNoise<T> noise = detail::draw_noise<T>(x0.shape(), options, key);
    TrainingInputs<T> inputs{.x0 = x0,
                             .noise = noise.target,
                             .noisy = {},
                             .t = {},
                             .labels = detail::drop_labels(std::move(labels), options, key)};
    for (Index k = 0; k < x0.dim(0); ++k) {
        const double u = detail::sample_uniform(key, Purpose::timestep, k);
        inputs.t.push_back(static_cast<Index>(u * static_cast<double>(schedule.steps())));
    }
    inputs.noisy = add_noise(schedule, x0, noise.seen, inputs.t);
    return inputs;
}

namespace detail {

// Flow matching trains without a table of betas (diffusion/flow_matching.hpp).
inline void check_schedule_predicts(PredictionType type) {
    check(type != PredictionType::flow_prediction,
          "loss: flow_prediction is trained by FlowMatching, not on a schedule");
}

}  // namespace detail

// How much a squared error at step t counts.
inline double snr_weight(const Schedule& schedule, Index t, PredictionType type, double gamma) {
    if (gamma == 0) return 1;
    const double snr = schedule.snr(t), least = std::min(snr, gamma);
    switch (type) {
        case PredictionType::epsilon: return snr == 0 ? 1 : least / snr;
        case PredictionType::sample: return least;
        case PredictionType::v_prediction: return least / (snr + 1);
        case PredictionType::flow_prediction: break;
    }
    detail::check_schedule_predicts(type);
    fail(ErrorCode::internal, "prediction type: not one of the enumerators");
}

// The loss of each sample, given the network's output for these inputs.
template <class T>
LossTerms<T> loss_terms(const Schedule& schedule, const TrainingInputs<T>& inputs, const Tensor<T>& output,
                        const LossOptions& options) {
    const bool hybrid = options.kind == LossKind::hybrid;
    const auto bound = [&] {
        const VarianceType type = hybrid ? VarianceType::learned_range : options.variance_type;
        return bound_terms(schedule, inputs.x0, inputs.noisy, inputs.t, output,
                           {.prediction_type = options.prediction_type, .variance_type = type, .stop_mean = hybrid});
    };
    if (options.kind == LossKind::vlb) return bound();
    const auto target = [&] {
        switch (options.prediction_type) {
            case PredictionType::epsilon: return inputs.noise;
            case PredictionType::sample: return inputs.x0;
            case PredictionType::v_prediction: return velocity(schedule, inputs.x0, inputs.noise, inputs.t);
            case PredictionType::flow_prediction: break;
        }
        detail::check_schedule_predicts(options.prediction_type);
        fail(ErrorCode::internal, "prediction type: not one of the enumerators");
    }();
    std::vector<double> weights;
    for (const Index t : inputs.t)
        weights.push_back(snr_weight(schedule, t, options.prediction_type, options.min_snr_gamma));
    LossTerms<T> terms = squared_error_terms(output, target, weights);
    if (hybrid) terms = add(terms, static_cast<double>(schedule.steps()) / 1000, bound());
    return terms;
}

// The loss of a step: draws inputs, asks network(x [n, ..., c], t [n]) or network(x, t, labels), compares. Throws
// Error(non_finite), with the step, when the loss is NaN or infinite.
template <class T, class Network>
Var<T> training_loss(const Network& network, const Schedule& schedule, const Tensor<T>& x0,
                     const std::vector<Index>& labels, const LossOptions& options, const TrainingKey& key) {
    const TrainingInputs<T> inputs = draw_training_inputs(schedule, x0, labels, options, key);
    const Var<T> output = detail::ask_in_training(network, inputs.noisy, inputs.times(), inputs.labels);
    return detail::finish_loss(output, loss_terms(schedule, inputs, output.value(), options), key);
}

}  // namespace genmod::diffusion
