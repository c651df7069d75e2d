// Weight gradients of convolutions with few output channels, for which the packing of patches would take longer than
// the products: x is read where it lies, a row of pixels at a time.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index few_channels = 8;

// Whole vectors of channels are needed, and rows that are long enough to be worth a visit of the sums.
template <class T>
bool few_outputs(const ConvShape& shape) {
    return shape.out <= few_channels && shape.in % simd::lanes<T> == 0 && shape.out_width >= 6;
}

// The first and the behind last of the positions 0..count-1 from which a tap sees one of 0..extent-1, `shift` being
// what position 0 sees.
struct Seen {
    Index first, last;
    Seen(Index shift, Index stride, Index count, Index extent)
        : first(std::min(count, shift >= 0 ? 0 : (-shift + stride - 1) / stride)),
          last(std::clamp<Index>(shift >= extent ? 0 : (extent - 1 - shift) / stride + 1, first, count)) {}
};

// Adds the products of the output pixels first..last-1 of one row to sums [out, taps * in]: each sum goes on over
// ascending pixels, as it does in a product of matrices.
template <class T>
void add_row_weights(const ConvShape& shape, const T* x, const T* dy, Index row, Index first, Index last,
                     const Index* sum_rows, T* sums) {
    const Index sample = row / shape.out_height, y = row % shape.out_height;
    for (Index u = 0; u < shape.kernel_h; ++u) {
        const Index at_y = y * shape.stride - shape.pad_top + u;
        if (at_y < 0 || at_y >= shape.height) continue;
        const T* image_row = x + (sample * shape.height + at_y) * shape.width * shape.in;
        for (Index v = 0; v < shape.kernel_w; ++v) {
            const Seen seen(v - shape.pad_left, shape.stride, shape.out_width, shape.width);
            const Index from_x = std::max(first, seen.first), to_x = std::min(last, seen.last);
            if (from_x >= to_x) continue;
            const BlockRows<T> rows{dy + (row * shape.out_width + from_x) * shape.out, false, 1, shape.out};
            const T* seen_first = image_row + (from_x * shape.stride + v - shape.pad_left) * shape.in;
            T* tap_sums = sums + (u * shape.kernel_w + v) * shape.in;
            for (Index channel = 0; channel < shape.in; channel += tile_cols<T>) {
                const TileSource<T> from{
                    .b = seen_first + channel, .b_k = shape.in * shape.stride, .depth = to_x - from_x};
                const TileTarget<T> to{tap_sums + channel, tap_sums + channel, sum_rows, sum_rows, nullptr};
                multiply_panel(rows, shape.out, std::min(tile_cols<T>, shape.in - channel), from, to);
            }
        }
    }
}

// to [out, taps * in] = [to +] the sum over the output pixels first..last-1 of all samples.
template <class T>
void weights_of_few(const ConvShape& shape, const T* x, const T* dy, Index first, Index last, T* to, Accumulate mode) {
    const Index size = shape.kernel_h * shape.kernel_w * shape.in, width = shape.out_width;
    Scratch<T> sums(shape.out * size);
    std::fill_n(sums.data(), shape.out * size, T(0));
    Index sum_rows[few_channels];
    for (Index i = 0; i < shape.out; ++i) sum_rows[i] = i * size;
    for (Index row = first / width; row * width < last; ++row)
        add_row_weights(shape, x, dy, row, std::max<Index>(0, first - row * width), std::min(width, last - row * width),
                        sum_rows, sums.data());
    for (Index i = 0; i < shape.out * size; ++i)
        to[i] = mode == Accumulate::add ? to[i] + sums.data()[i] : sums.data()[i];
}

}  // namespace genmod::kernels::detail
