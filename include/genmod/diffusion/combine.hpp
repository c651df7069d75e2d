// Arithmetic on whole tensors, as samplers need it: weighted sums, number by number.
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::diffusion {

// function(x[k], y[k], k) for every number. Throws Error when the shapes differ.
template <class T, class Function>
Tensor<T> zip(const Tensor<T>& x, const Tensor<T>& y, Function function) {
    check(x.shape() == y.shape(), "diffusion: shapes ", x.shape(), " and ", y.shape(), " differ");
    Tensor<T> result(x.shape());
    const T *px = x.data(), *py = y.data();
    T* out = result.data();
    parallel_ranges(x.size(), 32768, [=](Index first, Index last) {
        for (Index k = first; k < last; ++k) out[k] = function(px[k], py[k], k);
    });
    return result;
}

// a x + b y. Throws Error when the shapes differ.
template <class T>
Tensor<T> combine(double a, const Tensor<T>& x, double b, const Tensor<T>& y) {
    check(x.shape() == y.shape(), "diffusion: shapes ", x.shape(), " and ", y.shape(), " differ");
    Tensor<T> result(x.shape());
    kernels::combine(static_cast<T>(a), x.data(), static_cast<T>(b), y.data(), result.data(), x.size());
    return result;
}

}  // namespace genmod::diffusion
