// A block of the matrix product: rows of a and panels of b, packed for the register tile.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index m_block = 168;          // rows of a packed block: a multiple of 14 and of 6
inline constexpr Index serial_work = 1 << 20;  // products below this many multiply-adds wake no thread
inline constexpr Index tile_work = 1 << 21;    // the least work of a parallel tile

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// Where row m = (sample, y, x) of c lies.
struct OutputRows {
    Index height = 1, width = 1;
    Index sample_step = 0, y_step = 0, x_step = 0;

    Index offset(Index row) const {
        if (height == 1 && width == 1) return row * sample_step;
        return row / (height * width) * sample_step + row / width % height * y_step + row % width * x_step;
    }
    bool even(Index step) const { return height == 1 && width == 1 && sample_step == step; }
};

inline OutputRows even_rows(Index step) { return {.sample_step = step}; }

// c [m, n] = a * b with sums over k.
template <class T>
struct Product {
    Operand<T> a, b;
    Index m = 0, n = 0, k = 0;
    T* c = nullptr;
    OutputRows rows;
    Epilogue<T> epilogue;

    bool plain_epilogue() const {
        return epilogue.bias == nullptr && epilogue.residual == nullptr && epilogue.scale == T(1) &&
               epilogue.mode == Accumulate::write;
    }
    // Whether c cannot hold unfinished sums.
    bool needs_sums() const { return epilogue.mode == Accumulate::add || epilogue.residual == c; }
};

// A part of c, and of k.
struct BlockRange {
    Index m = 0, rows = 0;  // at most m_block rows
    Index n = 0, cols = 0;
    Index k = 0, depth = 0;
};

// Whether tiles may read a where it lies: few columns would not repay the packing. Rows that fall into one set of the
// cache are packed.
template <class T>
bool reads_in_place(const Product<T>& product, const BlockRange& range) {
    const Operand<T>& a = product.a;
    if (!a.plain()) return false;
    if (range.rows == 1) return true;
    if (range.cols > 4 * tile_cols<T>) return false;
    const Index bytes = std::max(a.i_step, a.k_step) * static_cast<Index>(sizeof(T));
    return (a.k_step == 1 && bytes % 2048 != 0) || (a.i_step == 1 && bytes < 2048);
}

// Whether a panel of b can be read where it lies, because few rows would not repay the packing.
template <class T>
bool panel_in_place(const Product<T>& product, Index rows, Index cols) {
    return product.b.plain() && product.b.i_step == 1 && rows <= 2 * tile_rows<T> &&
           (cols == tile_cols<T> || cols == simd::lanes<T>);
}

template <class T>
void pack_block(const Operand<T>& a, const BlockRange& range, Index k, Index depth, T* to) {
    for (Index i = 0; i < range.rows;) {
        const Index height = tile_height<T>(range.rows - i);
        pack_panel(a, range.m + i, height, height, k, depth, to + i * depth);
        i += height;
    }
}

// One block of c. `packed` is b as pack_b leaves it, or null: then panels are packed as they are needed.
template <class T>
void multiply_block(const Product<T>& product, const BlockRange& range, const T* packed) {
    constexpr Index step = tile_cols<T>;
    const Index deepest = std::min(k_block, range.depth);
    const bool in_place = reads_in_place(product, range);
    const bool separate = range.depth > k_block && product.needs_sums();
    std::optional<Scratch<T>> a_panels, b_panel, sums;
    if (!in_place) a_panels.emplace(range.rows * deepest + pack_slack<T>);
    if (packed == nullptr) b_panel.emplace(deepest * step + pack_slack<T>);
    if (separate) sums.emplace(range.rows * range.cols);

    Index row_offset[m_block], sum_offset[m_block];
    for (Index i = 0; i < range.rows; ++i) {
        row_offset[i] = product.rows.offset(range.m + i);
        sum_offset[i] = separate ? i * range.cols : row_offset[i];
    }
    Index done = 0;
    do {
        const Index k = range.k + done, depth = std::min(k_block, range.depth - done);
        const bool last = done + depth == range.depth;
        BlockRows<T> rows{product.a.data + range.m * product.a.i_step + k * product.a.k_step, false, product.a.i_step,
                          product.a.k_step};
        if (!in_place) {
            pack_block(product.a, range, k, depth, a_panels->data());
            rows = {a_panels->data(), true, 0, 0};
        }
        for (Index n = 0; n < range.cols; n += step) {
            const Index column = range.n + n, cols = std::min(step, range.cols - n);
            TileSource<T> from{.b = b_panel ? b_panel->data() : packed, .b_k = step, .depth = depth};
            if (packed != nullptr) {
                from.b = packed + column * product.k + k * step;
            } else if (panel_in_place(product, range.rows, cols)) {
                from.b = product.b.data + column + k * product.b.k_step;
                from.b_k = product.b.k_step;
            } else {
                pack_panel(product.b, column, cols, step, k, depth, b_panel->data());
            }
            T* const unfinished = separate ? sums->data() + n : product.c + column;
            Epilogue<T> finish = product.epilogue;
            if (finish.bias != nullptr) finish.bias += column;
            if (finish.residual != nullptr) finish.residual += column;
            TileTarget<T> to{last ? product.c + column : unfinished, done == 0 ? nullptr : unfinished,
                             last ? row_offset : sum_offset, sum_offset,
                             last && !product.plain_epilogue() ? &finish : nullptr};
            multiply_panel(rows, range.rows, cols, from, to);
        }
        done += depth;
    } while (done < range.depth);
}

}  // namespace genmod::kernels::detail
