// The gradient penalty of WGAN-GP (Gulrajani et al. 2017), whose gradient is a gradient of a gradient.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::gan {

// The mean over samples of (|d critic / d x| - 1)^2 at x [n, ...], as a value that leads back to the critic's
// parameters; x is held fixed. The critic takes a Var or a Dual and gives one number for each sample, [n].
//
// With g the gradient at x and v = 2 (|g| - 1) g / |g| held fixed, the penalty's gradient is that of <v, g>, which is
// the critic's tangent along v: forward mode here, reverse mode in backward(). Where |g| is 0 the direction is unknown,
// and v is 0.
template <class T, class Critic>
Var<T> gradient_penalty(const Critic& critic, const Tensor<T>& x) {
    check(x.rank() >= 2 && x.size() > 0, "gradient penalty: expected samples, found shape ", x.shape());
    const WithGrad on;
    const auto leaf = Var<T>::parameter(x);
    const Var<T> said = critic(leaf);
    check(said.shape() == Shape{x.dim(0)}, "gradient penalty: the critic said ", said.shape(), " of ", x.shape());
    const Tensor<T> g = grad(said, {leaf}, Tensor<T>::full(said.shape(), T(1)))[0];

    const Index n = x.dim(0), size = x.size() / n;
    Tensor<T> v(x.shape());
    double penalty = 0;
    for (Index k = 0; k < n; ++k) {
        double squares = 0;
        for (Index i = k * size; i < (k + 1) * size; ++i)
            squares += static_cast<double>(g[i]) * static_cast<double>(g[i]);
        const double length = std::sqrt(squares), rate = length > 0 ? 2 * (length - 1) / length : 0.0;
        for (Index i = k * size; i < (k + 1) * size; ++i) v[i] = static_cast<T>(rate * static_cast<double>(g[i]));
        penalty += (length - 1) * (length - 1) / static_cast<double>(n);
    }
    const Var<T> tangent = ops::mean(critic(Dual<T>(Var<T>(x), Var<T>(v))).tangent);
    return ops::add_scalar(tangent, penalty - static_cast<double>(tangent.item()));
}

// Points between real and made samples [n, ...]: u real + (1 - u) made with u in [0, 1) drawn by (seed, step, sample).
// Throws Error when the shapes differ.
template <class T>
Tensor<T> between(const Tensor<T>& real, const Tensor<T>& made, std::uint64_t seed, std::uint64_t step) {
    check(real.shape() == made.shape() && real.rank() >= 1, "gradient penalty: real samples ", real.shape(),
          " and made ones ", made.shape());
    Tensor<T> result(real.shape());
    const Index size = real.shape().product(1, real.rank());
    for (Index k = 0; k < real.dim(0); ++k) {
        T u = 0;
        fill_uniform({.seed = seed, .purpose = Purpose::probe, .step = step, .sample = static_cast<std::uint32_t>(k)},
                     &u, Index{1});
        for (Index i = k * size; i < (k + 1) * size; ++i) result[i] = made[i] + u * (real[i] - made[i]);
    }
    return result;
}

}  // namespace genmod::gan
