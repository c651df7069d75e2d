// Softmax and its logarithm over the last axis.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// Each row of x [rows, columns]: y = e^x / sum e^x. y may be x.
template <class T>
void softmax(Index rows, Index columns, const T* x, T* y);

// dx = y (dy - sum dy y)
template <class T>
void softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx, Accumulate mode);

// Each row: y = x - log(sum e^x). y may be x.
template <class T>
void log_softmax(Index rows, Index columns, const T* x, T* y);

// dx = dy - e^y sum dy
template <class T>
void log_softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx, Accumulate mode);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/softmax.hpp"
#endif
