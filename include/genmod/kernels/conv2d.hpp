// 2-D convolution, channels last. The algorithm is chosen by the shape of one sample.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"

namespace genmod::kernels {

// Input [n, height, width, in], weight [out, kernel_h, kernel_w, in], output [n, out_height, out_width, out].
// Output pixel (y, x) sees input pixels (y * stride - pad_top + i, x * stride - pad_left + j); outside is zero.
struct ConvShape {
    Index n = 1, height = 0, width = 0, in = 0;
    Index out = 0, kernel_h = 3, kernel_w = 3;
    Index stride = 1, pad_top = 0, pad_left = 0;
    Index out_height = 0, out_width = 0;
};

// y = convolution of x with weight, then the epilogue (bias [out], or [n, out] with bias_step out; residual and mode
// over y's layout).
template <class T>
void conv2d(const ConvShape& shape, const T* x, const T* weight, T* y, const Epilogue<T>& epilogue = {});

// dx = gradient with respect to x; also the forward pass of a transposed convolution, whose epilogue has bias [in].
template <class T>
void conv2d_backward_input(const ConvShape& shape, const T* dy, const T* weight, T* dx,
                           const Epilogue<T>& epilogue = {});

// dweight = gradient with respect to weight.
template <class T>
void conv2d_backward_weight(const ConvShape& shape, const T* x, const T* dy, T* dweight, Accumulate mode);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/conv2d.hpp"
#endif
