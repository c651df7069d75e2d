// The packed matrix product (Goto and van de Geijn 2008): blocks of a and panels of b, packed for one register tile.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index m_block = 168;          // rows of a packed block: a multiple of 14 and of 6
inline constexpr Index n_block = 512;          // columns that share a packed block of a
inline constexpr Index serial_work = 1 << 20;  // products below this many multiply-adds wake no thread
inline constexpr Index tile_work = 1 << 21;    // the least work of a parallel tile
inline constexpr Index tiles_wanted = 32;

// Where row m = (sample, y, x) of c lies.
struct OutputRows {
    Index height = 1, width = 1;
    Index sample_step = 0, y_step = 0, x_step = 0;

    Index offset(Index row) const {
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

// The whole of b: panels of tile_cols columns, each [k][tile_cols].
template <class T>
void pack_b(const Operand<T>& b, Index n, Index k, T* to) {
    constexpr Index step = tile_cols<T>;
    const Index blocks = (k + k_block - 1) / k_block;
    parallel_ranges((n + step - 1) / step * blocks, 8, [&](Index first, Index last) {
        for (Index part = first; part < last; ++part) {
            const Index column = part / blocks * step, k0 = part % blocks * k_block;
            pack_panel(b, column, std::min(step, n - column), step, k0, std::min(k_block, k - k0),
                       to + column * k + k0 * step);
        }
    });
}

// How c is cut into tiles: by its shape alone.
struct Tiling {
    Index m_step, n_step;
    Index m_tiles, n_tiles;
};

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

inline Tiling cut(Index m, Index n, Index k, Index rows, Index cols) {
    const Index wanted = std::min(tiles_wanted, m * n * std::max<Index>(k, 1) / tile_work);
    Index m_tiles = ceil_div(m, m_block), n_tiles = ceil_div(n, n_block);
    const auto cut_m = [&](Index least) {
        while (m_tiles * n_tiles < wanted && ceil_div(m, m_tiles + 1) >= least) ++m_tiles;
    };
    const auto cut_n = [&](Index least) {
        while (m_tiles * n_tiles < wanted && ceil_div(n, n_tiles + 1) >= least) ++n_tiles;
    };
    cut_m(4 * rows);
    cut_n(4 * cols);
    cut_m(rows);
    cut_n(cols);
    Tiling tiling{};
    tiling.m_step = std::min(m_block, ceil_div(ceil_div(m, m_tiles), rows) * rows);
    tiling.n_step = ceil_div(ceil_div(n, n_tiles), cols) * cols;
    tiling.m_tiles = ceil_div(m, tiling.m_step);
    tiling.n_tiles = ceil_div(n, tiling.n_step);
    return tiling;
}

inline constexpr Index narrow = 6;  // products with at most this many columns run along the rows of c instead

// The finished sums of `cols` rows of c from first on, of which sums holds the transpose, tile_cols numbers a row.
template <class T>
void finish_narrow(const Product<T>& product, const T* sums, Index first, Index cols) {
    const Epilogue<T>& finish = product.epilogue;
    for (Index i = 0; i < cols; ++i)
        for (Index j = 0; j < product.n; ++j) {
            const Index at = product.rows.offset(first + i) + j;
            T value = sums[j * tile_cols<T> + i] * finish.scale;
            if (finish.bias != nullptr) value += finish.bias[j];
            if (finish.residual != nullptr) value += finish.residual[at];
            product.c[at] = finish.mode == Accumulate::add ? value + product.c[at] : value;
        }
}

// The same sums as c' = b' a': few columns would leave most lanes of a tile empty.
template <class T>
void multiply_narrow(const Product<T>& product) {
    constexpr Index step = tile_cols<T>;
    const Index m = product.m, n = product.n, k = product.k;
    Scratch<T> weights(n * k + pack_slack<T>);
    for (Index k0 = 0; k0 < k; k0 += k_block)
        pack_block(product.b, {.rows = n}, k0, std::min(k_block, k - k0), weights.data() + k0 * n);
    const auto body = [&](Index first, Index last) {
        Scratch<T> panel(std::min(k_block, k) * step + pack_slack<T>);
        T sums[narrow * step];
        Index offset[narrow];
        for (Index j = 0; j < n; ++j) offset[j] = j * step;
        for (Index i = first; i < last; i += step) {
            const Index cols = std::min(step, last - i);
            for (Index k0 = 0; k0 < k; k0 += k_block) {
                const Index depth = std::min(k_block, k - k0);
                pack_panel(product.a, i, cols, step, k0, depth, panel.data());
                const TileSource<T> from{.b = panel.data(), .b_k = step, .depth = depth};
                const TileTarget<T> to{sums, k0 == 0 ? nullptr : sums, offset, offset, nullptr};
                multiply_panel(BlockRows<T>{weights.data() + k0 * n, true, 0, 0}, n, step, from, to);
            }
            finish_narrow(product, sums, i, cols);
        }
    };
    const Index range = std::max(step, ceil_div(tile_work / 16 / std::max<Index>(k, 1), step) * step);
    if (m * k < serial_work / 8)
        body(Index{0}, m);
    else
        parallel_ranges(m, range, body);
}

template <class T>
void multiply(const Product<T>& product) {
    const Index m = product.m, n = product.n, k = product.k;
    if (m <= 0 || n <= 0) return;
    if (n <= narrow && m > 2 * tile_cols<T> && k > 0) return multiply_narrow(product);
    const Tiling tiling = cut(m, n, k, tile_rows<T>, tile_cols<T>);
    std::optional<Scratch<T>> panels;
    if (tiling.m_tiles > 1) {
        panels.emplace(ceil_div(n, tile_cols<T>) * tile_cols<T> * k);
        pack_b(product.b, n, k, panels->data());
    }
    const auto body = [&](Index tile) {
        BlockRange range{.m = tile / tiling.n_tiles * tiling.m_step, .n = tile % tiling.n_tiles * tiling.n_step};
        range.rows = std::min(tiling.m_step, m - range.m);
        range.cols = std::min(tiling.n_step, n - range.n);
        range.depth = k;
        multiply_block(product, range, panels ? panels->data() : nullptr);
    };
    const Index tiles = tiling.m_tiles * tiling.n_tiles;
    if (m * n * k < serial_work)
        for (Index tile = 0; tile < tiles; ++tile) body(tile);
    else
        parallel_for(tiles, body);
}

template <class T>
Product<T> matrix_product(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_step, const Epilogue<T>& epilogue) {
    Product<T> product;
    product.a = strided(a.data, a.row_step, a.col_step, a.cols);
    product.b = strided(b.data, b.col_step, b.row_step, b.rows);
    product.m = a.rows;
    product.n = b.cols;
    product.k = a.cols;
    product.c = c;
    product.rows = even_rows(c_step);
    product.epilogue = epilogue;
    return product;
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void gemm(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_step, const Epilogue<T>& epilogue) {
    detail::multiply(detail::matrix_product(a, b, c, c_step, epilogue));
}

template <class T>
void gemm_batch(Index count, const Matrix<T>& a, Index a_stride, const Matrix<T>& b, Index b_stride, T* c, Index c_step,
                Index c_stride, const Epilogue<T>& epilogue) {
    const auto one = [&](Index index) {
        Matrix<T> a_one = a, b_one = b;
        a_one.data += index * a_stride;
        b_one.data += index * b_stride;
        Epilogue<T> finish = epilogue;
        if (finish.residual != nullptr) finish.residual += index * c_stride;
        gemm(a_one, b_one, c + index * c_stride, c_step, finish);
    };
    const Index work = std::max<Index>(1, a.rows * a.cols * b.cols);
    if (work * count < detail::serial_work || work >= detail::tile_work * detail::tiles_wanted)
        for (Index index = 0; index < count; ++index) one(index);
    else
        parallel_ranges(count, std::max<Index>(1, detail::tile_work / work), [&](Index first, Index last) {
            for (Index index = first; index < last; ++index) one(index);
        });
}

}  // namespace genmod::kernels
