// Tiles of pictures on their way to Winograd's products and back.
#pragma once

#include <algorithm>
#include <cstdint>

#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// The tiles of all samples, row by row.
struct WinogradTiles {
    Index down, across, count;  // rows and columns of a sample, tiles of all
    WinogradTiles(const Patches& grid, Index samples)
        : down(ceil_div(grid.out_height, winograd_out)),
          across(ceil_div(grid.out_width, winograd_out)),
          count(samples * down * across) {}

    Index samples() const { return count / (down * across); }
    // The output pixel of a tile's corner.
    Index sample(Index tile) const { return tile / (down * across); }
    Index y(Index tile) const { return tile / across % down * winograd_out; }
    Index x(Index tile) const { return tile % across * winograd_out; }
};

// Numbers from one tile to the next: whole vectors, and one more against rows that share a set of the cache.
template <class T>
Index winograd_row(Index channels) {
    return ceil_div(channels, tile_cols<T>) * tile_cols<T> + simd::lanes<T>;
}

// One vector of channels of a tile: six rows of six pixels, `step` apart, of which the columns in `inside` count. What
// the next tile adds, `ahead` numbers on, is asked for meanwhile.
template <class T>
void winograd_input_vector(const T* const (&rows)[winograd_in], Index step, const bool (&inside)[winograd_in], T* to,
                           Index plane, Index ahead) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in;
#pragma GCC unroll 8
    for (Index u = side - winograd_out; u < side; ++u)
#pragma GCC unroll 8
        for (Index v = side - winograd_out; v < side; ++v) __builtin_prefetch(rows[u] + v * step + ahead);
    Batch half[winograd_points];
#pragma GCC unroll 8
    for (Index v = 0; v < side; ++v) {
        Batch d[side], t[side];
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u) d[u] = inside[v] ? simd::load(rows[u] + v * step) : Batch(T(0));
        winograd_input<T>(d, 1, t);
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u) half[u * side + v] = t[u];
    }
#pragma GCC unroll 8
    for (Index u = 0; u < side; ++u) {
        Batch t[side];
        winograd_input<T>(half + u * side, 1, t);
#pragma GCC unroll 8
        for (Index v = 0; v < side; ++v) simd::store(to + (u * side + v) * plane, t[v]);
    }
}

// Where transformed inputs lie: to[chunk of channels][point][tile][row].
struct WinogradInputs {
    Index chunk;       // channels that lie together: whole vectors
    Index row, plane;  // numbers from tile to tile and from point to point
    Index chunk_step() const { return winograd_points * plane; }
};

// Transformed inputs of tiles first..last-1. `zeros` holds the six pixels of a row outside.
template <class T>
void winograd_transform_input(const T* image, const Patches& grid, const WinogradTiles& tiles, Index first, Index last,
                              const T* zeros, T* to, const WinogradInputs& place) {
    constexpr Index side = winograd_in, lanes = simd::lanes<T>;
    const Index channels = grid.channels, whole = channels / lanes * lanes;
    for (Index tile = first; tile < last; ++tile) {
        const Index top = tiles.y(tile) - grid.pad_top, left = tiles.x(tile) - grid.pad_left;
        const Index corner = (tiles.sample(tile) * grid.height + top) * grid.width + left;
        const Index next = std::min(tile + 1, tiles.count - 1);
        const Index ahead = ((tiles.sample(next) * grid.height + tiles.y(next) - grid.pad_top) * grid.width +
                             tiles.x(next) - grid.pad_left - corner) *
                            channels;
        const T* rows[side];
        bool inside[side];
        for (Index u = 0; u < side; ++u) {
            const bool in = top + u >= 0 && top + u < grid.height;
            rows[u] = in ? image + (corner + u * grid.width) * channels : zeros;
            inside[u] = left + u >= 0 && left + u < grid.width;
        }
        T* const out = to + (tile - first) * place.row;
        const auto at = [&](Index c) { return out + c / place.chunk * place.chunk_step() + c % place.chunk; };
        for (Index c = 0; c < whole; c += lanes) {
            winograd_input_vector<T>(rows, channels, inside, at(c), place.plane, ahead);
            for (const T*& pixel : rows) pixel += lanes;
        }
        if (whole < channels) {
            T part[winograd_points * lanes] = {};
            for (Index u = 0; u < side; ++u) {
                for (Index v = 0; v < side; ++v)
                    for (Index c = 0; inside[v] && c < channels - whole; ++c)
                        part[(u * side + v) * lanes + c] = rows[u][v * channels + c];
                rows[u] = part + u * side * lanes;
            }
            winograd_input_vector<T>(rows, lanes, inside, at(whole), place.plane, 0);
        }
    }
}

