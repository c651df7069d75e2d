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

// One vector of channels of a tile's 4 x 4 outputs: pixel (u, v) to to[u * y_step + v * x_step].
template <class T>
void winograd_output_vector(const T* from, Index plane, T* to, Index y_step, Index x_step) {
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
        for (Index v = 0; v < outs; ++v) simd::store(to + u * y_step + v * x_step, t[v]);
    }
}

// Outputs of tiles first..last-1 from sums[point][tile][row].
template <class T>
void winograd_transform_output(const T* sums, Index row, Index plane, const Patches& grid, const WinogradTiles& tiles,
                               Index first, Index last, Index columns, T* c, const Epilogue<T>& epilogue) {
    constexpr Index outs = winograd_out, lanes = simd::lanes<T>;
    const bool plain = epilogue.scale == T(1) && epilogue.bias == nullptr && epilogue.residual == nullptr &&
                       epilogue.mode == Accumulate::write;
    const Index y_step = grid.out_width * columns;
    for (Index tile = first; tile < last; ++tile) {
        const Index y = tiles.y(tile), x = tiles.x(tile);
        const Index high = std::min(outs, grid.out_height - y), wide = std::min(outs, grid.out_width - x);
        const bool direct = plain && high == outs && wide == outs;
        const Index corner = ((tiles.sample(tile) * grid.out_height + y) * grid.out_width + x) * columns;
        const T* const from = sums + (tile - first) * row;
        for (Index column = 0; column < columns; column += lanes) {
            if (direct && columns - column >= lanes) {
                winograd_output_vector(from + column, plane, c + corner + column, y_step, columns);
                continue;
            }
            T pixels[outs * outs * lanes];
            winograd_output_vector(from + column, plane, pixels, outs * lanes, lanes);
            for (Index u = 0; u < high; ++u)
                for (Index v = 0; v < wide; ++v)
                    finish_part<T>(simd::load(pixels + (u * outs + v) * lanes), epilogue, c,
                                   corner + u * y_step + v * columns + column, column, columns - column);
        }
    }
}

// Transformed weights from packed ones ([9 * in][tile_cols] of one panel): to[point][in][tile_cols], channels
// first..last-1, `plane` numbers from point to point.
template <class T>
void winograd_transform_weights(const T* packed, Index in, Index first, Index last, T* to, Index plane) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in, step = tile_cols<T>;
    for (Index c = first; c < last; ++c)
        for (Index column = 0; column < step; column += simd::lanes<T>) {
            Batch half[side * 3];
#pragma GCC unroll 8
            for (Index v = 0; v < 3; ++v) {
                Batch w[3], t[side];
#pragma GCC unroll 8
                for (Index u = 0; u < 3; ++u) w[u] = simd::load(packed + ((u * 3 + v) * in + c) * step + column);
                winograd_weight<T>(w, 1, t);
#pragma GCC unroll 8
                for (Index u = 0; u < side; ++u) half[u * 3 + v] = t[u];
            }
#pragma GCC unroll 8
            for (Index u = 0; u < side; ++u) {
                Batch t[side];
                winograd_weight<T>(half + u * 3, 1, t);
#pragma GCC unroll 8
                for (Index v = 0; v < side; ++v) simd::store(to + (u * side + v) * plane + c * step + column, t[v]);
            }
        }
}

// How many tiles are worked on together: what keeps both sides of the products in the cache.
template <class T>
Index winograd_block(Index tiles, Index row_sum) {
    const Index budget = 640 * 1024 / static_cast<Index>(sizeof(T)) / winograd_points;
    const Index fits = std::min(budget / row_sum, tiles / 12) / tile_rows<T> * tile_rows<T>;
    return std::clamp(fits, tile_rows<T>, 8 * tile_rows<T>);
}

// c [n, out_height, out_width, columns] = image convolved with 3x3 weights (an operand over patches and columns).
template <class T>
void winograd_convolve(Index n, const T* image, const Patches& grid, const Operand<T>& weights, Index columns, T* c,
                       const Epilogue<T>& epilogue) {
    constexpr Index step = tile_cols<T>;
    const Index in = grid.channels, panels = ceil_div(columns, step);
    const Index weight_plane = panels * in * step;
    Scratch<T> transformed(winograd_points * weight_plane);
    {
        Scratch<T> packed(9 * in * panels * step);
        pack_b(weights, columns, 9 * in, packed.data());
        const Index parts = ceil_div(in, 32);
        parallel_ranges(panels * parts, 4, [&](Index first, Index last) {
            for (Index part = first; part < last; ++part) {
                const Index panel = part / parts, channel = part % parts * 32;
                winograd_transform_weights(packed.data() + panel * 9 * in * step, in, channel,
                                           std::min(in, channel + 32), transformed.data() + panel * in * step,
                                           weight_plane);
            }
        });
    }
    const WinogradTiles tiles(grid, n);
    const Index in_row = winograd_row<T>(in), out_row = winograd_row<T>(columns);
    const Index block = winograd_block<T>(tiles.count, in_row + out_row);
    Scratch<T> zeros(winograd_in * in);
    std::fill(zeros.data(), zeros.data() + winograd_in * in, T(0));
    const Index in_plane = block * in_row + simd::lanes<T>, out_plane = block * out_row + simd::lanes<T>;
    parallel_ranges(tiles.count, block, [&](Index first, Index last) {
        Scratch<T> inputs(winograd_points * in_plane), sums(winograd_points * out_plane);
        winograd_transform_input(image, grid, tiles, first, last, zeros.data(), inputs.data(), in_row, in_plane);
        Index row_offset[8 * tile_rows<T>];
        for (Index i = 0; i < last - first; ++i) row_offset[i] = i * out_row;
        for (Index point = 0; point < winograd_points; ++point)
            for (Index column = 0; column < columns; column += step) {
                const BlockRows<T> rows{inputs.data() + point * in_plane, false, in_row, 1};
                const TileSource<T> from{
                    .b = transformed.data() + point * weight_plane + column * in, .b_k = step, .depth = in};
                const TileTarget<T> to{.c = sums.data() + point * out_plane + column, .row_offset = row_offset};
                const Index wide = columns - column <= simd::lanes<T> ? simd::lanes<T> : step;
                multiply_panel(rows, last - first, wide, from, to);
            }
        winograd_transform_output(sums.data(), out_row, out_plane, grid, tiles, first, last, columns, c, epilogue);
    });
}

// Whether a convolution pays by Winograd: by the shape of one sample and the weights alone.
inline bool winograd_pays(const Patches& grid, Index columns) {
    return grid.taps_h == 3 && grid.taps_w == 3 && grid.stride == 1 && grid.channels >= 8 && columns >= 8 &&
           std::min({grid.out_height, grid.out_width, grid.height, grid.width}) >= 4;
}

}  // namespace genmod::kernels::detail
