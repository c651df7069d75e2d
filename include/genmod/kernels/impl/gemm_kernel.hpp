// Runs of register tiles below one another, and whole panels.
#pragma once

#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/gemm_tile.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Tiles below one another that one call works on, and how far it is from one to the next.
struct TileRun {
    Index tiles = 1;
    Index a = 0, c = 0;    // in memory
    Index offsets = 0;     // in the tables of rows
    Index before = 0;      // tiles of the same panel that other calls have done
    Index asking = 4;      // of which the first so many ask for the panel that will be next: 1, 2 or 4
    bool fetch_c = false;  // ask for the next tile's part of c, to be written
};

template <class T, int Rows, int Vectors>
inline void fetch_part(const T* c, const Index* row_offset) {
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < Vectors; ++j) __builtin_prefetch(c + row_offset[i] + j * simd::lanes<T>, 1, 2);
}

// The tiles of a run. The first ones of a panel ask for the panel that will be next, a line or a few of the cache, or a
// row that lies apart, every few steps: all at once, its lines would keep the tile's own waiting.
template <class T, int Rows, int Vectors, class Step>
void multiply_tiles(const TileSource<T>& source, const TileTarget<T>& first, const TileRun& run) {
    const bool apart = source.next_row != tile_cols<T>;
    const Index asking = apart ? packed_steps<T> : run.asking, size = apart ? tile_cols<T> : 4 / asking * line_of<T>;
    TileSource<T> from = source;
    TileTarget<T> to = first;
    for (Index tile = 0; tile < run.tiles; ++tile) {
        const Index part = run.before + tile;
        const bool asks = source.next != nullptr && part < asking;
        from.next = asks ? source.next + source.depth * part / asking * source.next_row : source.b;
        from.asked_size = asks ? size : 0;
        from.asked_step = asks ? (apart ? source.next_row : size) : 0;
        if (run.fetch_c) {
            if (tile + 1 < run.tiles)
                fetch_part<T, Rows, Vectors>(to.c + run.c, to.row_offset + run.offsets);
            else  // the panel to the right
                fetch_part<T, Rows, Vectors>(first.c + Vectors * simd::lanes<T>, first.row_offset);
        }
        multiply_tile<T, Rows, Vectors, Step>(from, to);
        if (from.depth > 0) from.a += run.a;  // else there may be no a
        to.c += run.c;
        to.row_offset += run.offsets;
        if (to.start != nullptr) {
            to.start += run.c;
            to.start_offset += run.offsets;
        }
    }
}

// f(height), a constant, for the height of a tile.
template <class T, class F>
inline void with_height(Index rows, const F& f) {
    switch (rows) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 4: return f(std::integral_constant<int, 4>());
        default: break;
    }
    if constexpr (tile_rows < T >> 8) {
        if (rows == 8) return f(std::integral_constant<int, 8>());
        if (rows == 11) return f(std::integral_constant<int, 11>());
        if (rows == 13) return f(std::integral_constant<int, 13>());
    }
    f(std::integral_constant<int, static_cast<int>(tile_rows<T>)>());
}

template <class T, int Vectors, class Step = FusedStep<T>>
inline void multiply_rows(Index rows, const TileSource<T>& from, const TileTarget<T>& to, const TileRun& run = {}) {
    with_height<T>(rows, [&](auto height) { multiply_tiles<T, height(), Vectors, Step>(from, to, run); });
}

// An output from its sum: column `column` of the epilogue, `at` behind c and residual.
template <class T>
T finished_number(const Epilogue<T>& finish, T sum, Index column, Index at) {
    T value = sum * finish.scale;
    if (finish.bias != nullptr) value += finish.bias[column];
    if (finish.residual != nullptr) value += finish.residual[at];
    return value;
}
template <class T>
void finish_number(const Epilogue<T>& finish, T sum, Index column, Index at, T* c) {
    const T value = finished_number(finish, sum, column, at);
    c[at] = finish.mode == Accumulate::add ? value + c[at] : value;
}

// A tile with fewer columns than its vectors hold: by way of a buffer, with the same operations in the same order.
template <class T, class Step>
void multiply_edge(Index rows, Index cols, const TileSource<T>& from, const TileTarget<T>& to) {
    constexpr Index step = tile_cols<T>;
    T buffer[tile_rows<T> * tile_cols<T>];
    Index offset[tile_rows<T>];
    for (Index i = 0; i < rows; ++i) offset[i] = i * step;
    if (to.start != nullptr)
        for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < cols; ++j) buffer[i * step + j] = to.start[to.start_offset[i] + j];
            for (Index j = cols; j < step; ++j) buffer[i * step + j] = T(0);
        }
    const TileTarget<T> inner{buffer, to.start == nullptr ? nullptr : buffer, offset, offset, nullptr};
    if (cols <= simd::lanes<T>)
        multiply_rows<T, 1, Step>(rows, from, inner);
    else
        multiply_rows<T, 2, Step>(rows, from, inner);
    const Epilogue<T> plain;
    const Epilogue<T>& finish = to.finish == nullptr ? plain : *to.finish;
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) finish_number(finish, buffer[i * step + j], j, to.row_offset[i] + j, to.c);
}

// Rows of a as a block sees them: packed (tiles one after another, each [depth][height]) or where they are.
template <class T>
struct BlockRows {
    const T* data = nullptr;
    bool packed = false;
    Index row_step = 0, k_step = 0;
};

// All row tiles of a block times one panel of b with `cols` columns that count. `from.next` may be the panel that
// follows; `fetch_c` is for a c that is far away. Inlined, so that `from` and `to` are not copied by vectors as soon as
// they are written by numbers: that waits for all stores before, 3 to 5 % of a Winograd convolution of 64 channels.
template <class T, class Step = FusedStep<T>>
[[gnu::always_inline]] inline void multiply_panel(const BlockRows<T>& a, Index rows, Index cols, TileSource<T> from,
                                                  TileTarget<T> to, bool fetch_c = false) {
    for (Index i = 0, before = 0; i < rows;) {
        const Index height = tile_height<T>(rows - i);
        from.a = a.data + i * (a.packed ? from.depth : a.row_step);
        from.a_row = a.packed ? 1 : a.row_step;
        from.a_k = a.packed ? height : a.k_step;
        const bool edge = cols != tile_cols<T> && cols != simd::lanes<T>;
        const TileRun run{.tiles = edge ? 1 : equal_tiles<T>(rows - i),
                          .a = height * (a.packed ? from.depth : a.row_step),
                          .offsets = height,
                          .before = before,
                          .asking = rows > 2 * tile_rows<T> ? 4
                                    : rows > tile_rows<T>   ? 2
                                                            : 1,
                          .fetch_c = fetch_c};
        if (edge)
            multiply_edge<T, Step>(height, cols, from, to);
        else if (cols == tile_cols<T>)
            multiply_rows<T, 2, Step>(height, from, to, run);
        else
            multiply_rows<T, 1, Step>(height, from, to, run);
        const Index done = run.tiles * height;
        i += done;
        before += run.tiles;
        to.row_offset += done;
        if (to.start_offset != nullptr) to.start_offset += done;
    }
}

}  // namespace genmod::kernels::detail
