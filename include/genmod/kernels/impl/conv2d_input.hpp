// Gradients with respect to the input of a convolution, which are the transposed convolution: one convolution for each
// phase of the stride.
#pragma once

#include <algorithm>
#include <vector>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/conv2d_narrow.hpp"
#include "genmod/kernels/impl/conv2d_patches.hpp"
#include "genmod/kernels/impl/gemm.hpp"

namespace genmod::kernels::detail {

// The taps of a strided kernel that reach the input pixels of one phase along an axis: input pixel stride * q + phase
// gets tap first + stride * t of output pixel q + shift - t.
struct PhaseTaps {
    Index first, count, shift;
    PhaseTaps(Index phase, Index stride, Index pad, Index kernel)
        : first((phase + pad) % stride),
          count(first < kernel ? (kernel - first + stride - 1) / stride : 0),
          shift((phase + pad) / stride) {}
};

// The input pixels (stride * q + phase_h, stride * r + phase_w) get a convolution of dy with every stride-th tap,
// turned around; no zero is multiplied. The product has no left operand yet.
template <class T>
PatchProduct<T> input_phase(const ConvShape& shape, Index phase_h, Index phase_w, const T* weight, T* dx,
                            const Epilogue<T>& epilogue) {
    const Index stride = shape.stride;
    const PhaseTaps down(phase_h, stride, shape.pad_top, shape.kernel_h);
    const PhaseTaps across(phase_w, stride, shape.pad_left, shape.kernel_w);
    const Patches patches{.height = shape.out_height,
                          .width = shape.out_width,
                          .channels = shape.out,
                          .out_height = (shape.height - phase_h + stride - 1) / stride,
                          .out_width = (shape.width - phase_w + stride - 1) / stride,
                          .stride = 1,
                          .pad_top = down.count - 1 - down.shift,
                          .pad_left = across.count - 1 - across.shift,
                          .taps_h = down.count,
                          .taps_w = across.count};
    const Index row = shape.kernel_w * shape.in;
    const Index last_h = down.first + (down.count - 1) * stride, last_w = across.first + (across.count - 1) * stride;
    const T* last = down.count * across.count == 0 ? weight : weight + last_h * row + last_w * shape.in;
    const Index image_row = shape.width * shape.in;
    const Index corner = phase_h * image_row + phase_w * shape.in;
    Product<T> product;
    product.b = weight_operand(last, patches, Index{1}, shape.kernel_h * row);
    product.b.tap_h_step = -stride * row;
    product.b.tap_w_step = -stride * shape.in;
    product.n = shape.in;
    product.k = down.count * across.count * shape.out;
    product.c = dx + corner;
    product.rows = stride == 1 ? even_rows(shape.in)
                               : OutputRows{.height = patches.out_height,
                                            .width = patches.out_width,
                                            .sample_step = shape.height * image_row,
                                            .y_step = stride * image_row,
                                            .x_step = stride * shape.in};
    product.epilogue = epilogue;
    if (epilogue.residual != nullptr) product.epilogue.residual += corner;
    return {patches, product};
}

// Phase by phase; all at once where dx has few channels.
template <class T>
void backward_input_phases(const ConvShape& shape, const T* dy, const T* weight, T* dx, const Epilogue<T>& epilogue) {
    std::vector<PatchProduct<T>> phases;
    for (Index phase_h = 0; phase_h < std::min(shape.stride, shape.height); ++phase_h)
        for (Index phase_w = 0; phase_w < std::min(shape.stride, shape.width); ++phase_w)
            phases.push_back(input_phase(shape, phase_h, phase_w, weight, dx, epilogue));
    if (phases.size() > 1 && epilogue.bias_step == 0 && narrow_convolution<T>(seen_by(phases), shape.in))
        return convolve_narrow(shape.n, dy, phases);
    for (const PatchProduct<T>& phase : phases)
        multiply_patches(shape.n, dy, phase.patches, {.operand = phase.product.b}, shape.in, phase.product.c,
                         phase.product.rows, phase.product.epilogue);
}

// Whether the one output pixel sees each input pixel once, so that samples and weights are plain matrices.
inline bool sees_all_once(const ConvShape& shape) {
    return shape.out_height == 1 && shape.out_width == 1 && shape.pad_top == 0 && shape.pad_left == 0 &&
           shape.kernel_h == shape.height && shape.kernel_w == shape.width;
}

// dx [n, height * width * in] = dy [n, out] * weight, where sees_all_once().
template <class T>
void backward_input_product(const ConvShape& shape, const T* dy, const T* weight, T* dx, const Epilogue<T>& epilogue) {
    const Index pixels = shape.height * shape.width, row = pixels * shape.in;
    Scratch<T> biases(epilogue.bias == nullptr ? 0 : row);
    Epilogue<T> finish = epilogue;
    if (epilogue.bias != nullptr) {
        for (Index pixel = 0; pixel < pixels; ++pixel)
            std::copy_n(epilogue.bias, shape.in, biases.data() + pixel * shape.in);
        finish.bias = biases.data();
    }
    gemm(row_major(dy, shape.n, shape.out), row_major(weight, shape.out, row), dx, row, finish);
}

}  // namespace genmod::kernels::detail
