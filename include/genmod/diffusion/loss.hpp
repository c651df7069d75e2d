// Training losses of diffusion models.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/bound.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/loss_terms.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

// simple: the mean squared error of what is predicted (Ho et al. 2020, eq. 14). vlb: the variational bound, in bits per
// dimension. hybrid: simple + T/1000 * vlb, where vlb trains the variance only (Nichol and Dhariwal 2021, eq. 16, in
// their code's scale).
enum class LossKind { simple, vlb, hybrid };

struct LossOptions {
    PredictionType prediction_type = PredictionType::epsilon;
    LossKind kind = LossKind::simple;
    VarianceType variance_type = VarianceType::learned_range;  // of vlb; hybrid always learns the range
    double min_snr_gamma = 0;       // Hang et al. 2023: weighs by min(SNR, gamma); 5 is usual, 0 is off. simple only
    double offset_noise = 0;        // this much noise that a whole channel shares; 0.1 is usual
    double input_perturbation = 0;  // this much more noise in what the network sees, not in its target; 0.1 is usual
    double condition_dropout = 0;   // how often a label becomes null_class, for classifier-free guidance; 0.1 is usual
    Index null_class = -1;
};

// Names the random numbers of one training step: sample k of the batch draws from streams of (seed, step, first + k),
// so that a batch may be cut into parts.
struct TrainingKey {
    std::uint64_t seed = 0;
    std::uint64_t step = 0;
    Index first_sample = 0;
};

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

namespace detail {

inline Stream sample_stream(const TrainingKey& key, Purpose purpose, Index k, std::uint32_t draw = 0) {
    return {.seed = key.seed,
            .purpose = purpose,
            .step = key.step,
            .sample = static_cast<std::uint32_t>(key.first_sample + k),
            .draw = draw};
}

inline double sample_uniform(const TrainingKey& key, Purpose purpose, Index k) {
    double value = 0;
    fill_uniform(sample_stream(key, purpose, k), &value, 1);
    return value;
}

// Standard normals, one stream for each sample.
template <class T>
Tensor<T> sample_normals(const Shape& shape, const TrainingKey& key, std::uint32_t draw) {
    Tensor<T> result(shape);
    const Index size = shape.product(1, shape.rank());
    parallel_for(shape.dim(0), [&](Index k) {
        fill_normal(sample_stream(key, Purpose::noise, k, draw), result.data() + k * size, size);
    });
    return result;
}

// noise + weight * z, where z [n, c] is shared by all pixels.
template <class T>
Tensor<T> add_offset(Tensor<T> noise, double weight, const Tensor<T>& z) {
    const Index n = noise.dim(0), c = noise.dim(-1), pixels = noise.size() / (n * c);
    for (Index k = 0; k < noise.size(); ++k) noise[k] += static_cast<T>(weight) * z[k / (pixels * c) * c + k % c];
    return noise;
}

inline void check_options(const LossOptions& options) {
    check(options.min_snr_gamma >= 0 && options.offset_noise >= 0 && options.input_perturbation >= 0,
          "loss: min_snr_gamma, offset_noise and input_perturbation must not be negative");
    check(options.min_snr_gamma == 0 || options.kind == LossKind::simple, "loss: min_snr_gamma goes with simple only");
    check(options.condition_dropout >= 0 && options.condition_dropout <= 1, "loss: condition_dropout ",
          options.condition_dropout, " is not in 0..1");
    check(options.condition_dropout == 0 || options.null_class >= 0,
          "loss: condition_dropout needs the number of the class that stands for none, null_class");
}

}  // namespace detail

// Draws t, uniform in 0..T-1, noise and dropped labels. Throws Error when labels (none, or one for each picture of x0)
// or options do not fit.
template <class T>
TrainingInputs<T> draw_training_inputs(const Schedule& schedule, const Tensor<T>& x0, std::vector<Index> labels,
                                       const LossOptions& options, const TrainingKey& key) {
    detail::check_options(options);
    check(x0.rank() >= 2 && (labels.empty() || static_cast<Index>(labels.size()) == x0.dim(0)), "loss: ", labels.size(),
          " labels for pictures ", x0.shape());
    TrainingInputs<T> inputs{.x0 = x0,
                             .noise = detail::sample_normals<T>(x0.shape(), key, 0),
                             .noisy = {},
                             .t = {},
                             .labels = std::move(labels)};
    for (Index k = 0; k < x0.dim(0); ++k) {
        const double u = detail::sample_uniform(key, Purpose::timestep, k);
        inputs.t.push_back(static_cast<Index>(u * static_cast<double>(schedule.steps())));
    }
    for (std::size_t k = 0; k < inputs.labels.size() && options.condition_dropout > 0; ++k)
        if (detail::sample_uniform(key, Purpose::condition, static_cast<Index>(k)) < options.condition_dropout)
            inputs.labels[k] = options.null_class;
    if (options.offset_noise > 0)
        inputs.noise = detail::add_offset(inputs.noise, options.offset_noise,
                                          detail::sample_normals<T>({x0.dim(0), x0.dim(-1)}, key, 1));
    const bool perturb = options.input_perturbation > 0;
    const Tensor<T> seen =
        perturb ? combine(1, inputs.noise, options.input_perturbation, detail::sample_normals<T>(x0.shape(), key, 2))
                : inputs.noise;
    inputs.noisy = add_noise(schedule, x0, seen, inputs.t);
    return inputs;
}

namespace detail {

// Flow matching trains without a table of betas (diffusion/flow_matching.hpp).
inline void check_schedule_predicts(PredictionType type) {
    check(type != PredictionType::flow_prediction, "loss: flow_prediction is trained by flow_loss, not on a schedule");
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
    const Var<T> noisy(inputs.noisy);
    const Var<T> output = [&] {
        if constexpr (requires { network(noisy, inputs.times()); })
            if (labels.empty()) return network(noisy, inputs.times());
        if constexpr (requires { network(noisy, inputs.times(), inputs.labels); })
            return network(noisy, inputs.times(), inputs.labels);
        fail(ErrorCode::argument, "loss: this network takes ", labels.empty() ? "" : "no ", "labels");
    }();
    const Var<T> loss = mean_loss(output, loss_terms(schedule, inputs, output.value(), options));
    if (!is_finite(loss.item()))
        fail(ErrorCode::non_finite, "training: the loss of step ", key.step, " is NaN or infinite");
    return loss;
}

}  // namespace genmod::diffusion
