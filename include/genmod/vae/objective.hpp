// What training a variational autoencoder minimises.
#pragma once

#include <algorithm>
#include <cstdint>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/vae/bound.hpp"
#include "genmod/vae/vae.hpp"

namespace genmod::vae {

enum class Bound { elbo, importance_weighted };

// The loss is reconstruction + beta |KL - capacity|, each of a sample, the mean over the batch (Higgins et al. 2017,
// eq. 4; Burgess et al. 2018, eq. 8). beta and capacity rise in a straight line from 0 over their warm-up steps.
// importance_weighted is trained as it stands (Burda et al. 2016).
struct ObjectiveOptions {
    Bound bound = Bound::elbo;
    Index draws = 1;  // latents drawn for each sample
    double beta = 1;
    Index beta_warmup = 0;
    double capacity = 0;  // nats
    Index capacity_warmup = 0;
};

// A loss, and its parts for the eye: means over the batch.
template <class T>
struct TrainingLoss {
    Var<T> loss;                // []
    double reconstruction = 0;  // -log p(x | z) in nats
    double latent = 0;          // the KL in nats, or what else holds the latents together
};

namespace detail {

// How far a warm-up is before step `step` (0, 1, ...), in 0..1.
inline double warmed_up(std::uint64_t step, Index warmup) {
    return warmup <= 0 ? 1.0 : std::min(1.0, static_cast<double>(step) / static_cast<double>(warmup));
}

template <class T>
double mean_of(const Var<T>& x) {
    double sum = 0;
    for (const T value : x.value()) sum += static_cast<double>(value);
    return sum / static_cast<double>(std::max<Index>(1, x.size()));
}

}  // namespace detail

// The loss of x [n, ...] at step `step`, with given noise [n, draws, latent]. Throws Error when options or shapes do
// not fit.
template <class T>
TrainingLoss<T> objective(const Vae<T>& model, const Tensor<T>& x, const Tensor<T>& noise,
                          const ObjectiveOptions& options, std::uint64_t step = 0) {
    check(options.beta >= 0 && options.capacity >= 0, "VAE: beta ", options.beta, " or capacity ", options.capacity,
          " is negative");
    if (options.bound == Bound::importance_weighted) {
        check(options.beta == 1 && options.capacity == 0 && options.beta_warmup == 0,
              "VAE: the importance-weighted bound has neither beta nor capacity");
        const Var<T> loss = ops::scale(ops::mean(importance_weighted_bound(model, x, noise)), -1);
        return {loss, static_cast<double>(loss.item()), 0};
    }
    const ElboTerms<T> terms = elbo_terms(model, x, noise);
    const double beta = options.beta * detail::warmed_up(step, options.beta_warmup);
    const double capacity = options.capacity * detail::warmed_up(step, options.capacity_warmup);
    const Var<T> away = capacity == 0 ? terms.kl : ops::abs(ops::add_scalar(terms.kl, -capacity));
    const Var<T> loss = ops::mean(ops::add(terms.reconstruction, ops::scale(away, beta)));
    return {loss, detail::mean_of(terms.reconstruction), detail::mean_of(terms.kl)};
}

// The same with noise drawn by (seed, step, sample).
template <class T>
TrainingLoss<T> training_loss(const Vae<T>& model, const Tensor<T>& x, const ObjectiveOptions& options,
                              std::uint64_t seed, std::uint64_t step) {
    check(options.draws >= 1 && x.rank() >= 1, "VAE: ", options.draws, " draws for x ", x.shape());
    const auto noise = nn::step_normals<T>({x.dim(0), options.draws, model.config.latent}, seed, step);
    return objective(model, x, noise, options, step);
}

}  // namespace genmod::vae
