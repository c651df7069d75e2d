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

// The rows of an image that the taps of one row of outputs see, transposed: [taps_h][channels][pitch] pixels from
// `left` on, zero outside of the image.
template <class T>
class TransposedRows {
public:
    TransposedRows(const T* image, const Patches& grid, Index width)
        : image_(image),
          grid_(grid),
          pitch_(ceil_div(width, tile_cols<T>) * tile_cols<T> + ceil_div(grid.taps_w, simd::lanes<T>) * simd::lanes<T>),
          data_(grid.taps_h * grid.channels * pitch_),
          zeros_(grid.channels) {
        std::fill_n(zeros_.data(), grid.channels, T(0));
    }

    Index pitch() const { return pitch_; }

    // Where tap row u of the outputs of row y lies.
    const T* row(Index y, Index u) const { return slot(y + u); }

    // Transposes row y + u of the padded image.
    void fill(Index sample, Index y, Index u, Index left) {
        const Index at_y = y + u - grid_.pad_top, first = left - grid_.pad_left, channels = grid_.channels;
        const bool inside = at_y >= 0 && at_y < grid_.height;
        const T* const pixels = image_ + (sample * grid_.height + (inside ? at_y : 0)) * grid_.width * channels;
        constexpr Index lanes = simd::lanes<T>;
        for (Index x = 0; x < pitch_; x += lanes) {
            const T* from[lanes];
            for (Index i = 0; i < lanes; ++i) {
                const Index at = first + x + i;
                from[i] = inside && at >= 0 && at < grid_.width ? pixels + at * channels : zeros_.data();
            }
            T* const to = slot(y + u) + x;
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
    T* slot(Index padded_y) const { return data_.data() + padded_y % grid_.taps_h * grid_.channels * pitch_; }

    const T* image_;
    const Patches& grid_;
    Index pitch_;
    Scratch<T> data_, zeros_;
};

// c [n, out_height, out_width, columns] = image convolved with the weights of `product`, its right operand. Sums go on
// over taps, then channels, as in a product over patches.
template <class T>
void convolve_narrow(Index n, const T* image, const Patches& grid, const Product<T>& product) {
    constexpr Index step = tile_cols<T>;
    const Index channels = grid.channels, taps = grid.taps_h * grid.taps_w, columns = product.n;
    Scratch<T> weights(taps * channels * columns + pack_slack<T>);
    for (Index tap = 0; tap < taps; ++tap)
        for (Index c = 0; c < channels; c += k_block) {
            const Index at = tap * channels + c;
            pack_block(product.b, {.rows = columns}, at, std::min(k_block, channels - c),
                       weights.data() + at * columns);
        }
    Index offset[narrow];
    for (Index j = 0; j < columns; ++j) offset[j] = j * step;

    const auto tile = [&](const TransposedRows<T>& rows, Index y, Index x, T* sums) {
        for (Index tap = 0; tap < taps; ++tap)
            for (Index c = 0; c < channels; c += k_block) {
                const TileSource<T> from{.b = rows.row(y, tap / grid.taps_w) + c * rows.pitch() + x + tap % grid.taps_w,
                                         .b_k = rows.pitch(),
                                         .depth = std::min(k_block, channels - c)};
                const TileTarget<T> to{sums, tap + c == 0 ? nullptr : sums, offset, offset, nullptr};
                multiply_panel(BlockRows<T>{weights.data() + (tap * channels + c) * columns, true, 0, 0}, columns, step,
                               from, to);
            }
    };
    const auto outputs = [&](Index first, Index last) {
        TransposedRows<T> rows(image, grid, std::min(strip_width, grid.out_width));
        for (Index left = 0; left < grid.out_width; left += strip_width)
            for (Index row = first; row < last; ++row) {
                const Index sample = row / grid.out_height, y = row % grid.out_height;
                for (Index u = row == first || y == 0 ? 0 : grid.taps_h - 1; u < grid.taps_h; ++u)
                    rows.fill(sample, y, u, left);
                for (Index x = 0; x < std::min(strip_width, grid.out_width - left); x += step) {
                    T sums[narrow * step];
                    tile(rows, y, x, sums);
                    finish_narrow(product, sums, row * grid.out_width + left + x,
                                  std::min(step, grid.out_width - left - x));
                }
            }
    };
    const Index work = grid.out_width * columns * taps * channels, rows = n * grid.out_height;
    if (work * rows < serial_work)
        outputs(Index{0}, rows);
    else
        parallel_ranges(rows, std::max<Index>(4, ceil_div(tile_work / 4, work)), outputs);
}

}  // namespace genmod::kernels::detail
