// Convolutions of stride 1 to very few channels. Every row of the image is transposed once, so that a vector holds
// neighbouring pixels of one channel; patches then begin anywhere in it, where packing them would take longer than the
// products.
#pragma once

#include <algorithm>
#include <vector>

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

// A convolution of an image as the product that it is: weights, the outputs' place and their epilogue.
template <class T>
struct PatchProduct {
    Patches patches;
    Product<T> product;
};

// The patches that hold those of each part; all see one image, at stride 1.
template <class T>
Patches seen_by(const std::vector<PatchProduct<T>>& parts) {
    Patches all = parts.front().patches;
    for (const PatchProduct<T>& part : parts) {
        all.pad_top = std::max(all.pad_top, part.patches.pad_top);
        all.pad_left = std::max(all.pad_left, part.patches.pad_left);
        all.out_height = std::max(all.out_height, part.patches.out_height);
        all.out_width = std::max(all.out_width, part.patches.out_width);
    }
    for (const auto& [grid, product] : parts) {
        all.taps_h = std::max(all.taps_h, all.pad_top - grid.pad_top + grid.taps_h);
        all.taps_w = std::max(all.taps_w, all.pad_left - grid.pad_left + grid.taps_w);
    }
    return all;
}

// Whole vectors of channels are needed, and rows that fill the better part of a vector.
template <class T>
bool narrow_convolution(const Patches& grid, Index columns) {
    return columns <= narrow && grid.stride == 1 && grid.taps_h * grid.taps_w > 1 &&
           grid.channels % simd::lanes<T> == 0 && 2 * grid.out_width > simd::lanes<T>;
}

// Rows of outputs that are worked on together, by vectors of each: with fewer than eight vectors of sums, each
// multiply-add would wait for the one before.
template <int Columns, int Vectors>
inline constexpr int row_span = std::max(1, 8 / (Columns * Vectors));

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
          pitch_(ceil_div(width + grid.taps_w - 1, simd::lanes<T>) * simd::lanes<T>),
          data_(slots_ * grid.channels * pitch_ + tile_cols<T>),
          zeros_(grid.channels) {
        std::fill_n(zeros_.data(), grid.channels, T(0));
        std::fill_n(data_.data() + slots_ * grid.channels * pitch_, tile_cols<T>, T(0));  // vectors may pass the end
    }

    Index pitch() const { return pitch_; }

    // Where the pixels begin that output row y of a part of these patches sees.
    const T* row(const Patches& part, Index y) const {
        return slot(y + grid_.pad_top - part.pad_top) + grid_.pad_left - part.pad_left;
    }

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

// Sums of `Vectors` vectors of outputs from x on, of `count` rows from y on: [row_span][Columns][tile_cols], of which
// rows behind the last one repeat it. They go on over taps, then channels, as in a product over patches; weights are
// [taps][channels][Columns].
template <class T, int Columns, int Vectors>
void multiply_rows_of_image(const TransposedRows<T>& rows, const Patches& grid, const T* weights, Index y, Index count,
                            Index x, T* sums) {
    constexpr int span = row_span<Columns, Vectors>;
    simd::Batch<T> sum[span][Columns][Vectors];
#pragma GCC unroll 8
    for (int s = 0; s < span; ++s)
#pragma GCC unroll 6
        for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sum[s][j][v] = simd::Batch<T>(T(0));
    for (Index tap = 0; tap < grid.taps_h * grid.taps_w; ++tap) {
        const T* from[span];
        for (Index s = 0; s < span; ++s)
            from[s] = rows.row(grid, y + std::min(s, count - 1) + tap / grid.taps_w) + x + tap % grid.taps_w;
        for (Index c = 0; c < grid.channels; ++c, weights += Columns)
#pragma GCC unroll 8
            for (int s = 0; s < span; ++s) {
                simd::Batch<T> pixels[Vectors];
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) pixels[v] = simd::load(from[s] + v * simd::lanes<T>);
                from[s] += rows.pitch();
#pragma GCC unroll 6
                for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
                    for (int v = 0; v < Vectors; ++v)
                        sum[s][j][v] = simd::fma(simd::Batch<T>(weights[j]), pixels[v], sum[s][j][v]);
            }
    }
