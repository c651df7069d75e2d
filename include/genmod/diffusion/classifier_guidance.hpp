// Guidance by the gradient of a classifier of noisy pictures (Dhariwal and Nichol 2021).
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/ops/softmax.hpp"

namespace genmod::diffusion {

// grad log p(labels[k] | x_k, t_k) for each sample k, with the shape of x. classifier(x [n, ...], t [n]) -> logits
// [n, classes]; it is not changed, and threads may share it. Throws Error when labels do not fit.
template <class T, class Classifier>
Tensor<T> classifier_gradient(const Classifier& classifier, const Tensor<T>& x, const Tensor<T>& t,
                              const std::vector<Index>& labels) {
    const WithGrad on;
    const auto leaf = Var<T>::parameter(x);
    const Var<T> scores = ops::log_softmax(classifier(leaf, t));
    check(scores.rank() == 2 && scores.dim(0) == x.dim(0) && static_cast<Index>(labels.size()) == x.dim(0),
          "classifier guidance: scores ", scores.shape(), " and ", labels.size(), " labels for ", x.shape());
    const Index classes = scores.dim(1);
    auto chosen = Tensor<T>::zeros(scores.shape());
    for (Index k = 0; k < x.dim(0); ++k) {
        const Index label = labels[static_cast<std::size_t>(k)];
        check(label >= 0 && label < classes, "classifier guidance: label ", label, " is not in 0..", classes - 1);
        chosen[k * classes + label] = 1;
    }
    return grad(scores, {leaf}, chosen)[0];
}

// A predict for sample() that adds scale * grad log p(labels | x) to what `predict` says. Each sampler uses it in its
// own way: DDPM moves the mean by variance * gradient (their algorithm 1), DDIM the noise by -sigma * gradient
// (algorithm 2).
template <class Predict, class Classifier>
class ClassifierGuided {
public:
    ClassifierGuided(Predict predict, Classifier classifier, std::vector<Index> labels, double scale)
        : predict_(std::move(predict)), classifier_(std::move(classifier)), labels_(std::move(labels)), scale_(scale) {}

    template <class T>
    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& level) const {
        Prediction<T> said = predict_(x, level);
        if (scale_ == 0) return said;
        const auto t = Tensor<T>::full({x.dim(0)}, static_cast<T>(level.t));
        const Tensor<T> gradient = classifier_gradient(classifier_, x, t, labels_);
        said.gradient = combine(scale_, gradient, 0, gradient);
        return said;
    }

private:
    Predict predict_;
    Classifier classifier_;
    std::vector<Index> labels_;
    double scale_;
};

// See ClassifierGuided. It keeps copies: hand in lambdas that refer to the real networks.
template <class Predict, class Classifier>
ClassifierGuided<Predict, Classifier> classifier_guided(Predict predict, Classifier classifier,
                                                        std::vector<Index> labels, double scale) {
    return {std::move(predict), std::move(classifier), std::move(labels), scale};
}

}  // namespace genmod::diffusion
