// Group, layer and batch normalisation, channels last.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// x [n, positions, channels]; a group is channels / groups neighbouring channels of one sample at all positions. Batch
// normalisation is n = 1, positions = all of the batch's, groups = channels.
struct GroupShape {
    Index n = 1, positions = 1, channels = 1, groups = 1;
};

// What follows the normalisation: v = (normal * weight + bias) * (1 + scale) + shift, then v * sigmoid(v) when silu is
// set. Null pointers: weight 1, the others 0.
template <class T>
struct NormAffine {
    const T* weight = nullptr;  // [channels]
    const T* bias = nullptr;    // [channels]
    const T* scale = nullptr;   // [n, channels]
    const T* shift = nullptr;   // [n, channels]
    bool silu = false;
};

// Where a gradient goes; null: not wanted.
template <class T>
struct Gradient {
    T* data = nullptr;
    Accumulate mode = Accumulate::write;
};

template <class T>
struct NormGradients {
    Gradient<T> x = {}, weight = {}, bias = {}, scale = {}, shift = {};
};

// Mean and (biased) variance of each group, [n, groups].
template <class T>
struct Moments {
    T* mean = nullptr;
    T* variance = nullptr;
};

// y = affine((x - mean) / sqrt(variance + eps)) with each group's own moments, which are handed out too. Out: T, or
// bf16, as products in bf16 round their operands.
template <class T, class Out>
void group_norm(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps, Out* y,
                const Moments<T>& moments);

// The same with given moments.
template <class T, class Out>
void group_norm_apply(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps,
                      const Moments<T>& moments, Out* y);

// Gradients from dy, x and the moments; what lies between is computed again. `given`: the moments do not depend on x.
template <class T>
void group_norm_backward(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps,
                         const Moments<T>& moments, bool given, const T* dy, const NormGradients<T>& gradients);

// Each row of x [rows, channels] normalised by its own mean and variance: y = (x - mean) * rstd * weight + bias. mean
// and rstd [rows] are handed out for the backward pass. Out as above.
template <class T, class Out>
void layer_norm(Index rows, Index channels, const T* x, const T* weight, const T* bias, T eps, Out* y, T* mean,
                T* rstd);

// Gradients for x, weight and bias.
template <class T>
void layer_norm_backward(Index rows, Index channels, const T* x, const T* weight, const T* mean, const T* rstd,
                         const T* dy, const NormGradients<T>& gradients);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/group_norm.hpp"
#include "genmod/kernels/impl/group_norm_backward.hpp"
#include "genmod/kernels/impl/layer_norm.hpp"
#endif
