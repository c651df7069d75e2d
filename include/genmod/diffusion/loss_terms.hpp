// One loss per sample, with its slopes, summed up to a loss that gradients flow from.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// A loss for each sample of a network's output [n, ..., c], and the gradient of their sum with respect to it.
template <class T>
struct LossTerms {
    std::vector<double> values;  // n
    Tensor<T> slopes;            // shaped like the output
};

// The mean of `loss(output number, target number)` terms: weights[k] * mean((output - target)^2) for each sample k. Of
// an output with more channels than the target, the first ones count. Throws Error when shapes do not fit.
template <class T>
LossTerms<T> squared_error_terms(const Tensor<T>& output, const Tensor<T>& target, const std::vector<double>& weights) {
    const Index n = target.dim(0), c = target.dim(-1), all = output.dim(-1);
    check(output.shape().with(-1, c) == target.shape() && all >= c && static_cast<Index>(weights.size()) == n,
          "loss: output ", output.shape(), ", target ", target.shape(), " and ", weights.size(), " weights do not fit");
    LossTerms<T> terms{std::vector<double>(weights.size()), Tensor<T>::zeros(output.shape())};
    const Index pixels = target.size() / (n * c);
    parallel_for(n, [&](Index k) {
        const double scale = weights[static_cast<std::size_t>(k)] / static_cast<double>(pixels * c);
        double sum = 0;
        for (Index pixel = k * pixels; pixel < (k + 1) * pixels; ++pixel)
            for (Index i = 0; i < c; ++i) {
                const double error =
                    static_cast<double>(output[pixel * all + i]) - static_cast<double>(target[pixel * c + i]);
                sum += error * error;
                terms.slopes[pixel * all + i] = static_cast<T>(2 * scale * error);
            }
        terms.values[static_cast<std::size_t>(k)] = scale * sum;
    });
    return terms;
}

// first + weight * second.
template <class T>
LossTerms<T> add(LossTerms<T> first, double weight, const LossTerms<T>& second) {
    check(first.slopes.shape() == second.slopes.shape(), "loss: terms of ", first.slopes.shape(), " and ",
          second.slopes.shape());
    for (std::size_t k = 0; k < first.values.size(); ++k) first.values[k] += weight * second.values[k];
    for (Index k = 0; k < first.slopes.size(); ++k) first.slopes[k] += static_cast<T>(weight) * second.slopes[k];
    return first;
}

// The mean of the terms as a loss of one number, whose gradient flows to `output`.
template <class T>
Var<T> mean_loss(const Var<T>& output, const LossTerms<T>& terms) {
    double sum = 0;
    for (const double value : terms.values) sum += value;
    const auto n = static_cast<double>(terms.values.size());
    Var<T> loss(Tensor<T>::full({}, static_cast<T>(sum / n)));
    if (recording(output))
        loss.attach({output}, [slopes = terms.slopes, n](const Tensor<T>& dy, Sinks<T>& sinks) {
            auto dx = sinks[0];
            if (!dx) return;
            const T scale = static_cast<T>(static_cast<double>(dy[0]) / n);
            const bool first = dx.mode == Accumulate::write;
            for (Index k = 0; k < slopes.size(); ++k) dx.data[k] = (first ? T(0) : dx.data[k]) + scale * slopes[k];
        });
    return loss;
}

}  // namespace genmod::diffusion
