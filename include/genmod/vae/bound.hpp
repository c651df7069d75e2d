// Bounds of log p(x) that a variational autoencoder is trained by: the ELBO, and the importance-weighted bound.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/vae/gaussian.hpp"
#include "genmod/vae/vae.hpp"

namespace genmod::vae {

namespace detail {

// [n, ...] -> [n * k, ...]: each sample k times, one after the other.
template <class T>
Tensor<T> repeated(const Tensor<T>& x, Index k) {
    if (k == 1) return x;
    const Index n = x.dim(0), size = x.size() / std::max<Index>(1, n);
    Tensor<T> result(x.shape().with(0, n * k));
    for (Index row = 0; row < n * k; ++row) std::copy_n(x.data() + row / k * size, size, result.data() + row * size);
    return result;
}

// log p(x | z) of latents z [n, k, latent] -> [n, k]
template <class T>
Var<T> log_likelihoods(const Vae<T>& model, const Tensor<T>& x, const Var<T>& z) {
    const Index n = z.dim(0), k = z.dim(1);
    const Var<T> output = model.decode(ops::reshape(z, Shape{n * k, z.dim(2)}));
    return ops::reshape(model.log_likelihood(output, repeated(x, k)), Shape{n, k});
}

}  // namespace detail

// The two parts of the ELBO in nats, [n] both: ELBO = -reconstruction - kl.
template <class T>
struct ElboTerms {
    Var<T> reconstruction;  // -log p(x | z), the mean over the draws
    Var<T> kl;              // KL(q(z | x) || N(0, 1)), exact
};

// The parts for x [n, ...] with draws from q by noise [n, k, latent] (Kingma and Welling 2014, eq. 10). Throws Error
// when shapes do not fit.
template <class T>
ElboTerms<T> elbo_terms(const Vae<T>& model, const Tensor<T>& x, const Tensor<T>& noise) {
    const Gaussian<T> q = model.encode(x);
    const Var<T> kl = kl_to_standard(q);
    const Var<T> likelihood = detail::log_likelihoods(model, x, reparameterise(q, Var<T>(noise)));
    return {ops::scale(ops::mean(likelihood, {1}), -1), kl};
}

// log p(x, z) - log q(z | x) in nats of the draws z by noise [n, k, latent], [n, k].
template <class T>
Var<T> log_weights(const Vae<T>& model, const Tensor<T>& x, const Gaussian<T>& q, const Tensor<T>& noise) {
    const Var<T> z = reparameterise(q, Var<T>(noise));
    const Var<T> likelihood = detail::log_likelihoods(model, x, z);
    const Var<T> prior = standard_log_density(z);
    const Var<T> joint = ops::add(likelihood, prior);
    return ops::sub(joint, log_density(q, Var<T>(noise)));
}

// The importance-weighted bound log(1/k sum of the weights) in nats of each sample, [n] (Burda et al. 2016, eq. 8):
// with one draw an estimate of the ELBO, with more it rises towards log p(x).
template <class T>
Var<T> importance_weighted_bound(const Vae<T>& model, const Tensor<T>& x, const Tensor<T>& noise) {
    const Var<T> weights = log_weights(model, x, model.encode(x), noise);
    return ops::add_scalar(ops::logsumexp(weights, 1), -std::log(static_cast<double>(noise.dim(1))));
}

}  // namespace genmod::vae