#pragma GCC unroll 8
    for (int s = 0; s < span; ++s)
#pragma GCC unroll 6
        for (int j = 0; j < Columns; ++j)
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v)
                simd::store(sums + (s * Columns + j) * tile_cols<T> + v * simd::lanes<T>, sum[s][j][v]);
}

// `count` rows of a part's outputs from y on, their pixels from `left` to the end of the strip. `rows` holds what all
// parts see; weights are [taps][channels][Columns].
template <class T, int Columns, int Vectors>
void convolve_part(const PatchProduct<T>& part, const TransposedRows<T>& rows, const T* weights, Index sample, Index y,
                   Index count, Index left) {
    constexpr Index step = Vectors * simd::lanes<T>, row_sums = Columns * tile_cols<T>;
    const auto& [grid, product] = part;
    for (Index x = 0; x < std::min(strip_width, grid.out_width - left); x += step) {
        T sums[row_span<Columns, Vectors> * row_sums];
        multiply_rows_of_image<T, Columns, Vectors>(rows, grid, weights, y, count, x, sums);
        for (Index s = 0; s < count; ++s)
            finish_narrow(product, sums + s * row_sums, (sample * grid.out_height + y + s) * grid.out_width + left + x,
                          std::min(step, grid.out_width - left - x));
    }
}

// The products of all parts, which have `Columns` columns each.
template <class T, int Columns, int Vectors>
void convolve_columns(Index n, const T* image, const std::vector<PatchProduct<T>>& parts) {
    constexpr Index span = row_span<Columns, Vectors>;
    const Patches all = seen_by(parts);
    Index depth = 0;
    for (const PatchProduct<T>& part : parts) depth += part.product.k;
    Scratch<T> weights(depth * Columns + pack_slack<T>);
    T* to = weights.data();
    for (const auto& [grid, product] : parts)
        for (Index k = 0; k < product.k; k += k_block) {
            const Index length = std::min(k_block, product.k - k);
            pack_panel(product.b, 0, Columns, Columns, k, length, to);
            to += length * Columns;
        }
    const auto outputs = [&](Index first, Index last) {
        TransposedRows<T> rows(image, all, std::min(strip_width, all.out_width), span);
        for (Index left = 0; left < all.out_width; left += strip_width)
            for (Index row = first, count = 0; row < last; row += count) {
                const Index sample = row / all.out_height, y = row % all.out_height;
                count = std::min({span, last - row, all.out_height - y});
                for (Index u = row == first || y == 0 ? 0 : all.taps_h - 1; u < all.taps_h + count - 1; ++u)
                    rows.fill(sample, y + u, left);
                const T* from = weights.data();
                for (const PatchProduct<T>& part : parts) {
                    const Index own = std::min(count, part.patches.out_height - y);
                    if (own > 0) convolve_part<T, Columns, Vectors>(part, rows, from, sample, y, own, left);
                    from += part.product.k * Columns;
                }
            }
    };
    const Index work = all.out_width * Columns * depth, rows = n * all.out_height;
    if (work * rows < serial_work)
        outputs(Index{0}, rows);
    else
        parallel_ranges(rows, std::max<Index>(2 * span, ceil_div(tile_work / 4, work)), outputs);
}

template <class T, int Columns = 1>
void convolve_narrow(Index n, const T* image, const std::vector<PatchProduct<T>>& parts) {
    const PatchProduct<T>& part = parts.front();
    if constexpr (Columns < narrow)
        if (part.product.n > Columns) return convolve_narrow<T, Columns + 1>(n, image, parts);
    if (part.patches.out_width <= simd::lanes<T>)
        convolve_columns<T, Columns, 1>(n, image, parts);
    else
        convolve_columns<T, Columns, 2>(n, image, parts);
}

}  // namespace genmod::kernels::detail
