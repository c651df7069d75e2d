// Blocks of a matrix product whose rows are patches of an image, without packing them: for few columns that would take
// up to a quarter of the time. The part of the image that a block sees is copied once, with zeros around, so that a row
// of taps is one run of numbers; tiles read each of their rows from where its pixel lies.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/padded_part.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Rows x Vectors * lanes outputs: row i of a is `runs` runs of `length` numbers, run_step apart, from rows[i] on; b is
// packed.
template <class T, int Rows, int Vectors>
void multiply_runs(const T* const* rows, Index runs, Index length, Index run_step, const T* b,
                   const TileTarget<T>& to) {
    using Batch = simd::Batch<T>;
    const T* a[Rows];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) a[i] = rows[i];
    Batch sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Batch(T(0));
    for (Index run = 0; run < runs; ++run)
        for (Index k = run * run_step; k < run * run_step + length; ++k, b += tile_cols<T>) {
            Batch column[Vectors];
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) column[j] = simd::in_register<T>(simd::load(b + j * simd::lanes<T>));
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i) {
                const Batch value(a[i][k]);
#pragma GCC unroll 16
                for (int j = 0; j < Vectors; ++j) sum[i][j] = simd::fma(value, column[j], sum[i][j]);
                simd::keep<T>(value);
            }
        }
    finish_tile<T, Rows, Vectors>(sum, to);
}

// Whether a block's rows are read from the image: where its columns would not repay packing them. Measured with AVX-512
// on one thread, against packing: 28 x 28 x 1 to 32 channels, 4 x 4, stride 2, a third of the time; 14 x 14 x 32 to 64
// 7 to 9 % less, 28 x 28 x 64 to 64 (3 x 3, stride 2) 7 % less.
template <class T>
bool reads_image(const Product<T>& product) {
    const Operand<T>& a = product.a;
    return a.kind == OperandKind::pixel_rows && a.patches.stride <= a.patches.taps_h &&
           a.patches.stride <= a.patches.taps_w && product.n <= 2 * tile_cols<T>;
}

// The patches of a tile's pixels and where their outputs lie; places behind the last pixel repeat it.
template <class T>
struct ImageTile {
    const T* rows[tile_rows<T>];
    Index offset[tile_rows<T>];
    Index count;

    ImageTile(const Product<T>& product, const PaddedPart<T>& part, Index first, Index pixels)
        : count(std::min(tile_rows<T>, pixels)) {
        product.rows.offsets(first, count, offset);
        for (Index r = 0; r + 1 < count; ++r) rows[r] = part.patch(first + r);
        std::fill(rows + count - 1, rows + tile_rows<T>, part.patch(first + count - 1));
        std::fill(offset + count, offset + tile_rows<T>, offset[count - 1]);
    }
};

// A tile's outputs in columns column .. column + cols - 1, by their panel of b.
template <class T>
void multiply_image_tile(const Product<T>& product, const ImageTile<T>& tile, Index pitch, Index column, Index cols,
                         const T* b) {
    constexpr Index step = tile_cols<T>;
    constexpr int height = static_cast<int>(tile_rows<T>);
    const Patches& grid = product.a.patches;
    const Index runs = grid.taps_h, length = grid.taps_w * grid.channels;
    Epilogue<T> finish = product.epilogue;
    if (finish.bias != nullptr) finish.bias += column;
    if (finish.residual != nullptr) finish.residual += column;
    T* const c = product.c + column;
    const TileTarget<T> to{c, nullptr, tile.offset, nullptr, product.plain_epilogue() ? nullptr : &finish};
    if (cols == step) return multiply_runs<T, height, 2>(tile.rows, runs, length, pitch, b, to);
    if (cols == simd::lanes<T>) return multiply_runs<T, height, 1>(tile.rows, runs, length, pitch, b, to);
    T sums[height * step];
    Index sum_offset[height];
    for (Index r = 0; r < height; ++r) sum_offset[r] = r * step;
    multiply_runs<T, height, 2>(tile.rows, runs, length, pitch, b, {sums, nullptr, sum_offset, nullptr, nullptr});
    for (Index r = 0; r < tile.count; ++r)
        for (Index j = 0; j < cols; ++j) finish_number(finish, sums[r * step + j], j, tile.offset[r] + j, c);
}

// One block of c but for the activation; `full` are all panels of b, or null.
template <class T>
void multiply_image_block(const Product<T>& product, const BlockRange& range, const T* full) {
    constexpr Index step = tile_cols<T>;
    const Index k = product.k;
    const PaddedPart<T> part(product.a, range.m, range.rows);
    const Scratch<T> own(full == nullptr ? k * step + pack_slack<T> : 0);
    for (Index n = 0; n < range.cols; n += step) {
        const Index column = range.n + n, cols = std::min(step, range.cols - n);
        if (full == nullptr)
            for (Index k0 = 0; k0 < k; k0 += k_block)
                pack_panel(product.b, column, cols, step, k0, std::min(k_block, k - k0), own.data() + k0 * step);
        const T* const b = full == nullptr ? own.data() : full + column * k;
        for (Index i = 0; i < range.rows; i += tile_rows<T>)
            multiply_image_tile(product, ImageTile<T>(product, part, range.m + i, range.rows - i), part.pitch(), column,
                                cols, b);
    }
}

}  // namespace genmod::kernels::detail
