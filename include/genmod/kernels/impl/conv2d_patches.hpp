// Convolutions as products over implicit patches.
#pragma once

#include <concepts>

#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/conv2d_narrow.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/winograd.hpp"

namespace genmod::kernels::detail {

// Whether the patches of a pixel are the pixel itself.
inline bool is_pointwise(const Patches& grid) {
    return grid.taps_h == 1 && grid.taps_w == 1 && grid.stride == 1 && grid.pad_top == 0 && grid.pad_left == 0 &&
           grid.out_height == grid.height && grid.out_width == grid.width;
}

inline Patches forward_patches(const ConvShape& shape) {
    return {.height = shape.height,
            .width = shape.width,
            .channels = shape.in,
            .out_height = shape.out_height,
            .out_width = shape.out_width,
            .stride = shape.stride,
            .pad_top = shape.pad_top,
            .pad_left = shape.pad_left,
            .taps_h = shape.kernel_h,
            .taps_w = shape.kernel_w};
}

// Weights that see `patches`, as the right operand: element (k = (u, v, channel), column).
template <class T>
Operand<T> weight_operand(const T* weight, const Patches& patches, Index column_step, Index channel_step) {
    Operand<T> operand = strided(weight, column_step, channel_step, patches.channels);
    operand.taps_w = patches.taps_w;
    return operand;
}

template <class T, class In, class Out>
void multiply_patches(Index n, const In* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      Out* c, const OutputRows& rows, const Epilogue<T>& epilogue);

// Products whose samples have a bias each.
template <class T, class In, class Out>
void sample_by_sample(Index n, const In* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      Out* c, const Epilogue<T>& epilogue) {
    const Index in = patches.height * patches.width * patches.channels;
    const Index out = patches.out_height * patches.out_width * columns;
    for (Index sample = 0; sample < n; ++sample) {
        Epilogue<T> own = epilogue;
        own.bias += sample * epilogue.bias_step;
        own.bias_step = 0;
        if (own.residual != nullptr) own.residual += sample * out;
        multiply_patches(1, image + sample * in, patches, weights, columns, c + sample * out, even_rows(columns), own);
    }
}

// c [n, out_height, out_width, columns] in rows of `rows` = patches of image * weights.
template <class T, class In, class Out>
void multiply_patches(Index n, const In* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      Out* c, const OutputRows& rows, const Epilogue<T>& epilogue) {
    constexpr bool full = std::same_as<In, T> && std::same_as<Out, T>;
    if constexpr (full)
        if (weights.panels.tiles == nullptr && rows.even(columns) && winograd_pays(patches, columns))
            return winograd_convolve(n, image, patches, weights, columns, c, epilogue);
    if (epilogue.bias_step != 0) return sample_by_sample(n, image, patches, weights, columns, c, epilogue);
    Product<T> product;
    product.m = n * patches.out_height * patches.out_width;
    product.n = columns;
    product.k = patches.taps_h * patches.taps_w * patches.channels;
    product.a = is_pointwise(patches) ? strided<In, T>(image, patches.channels, Index{1}, patches.channels)
                                      : image_patches<In, T>(OperandKind::pixel_rows, image, patches);
    product.b = weights.operand;
    product.write(c);
    product.rows = rows;
    product.epilogue = epilogue;
    if constexpr (full)
        if (!weights.panels.given() && narrow_convolution<T>(patches, columns))
            return convolve_narrow<T>(n, image, {{patches, product}});
    multiply(product, weights.panels);
}

}  // namespace genmod::kernels::detail
