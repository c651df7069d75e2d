// Normal distributions of latents with a diagonal covariance, as an encoder describes them.
#pragma once

#include <cmath>
#include <numbers>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::vae {

// n distributions N(mean, e^log_variance) of d numbers, [n, d] both.
template <class T>
struct Gaussian {
    Var<T> mean;
    Var<T> log_variance;
};

namespace detail {

// [n, d] -> [n, 1, d]
template <class T>
Var<T> with_draws(const Var<T>& x) {
    return ops::reshape(x, Shape{x.dim(0), 1, x.dim(1)});
}

// -(log 2 pi) / 2 for each of d numbers
inline double normal_constant(Index d) { return -0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(d); }

}  // namespace detail

// z = mean + e^(log_variance / 2) noise, k draws of each: noise [n, k, d] -> [n, k, d] (Kingma and Welling 2014,
// section 2.4). Throws Error when the shapes do not fit.
template <class T>
Var<T> reparameterise(const Gaussian<T>& q, const Var<T>& noise) {
    check(noise.rank() == 3 && noise.shape().without(1) == q.mean.shape(), "reparameterise: noise ", noise.shape(),
          " for a mean ", q.mean.shape());
    const Var<T> mean = detail::with_draws(q.mean);
    const Var<T> deviation = ops::exp(ops::scale(detail::with_draws(q.log_variance), 0.5));
    const Var<T> moved = ops::mul(noise, deviation);
    return ops::add(moved, mean);
}

// The divergence KL(q || N(0, 1)) in nats of each sample, [n]: 1/2 sum(mean^2 + variance - 1 - log variance) (Kingma
// and Welling 2014, appendix B).
template <class T>
Var<T> kl_to_standard(const Gaussian<T>& q) {
    const Var<T> square = ops::square(q.mean);
    const Var<T> variance = ops::exp(q.log_variance);
    const Var<T> sum = ops::add(square, variance);
    const Var<T> rest = ops::add_scalar(ops::sub(sum, q.log_variance), -1);
    return ops::scale(ops::sum(rest, {1}), 0.5);
}

// log q(z) in nats at z = reparameterise(q, noise), [n, k].
template <class T>
Var<T> log_density(const Gaussian<T>& q, const Var<T>& noise) {
    const Var<T> spread = ops::scale(ops::sum(detail::with_draws(q.log_variance), {2}), -0.5);
    const Var<T> distance = ops::scale(ops::sum(ops::square(noise), {2}), -0.5);
    return ops::add_scalar(ops::add(distance, spread), detail::normal_constant(noise.dim(2)));
}

// log N(z; 0, 1) in nats of z [n, k, d] -> [n, k].
template <class T>
Var<T> standard_log_density(const Var<T>& z) {
    return ops::add_scalar(ops::scale(ops::sum(ops::square(z), {2}), -0.5), detail::normal_constant(z.dim(2)));
}

}  // namespace genmod::vae