// One vector of channels of a tile's 4 x 4 outputs: pixel (u, v) to to[u * y_step + v * x_step], plus the bias and the
// residual (which lies as `to` does) where they are not null.
template <class T, bool streamed = false>
void winograd_output_vector(const T* from, Index plane, T* to, Index y_step, Index x_step, const T* bias = nullptr,
                            const T* residual = nullptr) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in, outs = winograd_out;
    Batch half[outs * side];
#pragma GCC unroll 8
    for (Index v = 0; v < side; ++v) {
        Batch m[side], t[outs];
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u) m[u] = simd::load(from + (u * side + v) * plane);
        winograd_output<T>(m, 1, t);
#pragma GCC unroll 8
        for (Index u = 0; u < outs; ++u) half[u * side + v] = t[u];
    }
#pragma GCC unroll 8
    for (Index u = 0; u < outs; ++u) {
        Batch t[outs];
        winograd_output<T>(half + u * side, 1, t);
#pragma GCC unroll 8
        for (Index v = 0; v < outs; ++v) {
            const Index at = u * y_step + v * x_step;
            if (bias != nullptr) t[v] = t[v] + simd::load(bias);
            if (residual != nullptr) t[v] = t[v] + simd::load(residual + at);
            if constexpr (streamed)
                simd::stream(to + at, t[v]);
            else
                simd::store(to + at, t[v]);
        }
    }
}

// Sums [point][tile][column] of the tiles and columns from first_tile and first_column on.
template <class T>
struct WinogradSumBlock {
    const T* data;
    Index row, plane;  // numbers from tile to tile and from point to point
    Index first_tile, last_tile;
    Index first_column, last_column;
};

inline constexpr Index far_bytes = 32 << 20;  // of outputs that no cache holds until they are read

// Whether outputs go past the caches: fetching each line before it is written takes a third of what the memory gives
// (128 channels of 512 x 512 pixels: 14 % sooner; 5 MB: 3 %, and what reads them next is as much later).
template <class T>
bool streams_outputs(const Patches& grid, const WinogradTiles& tiles, Index columns, const T* c) {
    const Index size = tiles.samples() * grid.out_height * grid.out_width * columns;
    return simd::streams<T> && size * static_cast<Index>(sizeof(T)) >= far_bytes && columns % simd::lanes<T> == 0 &&
           reinterpret_cast<std::uintptr_t>(c) % 64 == 0;
}

// The outputs of a block of sums.
template <class T>
void winograd_transform_output(const WinogradSumBlock<T>& sums, const Patches& grid, const WinogradTiles& tiles,
                               Index columns, T* c, const Epilogue<T>& epilogue) {
    constexpr Index outs = winograd_out, lanes = simd::lanes<T>;
    const bool plain = epilogue.scale == T(1) && epilogue.mode == Accumulate::write;
    const bool streamed = !epilogue.activation && streams_outputs(grid, tiles, columns, c);
    const auto direct_vector = streamed ? winograd_output_vector<T, true> : winograd_output_vector<T>;
    const Index y_step = grid.out_width * columns, plane = sums.plane;
    for (Index tile = sums.first_tile; tile < sums.last_tile; ++tile) {
        const Index y = tiles.y(tile), x = tiles.x(tile);
        const Index high = std::min(outs, grid.out_height - y), wide = std::min(outs, grid.out_width - x);
        const bool direct = plain && high == outs && wide == outs;
        const Index corner = ((tiles.sample(tile) * grid.out_height + y) * grid.out_width + x) * columns;
        const T* const from = sums.data + (tile - sums.first_tile) * sums.row - sums.first_column;
        Epilogue<T> finish = epilogue;
        if (finish.bias != nullptr) finish.bias += tiles.sample(tile) * finish.bias_step;
        for (Index column = sums.first_column; column < sums.last_column; column += lanes) {
            if (direct && sums.last_column - column >= lanes) {
                const Index at = corner + column;
                direct_vector(from + column, plane, c + at, y_step, columns,
                              finish.bias == nullptr ? nullptr : finish.bias + column,
                              finish.residual == nullptr ? nullptr : finish.residual + at);
                continue;
            }
            T pixels[outs * outs * lanes];
            winograd_output_vector(from + column, plane, pixels, outs * lanes, lanes);
            for (Index u = 0; u < high; ++u)
                for (Index v = 0; v < wide; ++v)
                    finish_part<T>(simd::load(pixels + (u * outs + v) * lanes), finish, c,
                                   corner + u * y_step + v * columns + column, column, sums.last_column - column);
        }
        if (epilogue.activation)
            for (Index pixel = 0; pixel < high * wide; ++pixel) {
                T* const at = c + corner + pixel / wide * y_step + pixel % wide * columns;
                unary_here(*epilogue.activation, at + sums.first_column, at + sums.first_column,
                           sums.last_column - sums.first_column);
            }
    }
    if (streamed) simd::end_stream();
}

}  // namespace genmod::kernels::detail
