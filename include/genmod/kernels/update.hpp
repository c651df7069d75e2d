// The passes of optimisers over weights and gradients: each reads and writes every number once.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

template <class T>
struct SgdStep {
    T lr, momentum, weight_decay;
    bool nesterov;
    bool first;  // the momentum buffer holds nothing yet
};

// g += weight_decay * w;  b = first ? g : momentum * b + g;  w -= lr * (nesterov ? g + momentum * b : b).
// Without momentum, `buffer` is null and w -= lr * g.
template <class T>
void sgd_update(Index count, const SgdStep<T>& step, const T* grad, T* weight, T* buffer);

template <class T>
struct AdamStep {
    T rate1;         // 1 - beta1
    T beta2, rate2;  // rate2 = 1 - beta2, rounded once
    T eps;
    T step_size;     // lr / (1 - beta1^t)
    T root_scale;    // 1 / sqrt(1 - beta2^t)
    T weight_decay;  // Adam: weight_decay * w is added to the gradient
    T keep;          // AdamW: w is first scaled by 1 - lr * weight_decay; 1 otherwise
};

// g += weight_decay * w;  m += rate1 (g - m);  v = beta2 v + rate2 g^2;
// w = keep * w - step_size * m / (root_scale * sqrt(v) + eps).
template <class T>
void adam_update(Index count, const AdamStep<T>& step, const T* grad, T* weight, T* exp_avg, T* exp_avg_sq);

// average += rate * (weight - average).
template <class T>
void average_update(Index count, T rate, const T* weight, T* average);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/update.hpp"
#endif
