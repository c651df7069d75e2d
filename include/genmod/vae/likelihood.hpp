// log p(x) of a variational autoencoder by importance sampling.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/vae/bound.hpp"
#include "genmod/vae/vae.hpp"

namespace genmod::vae {

struct ImportanceOptions {
    Index draws = 1000;      // latents for each sample, from the encoder's q(z | x)
    Index batch = 500;       // latents decoded together
    std::uint64_t seed = 0;  // sample k draws by seed + k
};

// Estimates of log p(x) in nats, which in the mean lie below it, and the standard error of each.
struct LogLikelihoods {
    std::vector<double> nats;
    std::vector<double> standard_errors;
};

namespace detail {

// Noise [n, count, d]: draw j of sample k comes from the stream (seed + k, begin + j), whatever is drawn together.
template <class T>
Tensor<T> draws_of(const Shape& shape, std::uint64_t seed, Index begin) {
    Tensor<T> noise(shape);
    const Index count = shape.dim(1), size = shape.dim(2);
    parallel_for(shape.dim(0) * count, [&](Index row) {
        fill_normal({.seed = seed + static_cast<std::uint64_t>(row / count),
                     .purpose = Purpose::latent,
                     .step = static_cast<std::uint64_t>(begin + row % count)},
                    noise.data() + row * size, size);
    });
    return noise;
}

// log(mean of e^w) and its standard error, to first order: deviation of the weights / (sqrt(count) mean).
inline void add_estimate(LogLikelihoods& result, const double* log_weights, Index count) {
    const double largest = *std::max_element(log_weights, log_weights + count);
    if (!is_finite(largest))
        fail(ErrorCode::non_finite, "VAE likelihood: NaN or infinity for sample ", result.nats.size());
    Tensor<double> weights({count});
    for (Index k = 0; k < count; ++k) weights[k] = log_weights[k] - largest;
    kernels::unary(kernels::Unary::exp, weights.data(), weights.data(), count);
    const auto n = static_cast<double>(count);
    const double mean = kernels::sum(count, weights.data()) / n;
    for (Index k = 0; k < count; ++k) weights[k] = weights[k] / mean - 1;
    const double squares = kernels::sum_of_squares(count, weights.data());
    double log_mean = 0;
    kernels::unary(kernels::Unary::log, &mean, &log_mean, Index{1});
    result.nats.push_back(largest + log_mean);
    result.standard_errors.push_back(count > 1 ? std::sqrt(squares / (n - 1) / n) : 0.0);
}

// The log weights of x [n, ...], [n, draws].
template <class T>
Tensor<double> all_log_weights(const Vae<T>& model, const Tensor<T>& x, std::uint64_t seed,
                               const ImportanceOptions& options) {
    const Index n = x.dim(0), latent = model.config.latent, block = std::max<Index>(1, options.batch / n);
    const Gaussian<T> q = model.encode(x);
    Tensor<double> all({n, options.draws});
    for (Index begin = 0; begin < options.draws; begin += block) {
        if (stop_requested()) fail(ErrorCode::stopped, "VAE likelihood: stopped");
        const Index count = std::min(block, options.draws - begin);
        const Tensor<T> part = log_weights(model, x, q, draws_of<T>({n, count, latent}, seed, begin)).value();
        for (Index k = 0; k < n * count; ++k)
            all[k / count * options.draws + begin + k % count] = static_cast<double>(part[k]);
    }
    return all;
}

}  // namespace detail

// log p(x) = log E_q[p(x, z) / q(z | x)] of x [n, ...] (Burda et al. 2016, section 5.1; Rezende et al. 2014, appendix
// E). With data on a grid and a gaussian decoder it is a density: see metrics::bits_per_dim(). Throws Error when shapes
// or options do not fit, Error(non_finite), Error(stopped).
template <class T>
LogLikelihoods importance_sampled(const Vae<T>& model, const Tensor<T>& x, const ImportanceOptions& options = {}) {
    check(options.draws >= 1 && options.batch >= 1 && x.rank() >= 1, "VAE likelihood: ", options.draws,
          " draws in batches of ", options.batch, " for x ", x.shape());
    const NoGrad off;
    LogLikelihoods result;
    const Index together = std::max<Index>(1, options.batch / options.draws);
    for (Index first = 0; first < x.dim(0); first += together) {
        const Index last = std::min(x.dim(0), first + together);
        const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(first);
        const auto weights = detail::all_log_weights(model, x.slice(first, last), seed, options);
        for (Index k = 0; k < last - first; ++k)
            detail::add_estimate(result, weights.data() + k * options.draws, options.draws);
    }
    return result;
}

}  // namespace genmod::vae
