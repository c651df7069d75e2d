// The packed matrix product (Goto and van de Geijn 2008): blocks of a and panels of b, packed for one register tile.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_gated.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_narrow.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"

namespace genmod::kernels::detail {

inline constexpr Index n_block = 1024;         // columns that share a packed block of a
inline constexpr Index kept_panels = 1 << 21;  // numbers of b that stay near: more are fetched for each block of a

// Enough for even loads. The cut decides no bits, so that it may follow the threads.
inline Index tiles_wanted() { return Index{8} * thread_count(); }

// The whole of b: panels of tile_cols columns, each [k][tile_cols].
template <class T>
void pack_b(const Operand<T>& b, Index n, Index k, T* to) {
    constexpr Index step = tile_cols<T>;
    const Index panels = ceil_div(n, step);
    parallel_ranges(panels * ceil_div(k, k_block), 8, [&](Index first, Index last) {
        for (Index part = first; part < last; ++part) {
            const Index column = part % panels * step, k0 = part / panels * k_block;
            pack_panel(b, column, std::min(step, n - column), step, k0, std::min(k_block, k - k0),
                       to + column * k + k0 * step);
        }
    });
}

// How c is cut into tiles.
struct Tiling {
    Index m_step, n_step;
    Index m_tiles, n_tiles;
};

inline Tiling cut(Index m, Index n, Index k, Index rows, Index cols, bool packed) {
    // Few rows stay together, so that each panel of b is packed by the one tile that reads it; and in fewer tiles,
    // since each packs the rows.
    const Index together = packed || n * k <= kept_panels ? m_block : most_rows;
    const bool few = m <= together;
    const Index work = product_work(m, n, k), most = few ? together : m_block;
    const Index enough = few && !packed ? tiles_wanted() / 2 : tiles_wanted();
    const Index wanted = work < serial_work ? 1 : std::clamp<Index>(work / tile_work, thread_count(), enough);
    Index m_tiles = ceil_div(m, most), n_tiles = ceil_div(n, n_block);
    const auto cut_m = [&](Index least) {
        while (m_tiles * n_tiles < wanted && ceil_div(m, m_tiles + 1) >= least) ++m_tiles;
    };
    const auto cut_n = [&](Index least) {
        while (m_tiles * n_tiles < wanted && ceil_div(n, n_tiles + 1) >= least) ++n_tiles;
    };
    if (!few) cut_m((n * k <= kept_panels ? 4 : 16) * rows);
    cut_n(4 * cols);
    cut_m(rows);
    cut_n(cols);
    Tiling tiling{};
    tiling.m_step = std::min(most, ceil_div(ceil_div(m, m_tiles), rows) * rows);
    tiling.n_step = ceil_div(ceil_div(n, n_tiles), cols) * cols;
    tiling.m_tiles = ceil_div(m, tiling.m_step);
    tiling.n_tiles = ceil_div(n, tiling.n_step);
    return tiling;
}

template <class T>
void multiply(const Product<T>& product, Panels<T> panels = {}) {
    const Index m = product.m, n = product.n, k = product.k;
    if (m <= 0 || n <= 0) return;
    const bool gated = product.epilogue.gated;
    if (n <= narrow && m > 2 * tile_cols<T> && k > 0 && !panels.given() && !gated) return multiply_narrow(product);
    const Tiling tiling = cut(m, gated ? n / 2 : n, k, tile_rows<T>, tile_cols<T>, panels.given());
    std::optional<Scratch<T>> packed;
    if (tiling.m_tiles > 1 && !panels.given()) {
        packed.emplace(ceil_div(n, tile_cols<T>) * tile_cols<T> * k);
        pack_b(product.b, n, k, packed->data());
        panels.full = packed->data();
    }
    const auto body = [&](Index tile) {
        BlockRange range{.m = tile / tiling.n_tiles * tiling.m_step, .n = tile % tiling.n_tiles * tiling.n_step};
        range.rows = std::min(tiling.m_step, m - range.m);
        range.cols = std::min(tiling.n_step, (gated ? n / 2 : n) - range.n);
        range.depth = k;
        if (gated)
            multiply_gated_block(product, range, panels);
        else
            multiply_block(product, range, panels);
    };
    const Index tiles = tiling.m_tiles * tiling.n_tiles;
    if (product_work(m, n, k) < serial_work)
        for (Index tile = 0; tile < tiles; ++tile) body(tile);
    else
        parallel_for(tiles, body);
}

// The product with all its columns, then the gate: where panels do not begin with the right half.
template <class T>
void multiply_then_gate(const Product<T>& product, const Panels<T>& panels) {
    const Index half = product.n / 2;
    Scratch<T> sums(product.m * product.n);
    Product<T> plain = product;
    plain.c = sums.data();
    plain.rows = even_rows(product.n);
    plain.epilogue.gated = false;
    plain.epilogue.activation = {};
    multiply(plain, panels);
    parallel_ranges(
        product.m, std::max<Index>(1, elementwise_grain / std::max<Index>(1, half)), [&](Index first, Index last) {
            const T* const from = sums.data() + first * product.n;
            gated_here(*product.epilogue.activation, from, from + half, product.n,
                       product.c + product.rows.offset(first), product.rows.sample_step, last - first, half);
        });
}

template <class T>
void multiply_matrices(const Product<T>& product, const Panels<T>& panels = {}) {
    if (product.epilogue.gated && product.n / 2 % tile_cols<T> != 0) return multiply_then_gate(product, panels);
    multiply(product, panels);
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
    detail::multiply_matrices(detail::matrix_product(a, b, c, c_step, epilogue));
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
    if (work * count < detail::serial_work || work >= detail::tile_work * detail::tiles_wanted())
        for (Index index = 0; index < count; ++index) one(index);
    else
        parallel_ranges(count, std::max<Index>(1, detail::tile_work / work), [&](Index first, Index last) {
            for (Index index = first; index < last; ++index) one(index);
        });
}

}  // namespace genmod::kernels
