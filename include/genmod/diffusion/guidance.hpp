// Classifier-free guidance (Ho and Salimans 2022).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// The weight at a noise level; guidance_schedule.hpp makes some.
using GuidanceWeight = std::function<double(const NoiseLevel& level)>;

struct GuidanceOptions {
    double weight = 1;   // unconditional + weight * (conditional - unconditional): 1 is no guidance (the paper's w + 1)
    double rescale = 0;  // 0..1: how far the spread is brought back to the conditional one (Lin et al. 2023, eq. 16)
    Index null_class = 0;              // the label that stands for "none", usually the last row of the class embedding
    std::vector<Index> negative = {};  // instead of null_class: what each sample is to be led away from
    GuidanceWeight weight_at = {};     // instead of weight: the weight at a noise level
};

// free + weight * (given - free), then rescaled. Of outputs with more than `c` channels only the first c are mixed; the
// rest (a learned variance) is the conditional one's.
template <class T>
Tensor<T> mix_guidance(const Tensor<T>& free, const Tensor<T>& given, Index c, double weight, double rescale = 0) {
    check(free.shape() == given.shape() && c >= 1 && c <= given.dim(-1), "guidance: outputs ", free.shape(), " and ",
          given.shape(), " with ", c, " channels");
    check(rescale >= 0 && rescale <= 1, "guidance: rescale ", rescale, " is not in 0..1");
    Tensor<T> mixed = given.clone();
    const Index n = given.dim(0), all = given.dim(-1), size = given.size() / n;
    const T w = static_cast<T>(weight);
    parallel_for(n, [&](Index k) {
        const auto for_each = [&](auto&& body) {
            for (Index i = k * size; i < (k + 1) * size; ++i)
                if (i % all < c) body(i);
        };
        // The standard deviation over one sample, unbiased.
        const auto deviation = [&](const Tensor<T>& x) {
            const auto count = static_cast<double>(size / all * c);
            double sum = 0, squares = 0;
            for_each([&](Index i) { sum += static_cast<double>(x[i]); });
            for_each([&](Index i) { squares += std::pow(static_cast<double>(x[i]) - sum / count, 2); });
            return std::sqrt(squares / (count - 1));
        };
        for_each([&](Index i) { mixed[i] = free[i] + w * (given[i] - free[i]); });
        if (rescale == 0) return;
        const T factor = static_cast<T>(rescale * (deviation(given) / deviation(mixed)) + 1 - rescale);
        for_each([&](Index i) { mixed[i] *= factor; });
    });
    return mixed;
}

// A network of (x, t) for denoiser(), made of a network of (x, t, labels): asks about twice the batch, the
// unconditional half first, and mixes. With weight 1 it asks once, and with weight 0 for the unconditional output only.
template <class Network>
class ClassifierFree {
public:
    // Throws Error unless there is one negative label for each label, or none at all.
    ClassifierFree(Network network, std::vector<Index> labels, const GuidanceOptions& options)
        : network_(std::move(network)), labels_(std::move(labels)), options_(options) {
        if (options_.negative.empty()) options_.negative.assign(labels_.size(), options_.null_class);
        check(options_.negative.size() == labels_.size(), "guidance: ", options_.negative.size(),
              " negative labels for ", labels_.size());
    }

    // Throws Error unless there is one label for each sample of x.
    template <class T>
    Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& t, const NoiseLevel& level) const {
        return guided(x, t, options_.weight_at ? options_.weight_at(level) : options_.weight);
    }
    template <class T>
    Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& t) const {
        check(!options_.weight_at, "guidance: the weight depends on the noise level, which was not told");
        return guided(x, t, options_.weight);
    }

private:
    template <class T>
    Tensor<T> guided(const Tensor<T>& x, const Tensor<T>& t, double weight) const {
        check(static_cast<Index>(labels_.size()) == x.dim(0), "guidance: ", labels_.size(), " labels for ", x.shape());
        check(is_finite(weight), "guidance: weight ", weight, " is not finite");
        if (weight == 1) return ask(x, t, labels_);
        if (weight == 0) return ask(x, t, options_.negative);
        std::vector<Index> both = options_.negative;
        both.insert(both.end(), labels_.begin(), labels_.end());
        const Tensor<T> answer = ask(twice(x), twice(t), both);
        const Index n = x.dim(0);
        check(answer.rank() == x.rank() && answer.dim(0) == 2 * n, "guidance: the network made ", answer.shape());
        return mix_guidance(answer.slice(0, n), answer.slice(n, 2 * n), x.dim(-1), weight, options_.rescale);
    }

    template <class T>
    Tensor<T> ask(const Tensor<T>& x, const Tensor<T>& t, const std::vector<Index>& labels) const {
        return detail::tensor_of(network_(x, t, labels));
    }

    template <class T>
    static Tensor<T> twice(const Tensor<T>& x) {
        Tensor<T> result(x.shape().with(0, 2 * x.dim(0)));
        std::copy(x.begin(), x.end(), std::copy(x.begin(), x.end(), result.begin()));
        return result;
    }

    Network network_;
    std::vector<Index> labels_;
    GuidanceOptions options_;
};

// See ClassifierFree. It keeps a copy of `network`: hand in a lambda that refers to the real one.
template <class Network>
ClassifierFree<Network> classifier_free(Network network, std::vector<Index> labels, const GuidanceOptions& options) {
    return ClassifierFree<Network>(std::move(network), std::move(labels), options);
}

}  // namespace genmod::diffusion
