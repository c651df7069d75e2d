// Convolutions of stride 1 to very few channels. Every row of the image is transposed once, so that a vector holds
// neighbouring pixels of one channel; patches then begin anywhere in it, where packing them would take longer than the
// products.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_narrow.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index strip_width = 128;  // output pixels of a row that are worked on together

// Whole vectors of channels are needed.
template <class T>
bool narrow_convolution(const Patches& grid, Index columns) {
    return columns <= narrow && grid.stride == 1 && grid.taps_h * grid.taps_w > 1 &&
           grid.channels % simd::lanes<T> == 0 && grid.out_width >= simd::lanes<T>;
}

// Rows of outputs that are worked on together: with fewer than eight vectors of sums, each multiply-add would wait for
// the one before.
template <int Columns>
inline constexpr int row_span = Columns == 1   ? 4
                                : Columns == 2 ? 2
                                               : 1;

// The rows of an image that the taps of some rows of outputs see, transposed: [channels][pitch] pixels from `left` on,
// zero outside of the image.
template <class T>
class TransposedRows {
public:
    // For so many rows of outputs at a time.
    TransposedRows(const T* image, const Patches& grid, Index width, Index span)
        : image_(image),
          grid_(grid),
          slots_(grid.taps_h + span - 1),
          pitch_(ceil_div(width, tile_cols<T>) * tile_cols<T> + ceil_div(grid.taps_w, simd::lanes<T>) * simd::lanes<T>),
          data_(slots_ * grid.channels * pitch_),
          zeros_(grid.channels) {
        std::fill_n(zeros_.data(), grid.channels, T(0));
    }

    Index pitch() const { return pitch_; }

    // Where row y of the padded image lies.
    const T* row(Index y) const { return slot(y); }

    // Transposes row y of the padded image.
    void fill(Index sample, Index y, Index left) {
        const Index at_y = y - grid_.pad_top, first = left - grid_.pad_left, channels = grid_.channels;
        const bool inside = at_y >= 0 && at_y < grid_.height;
        const T* const pixels = image_ + (sample * grid_.height + (inside ? at_y : 0)) * grid_.width * channels;
        constexpr Index lanes = simd::lanes<T>;
        for (Index x = 0; x < pitch_; x += lanes) {
            const T* from[lanes];
            for (Index i = 0; i < lanes; ++i) {
                const Index at = first + x + i;
                from[i] = inside && at >= 0 && at < grid_.width ? pixels + at * channels : zeros_.data();
            }
            T* const to = slot(y) + x;
            for (Index c = 0; c < channels; c += lanes) {
                simd::Batch<T> block[lanes];
#pragma GCC unroll 16
                for (Index i = 0; i < lanes; ++i) block[i] = simd::load(from[i] + c);
                simd::transpose<T>(block);
#pragma GCC unroll 16
                for (Index i = 0; i < lanes; ++i) simd::store(to + (c + i) * pitch_, block[i]);
            }
        }
    }

private:
    // Rows take turns, so that each is transposed once while the outputs go down.
    T* slot(Index y) const { return data_.data() + y % slots_ * grid_.channels * pitch_; }

    const T* image_;
    const Patches& grid_;
    Index slots_, pitch_;
    Scratch<T> data_, zeros_;
};

// Sums of tile_cols outputs from x on, of `Span` rows from y on: [Span][Columns][tile_cols]. They go on over taps, then
// channels, as in a product over patches; weights are [taps][channels][Columns].
template <class T, int Span, int Columns>
void multiply_rows_of_image(const TransposedRows<T>& rows, const Patches& grid, const T* weights, Index y, Index x,
                            T* sums) {
    constexpr int vectors = 2;
    static_assert(vectors * simd::lanes<T> == tile_cols<T>);
    simd::Batch<T> sum[Span][Columns][vectors];
#pragma GCC unroll 4
    for (int s = 0; s < Span; ++s)
#pragma GCC unroll 6
        for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) sum[s][j][v] = simd::Batch<T>(T(0));
    for (Index tap = 0; tap < grid.taps_h * grid.taps_w; ++tap) {
        const T* from[Span];
        for (int s = 0; s < Span; ++s) from[s] = rows.row(y + s + tap / grid.taps_w) + x + tap % grid.taps_w;
        for (Index c = 0; c < grid.channels; ++c, weights += Columns)
#pragma GCC unroll 4
            for (int s = 0; s < Span; ++s) {
                simd::Batch<T> pixels[vectors];
#pragma GCC unroll 2
                for (int v = 0; v < vectors; ++v) pixels[v] = simd::load(from[s] + v * simd::lanes<T>);
                from[s] += rows.pitch();
#pragma GCC unroll 6
                for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
                    for (int v = 0; v < vectors; ++v)
                        sum[s][j][v] = simd::fma(simd::Batch<T>(weights[j]), pixels[v], sum[s][j][v]);
            }
    }
#pragma GCC unroll 4
    for (int s = 0; s < Span; ++s)
#pragma GCC unroll 6
        for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v, sums += simd::lanes<T>) simd::store(sums, sum[s][j][v]);
}

// c [n, out_height, out_width, Columns] = image convolved with the weights of `product`, its right operand.
template <class T, int Columns>
void convolve_columns(Index n, const T* image, const Patches& grid, const Product<T>& product) {
    constexpr Index step = tile_cols<T>, span = row_span<Columns>;
    const Index channels = grid.channels, depth = grid.taps_h * grid.taps_w * channels;
    Scratch<T> weights(depth * Columns + pack_slack<T>);
    for (Index k = 0; k < depth; k += k_block)
        pack_panel(product.b, 0, Columns, Columns, k, std::min(k_block, depth - k), weights.data() + k * Columns);
    const auto outputs = [&](Index first, Index last) {
        TransposedRows<T> rows(image, grid, std::min(strip_width, grid.out_width), span);
        for (Index left = 0; left < grid.out_width; left += strip_width)
            for (Index row = first, count = 0; row < last; row += count) {
                const Index sample = row / grid.out_height, y = row % grid.out_height;
                count = std::min({span, last - row, grid.out_height - y});
                for (Index u = row == first || y == 0 ? 0 : grid.taps_h - 1; u < grid.taps_h + count - 1; ++u)
                    rows.fill(sample, y + u, left);
                for (Index x = 0; x < std::min(strip_width, grid.out_width - left); x += step) {
                    T sums[span * Columns * step];
                    if (count == span)
                        multiply_rows_of_image<T, span, Columns>(rows, grid, weights.data(), y, x, sums);
                    else
                        for (Index s = 0; s < count; ++s)
                            multiply_rows_of_image<T, 1, Columns>(rows, grid, weights.data(), y + s, x,
                                                                  sums + s * Columns * step);
                    for (Index s = 0; s < count; ++s)
                        finish_narrow(product, sums + s * Columns * step, (row + s) * grid.out_width + left + x,
                                      std::min(step, grid.out_width - left - x));
                }
            }
    };
    const Index work = grid.out_width * Columns * depth, rows = n * grid.out_height;
    if (work * rows < serial_work)
        outputs(Index{0}, rows);
    else
        parallel_ranges(rows, std::max<Index>(2 * span, ceil_div(tile_work / 4, work)), outputs);
}

template <class T, int Columns = 1>
void convolve_narrow(Index n, const T* image, const Patches& grid, const Product<T>& product) {
    if constexpr (Columns < narrow)
        if (product.n > Columns) return convolve_narrow<T, Columns + 1>(n, image, grid, product);
    convolve_columns<T, Columns>(n, image, grid, product);
}

}  // namespace genmod::kernels::detail
