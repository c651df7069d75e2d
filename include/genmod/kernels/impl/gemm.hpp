// The packed matrix product (Goto and van de Geijn 2008): blocks of a and panels of b, packed for one register tile.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16_block.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_gated.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_narrow.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_row.hpp"

namespace genmod::kernels::detail {

inline constexpr Index n_block = 1024;         // columns that share a packed block of a
inline constexpr Index kept_panels = 1 << 21;  // numbers of b that stay near: more are fetched for each block of a
inline constexpr Index pack_work = 1 << 13;    // numbers of b that are worth another thread's packing

inline constexpr Index amx_speed = 8;  // multiply-adds of AMX in the time of one of vectors

// Enough for even loads. The cut decides no bits, so that it may follow the threads.
inline Index tiles_wanted() { return Index{4} * thread_count(); }

// The whole of b: panels of tile_cols columns, each [k][tile_cols].
template <class T>
void pack_b(const Operand<T>& b, Index n, Index k, T* to) {
    constexpr Index step = tile_cols<T>;
    const Index panels = ceil_div(n, step);
    const Index grain = std::max<Index>(1, pack_work / (step * std::clamp<Index>(k, 1, k_block)));
    parallel_ranges(panels * ceil_div(k, k_block), grain, [&](Index first, Index last) {
        for (Index part = first; part < last; ++part) {
            const Index column = part % panels * step, k0 = part / panels * k_block;
            pack_panel(b, column, std::min(step, n - column), step, k0, std::min(k_block, k - k0),
                       to + column * k + k0 * step);
        }
    });
}

// Rows or columns of c, in units of a register tile, as equal parts as can be.
struct Cut {
    Index size = 0, unit = 1;
    Index parts = 1;

