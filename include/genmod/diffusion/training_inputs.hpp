// What training losses share: their options, the keys of their random numbers, and noise and labels drawn by them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/loss_terms.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"

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

// The noise that a network is to find, and the noise in what it sees; both [n, ..., c].
template <class T>
struct TrainingNoise {
    Tensor<T> target;
    Tensor<T> seen;
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

// Throws Error unless there is one label for each picture of x0, or none at all, and the options make sense.
template <class T>
void check_batch(const Tensor<T>& x0, const std::vector<Index>& labels, const LossOptions& options) {
    check_options(options);
    check(x0.rank() >= 2 && (labels.empty() || static_cast<Index>(labels.size()) == x0.dim(0)), "loss: ", labels.size(),
          " labels for pictures ", x0.shape());
}

// The labels, each replaced by null_class as often as condition_dropout says.
inline std::vector<Index> drop_labels(std::vector<Index> labels, const LossOptions& options, const TrainingKey& key) {
    for (std::size_t k = 0; k < labels.size() && options.condition_dropout > 0; ++k)
        if (sample_uniform(key, Purpose::condition, static_cast<Index>(k)) < options.condition_dropout)
            labels[k] = options.null_class;
    return labels;
}

template <class T>
TrainingNoise<T> draw_noise(const Shape& shape, const LossOptions& options, const TrainingKey& key) {
    Tensor<T> noise = sample_normals<T>(shape, key, 0);
    if (options.offset_noise > 0)
        noise = add_offset(noise, options.offset_noise, sample_normals<T>({shape.dim(0), shape.dim(-1)}, key, 1));
    if (options.input_perturbation == 0) return {noise, noise};
    return {noise, combine(1, noise, options.input_perturbation, sample_normals<T>(shape, key, 2))};
}

// network(x, t), or network(x, t, labels) where there are labels.
template <class T, class Network>
Var<T> ask_in_training(const Network& network, const Tensor<T>& x, const Tensor<T>& times,
                       const std::vector<Index>& labels) {
    const Var<T> seen(x);
    if constexpr (requires { network(seen, times); })
        if (labels.empty()) return network(seen, times);
    if constexpr (requires { network(seen, times, labels); }) return network(seen, times, labels);
    fail(ErrorCode::argument, "loss: this network takes ", labels.empty() ? "" : "no ", "labels");
}

// The mean of the terms. Throws Error(non_finite), with the step, when it is NaN or infinite.
template <class T>
Var<T> finish_loss(const Var<T>& output, const LossTerms<T>& terms, const TrainingKey& key) {
    const Var<T> loss = mean_loss(output, terms);
    if (!is_finite(loss.item()))
        fail(ErrorCode::non_finite, "training: the loss of step ", key.step, " is NaN or infinite");
    return loss;
}

}  // namespace detail

}  // namespace genmod::diffusion
