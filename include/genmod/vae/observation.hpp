// What a decoder's output says of a sample.
#pragma once

#include <cmath>

#include "genmod/autograd/var.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/vae/config.hpp"
#include "genmod/vae/gaussian.hpp"

namespace genmod::vae {

// The mean of p(x | z): 2 sigmoid(logit) - 1 = tanh(logit / 2), or the output itself.
template <class T>
Tensor<T> expected(Likelihood likelihood, const Var<T>& output) {
    if (likelihood == Likelihood::gaussian) return output.value();
    return ops::tanh(ops::scale(output.detach(), 0.5)).value();
}

// log p(x | z) in nats of each sample of x [m, ...], [m]. gaussian: -1/2 sum((x - output)^2) / deviation^2 - d (log
// deviation + 1/2 log 2 pi), so that deviation 1 is the squared error and a constant. Throws Error when shapes differ.
template <class T>
Var<T> log_likelihood(Likelihood likelihood, const Var<T>& output, const Var<T>& x, double deviation) {
    const Index d = x.size() / (x.rank() == 0 || x.dim(0) == 0 ? 1 : x.dim(0));
    if (likelihood == Likelihood::bernoulli) {
        const Var<T> ones = ops::add_scalar(ops::scale(x, 0.5), 0.5);
        return ops::scale(ops::bce_with_logits_per_sample(output, ones), -static_cast<double>(d));
    }
    const double factor = -0.5 * static_cast<double>(d) / (deviation * deviation);
    const double constant = detail::normal_constant(d) - static_cast<double>(d) * std::log(deviation);
    return ops::add_scalar(ops::scale(ops::mse_per_sample(output, x), factor), constant);
}

}  // namespace genmod::vae
