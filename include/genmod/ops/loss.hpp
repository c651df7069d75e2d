// Losses, with PyTorch's meaning. The plain ones are means over all numbers, of shape []; those named per_sample are
// means over all axes but the first, of shape [n]: for weights of one's own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/loss.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::ops {

namespace detail {

// Means of a loss along `rows` equal parts of x and y.
template <class T>
Var<T> loss_means(kernels::Loss loss, const char* name, const Var<T>& x, const Var<T>& y, bool per_sample,
                  T delta = 1) {
    check(x.shape() == y.shape(), name, ": prediction ", x.shape(), " and target ", y.shape(), " differ");
    check(!per_sample || x.rank() >= 1, name, ": a single number has no samples");
    const Index rows = per_sample ? x.dim(0) : 1, n = x.shape().product(per_sample ? 1 : 0, x.rank());
    const T scale = T(1) / static_cast<T>(std::max(Index{1}, n));
    Tensor<T> means(per_sample ? Shape{rows} : Shape{});
    kernels::loss_sums(loss, rows, n, x.data(), y.data(), means.data(), scale, delta);
    Var<T> result(std::move(means));
    if (recording(x, y))
        result.attach({x, y}, [=, xv = x.value(), yv = y.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            for (std::size_t input = 0; input < 2; ++input)
                if (auto sink = sinks[input])
                    kernels::loss_backward(loss, rows, n, xv.data(), yv.data(), dy.data(), scale, sink.data, sink.mode,
                                           input == 1, delta);
        });
    return result;
}

}  // namespace detail

// Mean of (x - y)^2. Throws Error, like all of them, when the shapes differ.
template <class T>
Var<T> mse_loss(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::squared, "mse_loss", x, y, false);
}
template <class T>
Var<T> mse_per_sample(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::squared, "mse_per_sample", x, y, true);
}

// Mean of |x - y|.
template <class T>
Var<T> l1_loss(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::absolute, "l1_loss", x, y, false);
}
template <class T>
Var<T> l1_per_sample(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::absolute, "l1_per_sample", x, y, true);
}

// Mean of d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) elsewhere, with d = x - y. Throws Error unless delta > 0.
template <class T>
Var<T> huber_loss(const Var<T>& x, const Var<T>& y, double delta = 1) {
    check(delta > 0, "huber_loss: delta ", delta, " is not positive");
    return detail::loss_means(kernels::Loss::huber, "huber_loss", x, y, false, static_cast<T>(delta));
}
template <class T>
Var<T> huber_per_sample(const Var<T>& x, const Var<T>& y, double delta = 1) {
    check(delta > 0, "huber_per_sample: delta ", delta, " is not positive");
    return detail::loss_means(kernels::Loss::huber, "huber_per_sample", x, y, true, static_cast<T>(delta));
}

// Mean of -y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)) for logits x and targets y in 0..1.
template <class T>
Var<T> bce_with_logits_loss(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::bce_with_logits, "bce_with_logits_loss", x, y, false);
}
template <class T>
Var<T> bce_with_logits_per_sample(const Var<T>& x, const Var<T>& y) {
    return detail::loss_means(kernels::Loss::bce_with_logits, "bce_with_logits_per_sample", x, y, true);
}

struct CrossEntropyOptions {
    double label_smoothing = 0;  // 0..1: this part of the target is spread over all classes
};

// -log(softmax(x)) at the label of each row, for logits [..., classes] and one label for each row -> [...]. Throws
// Error when the number of labels does not fit or a label is not in 0..classes-1.
template <class T>
Var<T> cross_entropy_per_sample(const Var<T>& x, const Tensor<Index>& labels, CrossEntropyOptions options = {}) {
    check(x.rank() >= 1 && x.dim(-1) >= 1, "cross_entropy: logits of shape ", x.shape());
    const Index classes = x.dim(-1), rows = x.shape().product(0, x.rank() - 1);
    check(labels.size() == rows, "cross_entropy: ", labels.size(), " labels for logits ", x.shape());
    for (const Index label : labels)
        check(label >= 0 && label < classes, "cross_entropy: label ", label, " is not in 0..", classes - 1);
    check(options.label_smoothing >= 0 && options.label_smoothing <= 1, "cross_entropy: label smoothing ",
          options.label_smoothing, " is not in 0..1");
    const T smoothing = static_cast<T>(options.label_smoothing);
    Tensor<T> loss(x.shape().without(-1));
    kernels::cross_entropy(rows, classes, x.data(), labels.data(), loss.data(), smoothing);
    Var<T> result(std::move(loss));
    if (recording(x))
        result.attach({x}, [=, xv = x.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0])
                kernels::cross_entropy_backward(rows, classes, xv.data(), labels.data(), dy.data(), dx.data, dx.mode,
                                                smoothing);
        });
    return result;
}
template <class T>
Var<T> cross_entropy_per_sample(const Var<T>& x, const std::vector<Index>& labels, CrossEntropyOptions options = {}) {
    return cross_entropy_per_sample(x, Tensor<Index>::from({static_cast<Index>(labels.size())}, labels), options);
}

// The mean of these over all rows.
template <class T>
Var<T> cross_entropy_loss(const Var<T>& x, const Tensor<Index>& labels, CrossEntropyOptions options = {}) {
    return mean(cross_entropy_per_sample(x, labels, options));
}
template <class T>
Var<T> cross_entropy_loss(const Var<T>& x, const std::vector<Index>& labels, CrossEntropyOptions options = {}) {
    return mean(cross_entropy_per_sample(x, labels, options));
}

}  // namespace genmod::ops
