// Sums and maxima along axes. Every sum runs over 16 lanes and fixed chunks that depend on shapes only, so that results
// are the same for any vector width and number of threads.
#pragma once

#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"

namespace genmod::kernels {

// y [outer, inner] = scale times the sum of x [outer, reduced, inner] over its middle axis.
template <class T>
void reduce_sum(Index outer, Index reduced, Index inner, const T* x, T* y, Accumulate mode = Accumulate::write,
                T scale = 1);

// y [outer, inner] = maximum of x [outer, reduced, inner] over its middle axis; NaN if there is one. reduced >= 1.
template <class T>
void reduce_max(Index outer, Index reduced, Index inner, const T* x, T* y);

// dx [outer, reduced, inner] = dy where x equals the maximum y, in equal parts where several do.
template <class T>
void reduce_max_backward(Index outer, Index reduced, Index inner, const T* x, const T* y, const T* dy, T* dx,
                         Accumulate mode);

// y [cols] = sum of the rows of x [rows, cols]: the gradient of a bias.
template <class T>
void sum_rows(Index rows, Index cols, const T* x, T* y, Accumulate mode = Accumulate::write) {
    reduce_sum(Index{1}, rows, cols, x, y, mode);
}

// y (shape `to`) = scale times the sum of x (shape `from`) over all axes along which `to` would be broadcast to `from`.
template <class T>
void sum_to(const Shape& from, const Shape& to, const T* x, T* y, Accumulate mode = Accumulate::write, T scale = 1);

// Sum of n numbers.
template <class T>
T sum(Index n, const T* x);

// Sum of the squares of n numbers.
template <class T>
T sum_of_squares(Index n, const T* x);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/reduce.hpp"
#endif