    Index units() const { return ceil_div(size, unit); }
    Index begin(Index part) const { return std::min(size, units() * part / parts * unit); }
    Index length(Index part) const { return begin(part + 1) - begin(part); }
    // Whether one more part would leave `least` numbers to each.
    bool divides(Index least) const { return size >= (parts + 1) * least; }
};

struct Tiling {
    Cut m, n;
    bool alone = false;  // each tile packs what it reads of b
    Index tiles() const { return m.parts * n.parts; }
};

// As many tiles for each thread, where a few more parts of one side give that.
inline void even_out(Cut& more, Index others) {
    const Index threads = thread_count(), most = std::min(more.parts + threads, more.units() + 1);
    for (Index parts = more.parts; parts < most; ++parts)
        if (parts * others % threads == 0) {
            more.parts = parts;
            return;
        }
}

// What a product is cut by.
struct Grain {
    Index rows = 1, cols = 1;  // of a register tile
    Index block = m_block;     // rows that share the passage of b
    Index work = 0;            // of all, in multiply-adds of vectors
    Index least = tile_work;   // of a part
    bool packed = false;       // b is
    bool in_place = false;     // a is read where it lies
};

// Rows that stay together, so that each panel of b is packed by the one tile that reads it.
inline Index rows_together(Index n, Index k, const Grain& grain) {
    if (grain.packed) return grain.block;
    return n * k <= kept_panels ? near_rows : wide_rows;
}

// Whether each thread takes one part of more rows than that and packs all of b for itself: it takes longer to fetch
// what another core has just packed (two threads, 512 x 128 x 128: 66 us; alone 54).
inline bool packs_alone(Index m, Index k, const Grain& grain) {
    const Index threads = thread_count(), rows = ceil_div(m, threads) + grain.rows;  // with a tile for unequal parts
    return threads > 1 && !grain.packed && grain.work >= serial_work && rows >= 5 * grain.rows && rows <= most_rows &&
           rows * std::min(k, k_block) <= near_rows * k_block;
}

inline Tiling cut(Index m, Index n, Index k, const Grain& grain) {
    // Few rows go in fewer, larger tiles, since each packs its rows.
    const Index together = rows_together(n, k, grain);
    const bool few = m <= together;
    if (!few && packs_alone(m, k, grain))
        return {.m = {m, grain.rows, thread_count()}, .n = {n, grain.cols, ceil_div(n, n_block)}, .alone = true};
    const Index most = few ? together : grain.block, least_work = few ? 4 * grain.least : grain.least;
    const Index enough = few ? tiles_wanted() / 2 : tiles_wanted();
    const Index wanted =
        grain.work < serial_work ? 1 : std::clamp<Index>(grain.work / least_work, thread_count(), enough);
    const Index rows = grain.rows, cols = grain.cols;
    Tiling tiling{.m = {m, rows, ceil_div(m, most)}, .n = {n, cols, ceil_div(n, n_block)}, .alone = few};
    const auto divide = [&](Cut& side, Index least) {
        while (tiling.tiles() < wanted && side.divides(least)) ++side.parts;
    };
    if (!few) divide(tiling.m, (n * k <= kept_panels ? 4 : 16) * rows);
    divide(tiling.n, 4 * cols);
    if (few && grain.in_place && n % (cols * thread_count()) == 0) divide(tiling.n, cols);
    divide(tiling.m, rows);
    divide(tiling.n, cols);
    if (wanted > 1) few ? even_out(tiling.n, tiling.m.parts) : even_out(tiling.m, tiling.n.parts);
    return tiling;
}

// AMX's tiles make little of few rows, and much of many.
template <class T>
Grain grain_of(const Product<T>& product, const Panels<T>& panels) {
    constexpr Index together = 2 * row_tile;
    const Index m = product.m, n = product.n, k = product.k;
    if (panels.tiles == nullptr)
        return {.rows = tile_rows<T>,
                .cols = tile_cols<T>,
                .block = product.far_c() && k <= k_block ? far_rows : m_block,
                .work = product_work(m, n, k),
                .packed = panels.given(),
                .in_place = reads_in_place(product, {.rows = m, .cols = n})};
    return {.rows = together,
            .cols = tile_cols<T>,
            .block = tile_block(product) / together * together,
            .work = amx::available() ? product_work(std::max(m, together), n, k) / amx_speed : product_work(m, n, k),
            .least = 2 * tile_work,  // each part packs its rows: 512 x 512 x 512 12 % sooner than by smaller ones
            .packed = true};
}

template <class T>
void multiply(const Product<T>& product, Panels<T> panels = {}) {
    const Index m = product.m, n = product.n, k = product.k;
    if (m <= 0 || n <= 0) return;
    const bool gated = product.epilogue.gated;
    if (!panels.given() && !gated && k > 0) {
        if (n <= narrow && m > 2 * tile_cols<T>) return multiply_narrow(product);
        if (reads_rows(product)) return multiply_row(product);
    }
    const Grain grain = grain_of(product, panels);
    const Tiling tiling = cut(m, gated ? n / 2 : n, k, grain);
    std::optional<Scratch<T>> packed;
    if (tiling.m.parts > 1 && !tiling.alone && !panels.given()) {
        packed.emplace(ceil_div(n, tile_cols<T>) * tile_cols<T> * k);
        pack_b(product.b, n, k, packed->data());
        panels.full = packed->data();
    }
    const auto body = [&](Index tile) {
        const Index i = tile / tiling.n.parts, j = tile % tiling.n.parts;
        const BlockRange range{.m = tiling.m.begin(i),
                               .rows = tiling.m.length(i),
                               .n = tiling.n.begin(j),
                               .cols = tiling.n.length(j),
                               .depth = k};
        if (gated)
            multiply_gated_block(product, range, panels);
        else
            multiply_block(product, range, panels);
    };
    if (grain.work < serial_work)
        for (Index tile = 0; tile < tiling.tiles(); ++tile) body(tile);
    else
        parallel_for(tiling.tiles(), body);
}

// The product with all its columns, then the gate: where panels do not begin with the right half.
template <class T>
void multiply_then_gate(const Product<T>& product, const Panels<T>& panels) {
    const Index half = product.n / 2;
    Scratch<T> sums(product.m * product.n);
    Product<T> plain = product;
    plain.c = sums.data();
    plain.rounded = nullptr;
    plain.rows = even_rows(product.n);
    plain.epilogue.gated = false;
    plain.epilogue.activation = {};
    multiply(plain, panels);
    parallel_ranges(
        product.m, std::max<Index>(1, elementwise_grain / std::max<Index>(1, half)), [&](Index first, Index last) {
            T* const from = sums.data() + first * product.n;
            gate_rows(product, from, from + half, product.n, {.m = first, .rows = last - first, .cols = half});
        });
}

template <class T>
void multiply_matrices(const Product<T>& product, const Panels<T>& panels = {}) {
    if (product.epilogue.gated && product.n / 2 % tile_cols<T> != 0) return multiply_then_gate(product, panels);
    multiply(product, panels);
}

template <class T, class In, class Out>
Product<T> matrix_product(const Matrix<In>& a, const Matrix<T>& b, Out* c, Index c_step, const Epilogue<T>& epilogue) {
    Product<T> product;
    product.a = strided<In, T>(a.data, a.row_step, a.col_step, a.cols);
    product.b = strided(b.data, b.col_step, b.row_step, b.rows);
    product.m = a.rows;
    product.n = b.cols;
    product.k = a.cols;
    product.write(c);
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

#include "genmod/kernels/impl/gemm_chunks.hpp"  // behind what it needs
