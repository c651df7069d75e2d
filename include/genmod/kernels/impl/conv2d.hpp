// Definitions of kernels/conv2d.hpp.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/conv2d_input.hpp"
#include "genmod/kernels/impl/conv2d_patches.hpp"
#include "genmod/kernels/impl/conv2d_weight.hpp"
#include "genmod/kernels/impl/winograd.hpp"
#include "genmod/kernels/impl/winograd_weight.hpp"

namespace genmod::kernels {

template <class T>
void conv2d(const ConvShape& shape, const T* x, const T* weight, T* y, const Epilogue<T>& epilogue) {
    const detail::Patches patches = detail::forward_patches(shape);
    const Index row = shape.kernel_w * shape.in;
    detail::Operand<T> weights = detail::weight_operand(weight, patches, shape.kernel_h * row, Index{1});
    weights.tap_h_step = row;
    weights.tap_w_step = shape.in;
    detail::multiply_patches(shape.n, x, patches, {.operand = weights}, shape.out, y, detail::even_rows(shape.out),
                             epilogue);
}

template <class T>
void conv2d_backward_input(const ConvShape& shape, const T* dy, const T* weight, T* dx, const Epilogue<T>& epilogue) {
    if (detail::sees_all_once(shape)) return detail::backward_input_product(shape, dy, weight, dx, epilogue);
    detail::backward_input_phases(shape, dy, weight, dx, epilogue);
}

template <class T>
void conv2d_backward_weight(const ConvShape& shape, const T* x, const T* dy, T* dweight, Accumulate mode) {
    if (shape.out * shape.kernel_h * shape.kernel_w * shape.in == 0) return;
    const detail::Patches patches = detail::forward_patches(shape);
    if (shape.n > 0 && detail::winograd_pays(patches, shape.out))
        detail::winograd_backward_weight(shape.n, x, patches, dy, shape.out, dweight, mode);
    else
        detail::backward_weight_patches(shape, x, dy, dweight, mode);
}

}  // namespace genmod::kernels
