// Losses in one pass: the sums of their terms, and their gradients.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// Terms of a prediction x and a target y, with d = x - y.
enum class Loss {
    squared,         // d^2
    absolute,        // |d|
    huber,           // d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2)
    bce_with_logits  // max(x, 0) - x y + log(1 + e^-|x|)
};

// sums [rows] = scale times the sums of the terms along the rows of x and y [rows, n].
template <class T>
void loss_sums(Loss loss, Index rows, Index n, const T* x, const T* y, T* sums, T scale, T delta = 1);

// dx [rows, n] = scale * weights[row] times the derivatives of the terms by x, or by y if `to_target`.
template <class T>
void loss_backward(Loss loss, Index rows, Index n, const T* x, const T* y, const T* weights, T scale, T* dx,
                   Accumulate mode, bool to_target = false, T delta = 1);

// loss [rows]: -sum_k q_k log(softmax(x)_k) for logits x [rows, classes], where q is 1 - smoothing at the row's label
// and smoothing / classes everywhere besides.
template <class T>
void cross_entropy(Index rows, Index classes, const T* x, const Index* labels, T* loss, T smoothing = 0);

// dx [rows, classes] = weights[row] times the gradient.
template <class T>
void cross_entropy_backward(Index rows, Index classes, const T* x, const Index* labels, const T* weights, T* dx,
                            Accumulate mode, T smoothing = 0);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/loss.hpp"
#endif
