// Convolutions as products over implicit patches.
#pragma once

#include <algorithm>
#include <concepts>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/conv2d_few.hpp"
#include "genmod/kernels/impl/conv2d_narrow.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/winograd.hpp"
#include "genmod/kernels/impl/winograd_weight.hpp"

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

template <class T>
void multiply_patches(Index n, const T* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      T* c, const OutputRows& rows, const Epilogue<T>& epilogue);

// Products whose samples have a bias each.
template <class T>
void sample_by_sample(Index n, const T* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      T* c, const Epilogue<T>& epilogue) {
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
template <class T>
void multiply_patches(Index n, const T* image, const Patches& patches, const ConvWeights<T>& weights, Index columns,
                      T* c, const OutputRows& rows, const Epilogue<T>& epilogue) {
    const bool tiles = weights.panels.tiles != nullptr;
    if (!tiles && rows.even(columns) && winograd_pays(patches, columns))
        return winograd_convolve(n, image, patches, weights, columns, c, epilogue);
    if (epilogue.bias_step != 0) return sample_by_sample(n, image, patches, weights, columns, c, epilogue);
    Product<T> product;
    product.m = n * patches.out_height * patches.out_width;
    product.n = columns;
    product.k = patches.taps_h * patches.taps_w * patches.channels;
    product.a = is_pointwise(patches) ? strided(image, patches.channels, Index{1}, patches.channels)
                                      : image_patches(OperandKind::pixel_rows, image, patches);
    product.b = weights.operand;
    product.c = c;
    product.rows = rows;
    product.epilogue = epilogue;
    if (!weights.panels.given() && narrow_convolution<T>(patches, columns))
        return convolve_narrow(n, image, patches, product);
    std::optional<Scratch<bf16>> rounded;
    if constexpr (std::same_as<T, float>)
        if (tiles && product.a.kind == OperandKind::pixel_rows) {  // once, not for each tap
            const Index size = n * patches.height * patches.width * patches.channels;
            rounded.emplace(size);
            round_parallel(image, size, rounded->data());
            product.rounded_a = rounded->data();
        }
    multiply(product, weights.panels);
}

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
// turned around; no zero is multiplied.
template <class T>
void backward_input_phase(const ConvShape& shape, Index phase_h, Index phase_w, const T* dy, const T* weight, T* dx,
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
    Operand<T> weights = weight_operand(last, patches, Index{1}, shape.kernel_h * row);
    weights.tap_h_step = -stride * row;
    weights.tap_w_step = -stride * shape.in;
    const Index image_row = shape.width * shape.in;
    const Index corner = phase_h * image_row + phase_w * shape.in;
    Epilogue<T> finish = epilogue;
    if (finish.residual != nullptr) finish.residual += corner;
    multiply_patches(shape.n, dy, patches, {.operand = weights}, shape.in, dx + corner,
                     stride == 1 ? even_rows(shape.in)
                                 : OutputRows{.height = patches.out_height,
                                              .width = patches.out_width,
                                              .sample_step = shape.height * image_row,
                                              .y_step = stride * image_row,
                                              .x_step = stride * shape.in},
                     finish);
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

// The number of parts that the sum over pixels is cut into: by shape alone. Large weights have tiles enough without.
inline Index pixel_chunks(Index pixels, Index weights) {
    const Index by_size = std::max<Index>(1, (Index{1} << 18) / std::max<Index>(weights, 1));
    return std::clamp<Index>(std::min(by_size, pixels / 256), 1, 16);
}

// to = [to +] the sum of `count` parts, in their order.
template <class T>
void sum_parts(const T* parts, Index count, Index size, T* to, Accumulate mode) {
    parallel_ranges(size, 1 << 14, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
            T sum = parts[i];
            for (Index part = 1; part < count; ++part) sum += parts[part * size + i];
            to[i] = mode == Accumulate::add ? to[i] + sum : sum;
        }
    });
}

// dweight [out, taps * in] = dy transposed * patches, the pixels cut into chunks.
template <class T>
void backward_weight_patches(const ConvShape& shape, const T* x, const T* dy, T* dweight, Accumulate mode) {
    const Patches patches = forward_patches(shape);
    const Index pixels = shape.n * shape.out_height * shape.out_width;
    Product<T> product;
    product.m = shape.out;
    product.n = shape.kernel_h * shape.kernel_w * shape.in;
    product.k = pixels;
    product.a = strided(dy, Index{1}, shape.out, pixels);
    product.b = is_pointwise(patches) ? strided(x, Index{1}, shape.in, pixels)
                                      : image_patches(OperandKind::pixel_columns, x, patches);
    product.rows = even_rows(product.n);
    const Index size = product.m * product.n, chunks = pixel_chunks(pixels, size);
    const Index chunk = ceil_div(pixels, chunks);
    const bool few = few_outputs<T>(shape);
    const Index n_step = few || size * chunk < 4 * tile_work ? product.n : 4 * tile_cols<T>;
    const Index m_tiles = ceil_div(product.m, m_block), n_tiles = ceil_div(product.n, n_step);
    Scratch<T> parts(chunks == 1 ? 0 : chunks * size);
    const auto body = [&](Index tile) {
        const Index part = tile / (m_tiles * n_tiles);
        Product<T> own = product;
        own.c = chunks == 1 ? dweight : parts.data() + part * size;
        if (chunks == 1) own.epilogue.mode = mode;
        if (few)
            return weights_of_few(shape, x, dy, part * chunk, std::min(pixels, (part + 1) * chunk), own.c,
                                  own.epilogue.mode);
        BlockRange range{.m = tile / n_tiles % m_tiles * m_block, .n = tile % n_tiles * n_step, .k = part * chunk};
        range.rows = std::min(m_block, product.m - range.m);
        range.cols = std::min(n_step, product.n - range.n);
        range.depth = std::clamp<Index>(pixels - range.k, 0, chunk);
        multiply_block(own, range, Panels<T>{});
    };
    const Index tiles = chunks * m_tiles * n_tiles;
    if (size * pixels < serial_work)
        for (Index tile = 0; tile < tiles; ++tile) body(tile);
    else
        parallel_for(tiles, body);
    if (chunks > 1) sum_parts(parts.data(), chunks, size, dweight, mode);
}

}  // namespace genmod::kernels::detail

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
    for (Index phase_h = 0; phase_h < std::min(shape.stride, shape.height); ++phase_h)
        for (Index phase_w = 0; phase_w < std::min(shape.stride, shape.width); ++phase_w)
            detail::backward_input_phase(shape, phase_h, phase_w, dy, weight, dx, epilogue);
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
