// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 products of [tiles, in] by [in, out] in place of 144.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_panels.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// The tiles of all samples, row by row.
struct WinogradTiles {
    Index down, across, count;
    WinogradTiles(const Patches& grid, Index samples)
        : down(ceil_div(grid.out_height, winograd_out)),
          across(ceil_div(grid.out_width, winograd_out)),
          count(samples * down * across) {}

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

// Transformed inputs of tiles first..last-1: to[point][tile][row], `plane` numbers from point to point. `zeros` holds
// the six pixels of a row outside.
template <class T>
void winograd_transform_input(const T* image, const Patches& grid, const WinogradTiles& tiles, Index first, Index last,
                              const T* zeros, T* to, Index row, Index plane) {
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
        T* const out = to + (tile - first) * row;
        for (Index c = 0; c < whole; c += lanes) {
            winograd_input_vector<T>(rows, channels, inside, out + c, plane, ahead);
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
            winograd_input_vector<T>(rows, lanes, inside, out + whole, plane, 0);
        }
    }
}

// One vector of channels of a tile's 4 x 4 outputs: pixel (u, v) to to[u * y_step + v * x_step], plus the bias and the
// residual (which lies as `to` does) where they are not null.
template <class T>
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

// The outputs of a block of sums.
template <class T>
void winograd_transform_output(const WinogradSumBlock<T>& sums, const Patches& grid, const WinogradTiles& tiles,
                               Index columns, T* c, const Epilogue<T>& epilogue) {
    constexpr Index outs = winograd_out, lanes = simd::lanes<T>;
    const bool plain = epilogue.scale == T(1) && epilogue.mode == Accumulate::write;
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
                winograd_output_vector(from + column, plane, c + at, y_step, columns,
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
}

// How many tiles are worked on together: as many as keep both sides of the products in the cache, or more where many
// channels make the weights, which every block reads anew, outweigh them.
template <class T>
Index winograd_block(Index tiles, Index in, Index columns) {
    const Index budget = 384 * 1024 / static_cast<Index>(sizeof(T)) / winograd_points;
    const Index wanted = std::max(budget / (in + columns), in * columns / (in + columns) / 2);
    return std::clamp(std::min(wanted, tiles / 12) / tile_rows<T> * tile_rows<T>, tile_rows<T>, 8 * tile_rows<T>);
}

// The products of tiles first..last-1 (transformed inputs) and one panel of transformed weights [depth][tile_cols], at
// one point; `resume` goes on from the sums of earlier channels.
template <class T>
void winograd_multiply(const T* inputs, Index in_row, const T* weights, Index depth, Index tiles, Index columns,
                       T* sums, const Index* sum_rows, bool resume) {
    const BlockRows<T> rows{inputs, false, in_row, 1};
    const TileSource<T> from{.b = weights, .b_k = tile_cols<T>, .depth = depth};
    const TileTarget<T> to{
        .c = sums, .start = resume ? sums : nullptr, .row_offset = sum_rows, .start_offset = sum_rows};
    multiply_panel(rows, tiles, columns <= simd::lanes<T> ? simd::lanes<T> : tile_cols<T>, from, to);
}

// Everything that the two orders of work below share.
template <class T>
struct WinogradWork {
    const T* image;
    const Patches& grid;
    const WinogradTiles tiles;
    const ConvWeights<T>& weights;
    Index in, columns;
    const T* zeros;
    T* c;
    const Epilogue<T>& epilogue;
};

// Many tiles: the weights are transformed first, all of them; then blocks of tiles pass through the cache.
template <class T>
void winograd_by_tiles(const WinogradWork<T>& work) {
    constexpr Index step = tile_cols<T>;
    const Index in = work.in, columns = work.columns, panels = ceil_div(columns, step);
    const Index weight_plane = panels * in * step + step;  // a multiple of 4096 bytes would share sets of the cache
    Scratch<T> transformed(winograd_points * weight_plane);
    parallel_ranges(panels, 1, [&](Index first, Index last) {
        Scratch<T> room(winograd_room<T>(work.weights, in));
        for (Index panel = first; panel < last; ++panel)
            winograd_transform_weights(winograd_panel(work.weights, panel * step, columns, in, room.data()), in, 0, in,
                                       transformed.data() + panel * in * step, weight_plane);
    });
    const Index in_row = winograd_row<T>(in), out_row = winograd_row<T>(columns);
    const Index block = winograd_block<T>(work.tiles.count, in, columns);
    const Index in_plane = block * in_row + simd::lanes<T>, out_plane = block * out_row + simd::lanes<T>;
    parallel_ranges(work.tiles.count, block, [&](Index first, Index last) {
        Scratch<T> inputs(winograd_points * in_plane), sums(winograd_points * out_plane);
        winograd_transform_input(work.image, work.grid, work.tiles, first, last, work.zeros, inputs.data(), in_row,
                                 in_plane);
        Index sum_rows[8 * tile_rows<T>];
        for (Index i = 0; i < last - first; ++i) sum_rows[i] = i * out_row;
        for (Index point = 0; point < winograd_points; ++point)
            for (Index column = 0; column < columns; column += step)
                winograd_multiply(inputs.data() + point * in_plane, in_row,
                                  transformed.data() + point * weight_plane + column * in, in, last - first,
                                  columns - column, sums.data() + point * out_plane + column, sum_rows, false);
        winograd_transform_output<T>({sums.data(), out_row, out_plane, first, last, 0, columns}, work.grid, work.tiles,
                                     columns, work.c, work.epilogue);
    });
}

inline constexpr Index winograd_group = 2;      // panels of columns that are worked on together,
inline constexpr Index winograd_channels = 64;  // so many channels at a time: their transforms stay in the cache
inline constexpr Index winograd_few = 160;      // tiles

// Few tiles: the inputs are transformed first, all of them; then the weights pass through the cache, each transformed
// once, where many tiles would transform 36 numbers in memory for nine.
template <class T>
void winograd_by_weights(const WinogradWork<T>& work) {
    constexpr Index step = tile_cols<T>, width = winograd_group * step, chunk = winograd_channels;
    const Index in = work.in, columns = work.columns, tiles = work.tiles.count, in_row = winograd_row<T>(in);
    const Index in_plane = tiles * in_row + simd::lanes<T>, sum_plane = tiles * width + simd::lanes<T>;
    constexpr Index weight_plane = winograd_group * chunk * step + step;
    Scratch<T> inputs(winograd_points * in_plane);
    parallel_ranges(tiles, 4, [&](Index first, Index last) {
        winograd_transform_input(work.image, work.grid, work.tiles, first, last, work.zeros,
                                 inputs.data() + first * in_row, in_row, in_plane);
    });
    parallel_for(ceil_div(columns, width), [&](Index group) {
        const Index first = group * width, last = std::min(columns, first + width);
        const Index panels = ceil_div(last - first, step), room_size = winograd_room<T>(work.weights, in);
        Scratch<T> room(winograd_group * room_size), weights(winograd_points * weight_plane);
        Scratch<T> sums(winograd_points * sum_plane);
        Index sum_rows[winograd_few];
        for (Index i = 0; i < tiles; ++i) sum_rows[i] = i * width;
        const T* packed[winograd_group];
        for (Index p = 0; p < panels; ++p)
            packed[p] = winograd_panel(work.weights, first + p * step, columns, in, room.data() + p * room_size);
        for (Index c = 0; c < in; c += chunk) {
            const Index depth = std::min(chunk, in - c);
            for (Index p = 0; p < panels; ++p)
                winograd_transform_weights(packed[p], in, c, c + depth, weights.data() + p * chunk * step, weight_plane);
            for (Index point = 0; point < winograd_points; ++point)
                for (Index p = 0; p < panels; ++p)
                    winograd_multiply(inputs.data() + point * in_plane + c, in_row,
                                      weights.data() + point * weight_plane + p * chunk * step, depth, tiles,
                                      last - first - p * step, sums.data() + point * sum_plane + p * step, sum_rows,
                                      c > 0);
        }
        winograd_transform_output<T>({sums.data(), width, sum_plane, 0, tiles, first, last}, work.grid, work.tiles,
                                     columns, work.c, work.epilogue);
    });
}

// c [n, out_height, out_width, columns] = image convolved with 3x3 weights. Either way each sum is one chain over
// ascending channels.
template <class T>
void winograd_convolve(Index n, const T* image, const Patches& grid, const ConvWeights<T>& weights, Index columns, T* c,
                       const Epilogue<T>& epilogue) {
    const Index in = grid.channels;
    Scratch<T> zeros(winograd_in * in);
    std::fill(zeros.data(), zeros.data() + winograd_in * in, T(0));
    const WinogradWork<T> work{image, grid, WinogradTiles(grid, n), weights, in, columns, zeros.data(), c, epilogue};
    if (work.tiles.count <= winograd_few && in * columns >= 128 * 128)
        winograd_by_weights(work);
    else
        winograd_by_tiles(work);
}

// Whether a convolution pays by Winograd: by the shape of one sample and the weights alone.
inline bool winograd_pays(const Patches& grid, Index columns) {
    return grid.taps_h == 3 && grid.taps_w == 3 && grid.stride == 1 && grid.channels >= 8 && columns >= 8 &&
           std::min({grid.out_height, grid.out_width, grid.height, grid.width}) >= 4;
}

}  // namespace genmod::kernels::detail
