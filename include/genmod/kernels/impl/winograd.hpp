// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 products of [tiles, in] by [in, out] in place of 144.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_few.hpp"
#include "genmod/kernels/impl/winograd_input.hpp"
#include "genmod/kernels/impl/winograd_output.hpp"
#include "genmod/kernels/impl/winograd_panels.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"
#include "genmod/kernels/impl/winograd_work.hpp"

namespace genmod::kernels::detail {

// How many tiles are worked on together: as many as keep both sides of the products in the cache, or more where many
// channels make the weights, which every block reads anew, outweigh them, most where those are far away; and as many
// blocks for each thread. (On a core whose third-level cache gives 28 GB/s, 512 -> 512 channels of 64 x 64 pixels take
// 23 ms with one block for each thread, 31 with blocks of 14.)
template <class T>
Index winograd_block(Index tiles, Index in, Index columns) {
    const Index budget = 384 * 1024 / static_cast<Index>(sizeof(T)) / winograd_points;
    const bool far = winograd_points * in * columns * static_cast<Index>(sizeof(T)) > 1024 * 1024;
    const Index wanted = std::max(budget / (in + columns), in * columns / (in + columns) / (far ? 1 : 2));
    const Index most = std::clamp<Index>(wanted / tile_rows<T>, 1, 12) * tile_rows<T>, threads = thread_count();
    const Index blocks = ceil_div(ceil_div(tiles, most), threads) * threads;
    return std::max(tile_rows<T>, ceil_div(tiles, blocks));
}

// The products of tiles first..last-1 (transformed inputs) and one panel of transformed weights [depth][tile_cols], at
// one point; `resume` goes on from the sums of earlier channels, `next` are numbers that will be needed then.
template <class T>
void winograd_multiply(const T* inputs, Index in_row, const T* weights, Index depth, Index tiles, Index columns,
                       T* sums, const Index* sum_rows, bool resume, const T* next) {
    const BlockRows<T> rows{inputs, false, in_row, 1};
    const TileSource<T> from{.b = weights, .b_k = tile_cols<T>, .depth = depth, .next = next};
    const TileTarget<T> to{
        .c = sums, .start = resume ? sums : nullptr, .row_offset = sum_rows, .start_offset = sum_rows};
    multiply_panel(rows, tiles, columns <= simd::lanes<T> ? simd::lanes<T> : tile_cols<T>, from, to);
}

// The transforms of all weights, to[point][panel][in][tile_cols], `plane` numbers from point to point.
template <class T>
void winograd_transform_panels(const WinogradWork<T>& work, T* to, Index plane) {
    constexpr Index step = tile_cols<T>;
    const Index in = work.in;
    parallel_ranges(ceil_div(work.columns, step), 1, [&](Index first, Index last) {
        Scratch<T> room(winograd_room<T>(work.weights, in));
        for (Index panel = first; panel < last; ++panel)
            winograd_transform_weights(winograd_panel(work.weights, panel * step, work.columns, in, room.data()), in, 0,
                                       in, to + panel * in * step, plane);
    });
}

// Many tiles: the weights are transformed first, all of them; then blocks of tiles pass through the cache.
template <class T>
void winograd_by_tiles(const WinogradWork<T>& work) {
    constexpr Index step = tile_cols<T>;
    const Index in = work.in, columns = work.columns;
    // A multiple of 4096 bytes would share sets of the cache.
    const Index weight_plane = ceil_div(columns, step) * in * step + step, size = winograd_points * weight_plane;
    const auto transform = [&](T* to) { winograd_transform_panels(work, to, weight_plane); };
    const T* transformed = work.weights.kept != nullptr ? work.weights.kept->get(size, transform) : nullptr;
    std::optional<Scratch<T>> room;
    if (transformed == nullptr) {
        transform(room.emplace(size).data());
        transformed = room->data();
    }
    const Index in_row = winograd_row<T>(in), out_row = winograd_row<T>(columns);
    const Index block = winograd_block<T>(work.tiles.count, in, columns);
    const Index in_plane = block * in_row + simd::lanes<T>, out_plane = block * out_row + simd::lanes<T>;
    parallel_ranges(work.tiles.count, block, [&](Index first, Index last) {
        const WinogradOrder order(work.tiles, first, last);
        Scratch<T> inputs(winograd_points * in_plane), sums(winograd_points * out_plane);
        winograd_transform_input(work.image, work.grid, order, 0, order.size(), work.zeros, inputs.data(),
                                 {in_row, in_row, in_plane});
        Index sum_rows[12 * tile_rows<T>];
        for (Index i = 0; i < order.size(); ++i) sum_rows[i] = i * out_row;
        for (Index point = 0; point < winograd_points; ++point) {
            const WinogradOrder::Range taken = order.at(point);
            for (Index column = 0; column < columns; column += step) {
                const T* const panel = transformed + point * weight_plane + column * in;
                winograd_multiply(inputs.data() + point * in_plane + taken.first * in_row, in_row, panel, in,
                                  taken.size(), columns - column, sums.data() + point * out_plane + column,
                                  sum_rows + taken.first, false, panel + in * step);
            }
        }
        winograd_transform_output<T>({sums.data(), out_row, out_plane, order, 0, columns}, work.grid, columns, work.c,
                                     work.epilogue);
    });
}

inline constexpr Index most_by_weights = 160;  // tiles

// Channels at a time, and most panels of columns that are worked on together: their transforms stay in the second-level
// cache, of which processors with 512-bit vectors have 1 to 2 MB.
template <class T>
inline constexpr Index winograd_channels = sizeof(simd::Batch<T>) == 64 ? 128 : 64;
inline constexpr Index winograd_group = 2;

// Few tiles: the inputs are transformed first, all of them; then the weights pass through the cache, each transformed
// once, where many tiles would transform 36 numbers in memory for nine.
template <class T>
void winograd_by_weights(const WinogradWork<T>& work) {
    constexpr Index step = tile_cols<T>, chunk = winograd_channels<T>;
    const Index in = work.in, columns = work.columns, tiles = work.tiles.count;
    const WinogradOrder order(work.tiles, 0, tiles);
    // Fewer columns for each thread's part where inputs are read again cheaply: 7 to 13 % sooner with 16 tiles.
    const Index group_size = chunk > 64 && tiles < 48 ? 1 : winograd_group, width = group_size * step;
    const WinogradInputs place{chunk, chunk, tiles * chunk + simd::lanes<T>};
    const Index sum_plane = tiles * width + simd::lanes<T>;
    const Index weight_plane = group_size * chunk * step + step;
    Scratch<T> inputs(ceil_div(in, chunk) * place.chunk_step());
    parallel_ranges(tiles, 4, [&](Index first, Index last) {
        winograd_transform_input(work.image, work.grid, order, first, last, work.zeros,
                                 inputs.data() + first * place.row, place);
    });
    parallel_for(ceil_div(columns, width), [&](Index group) {
        const Index first = group * width, last = std::min(columns, first + width);
        const Index panels = ceil_div(last - first, step), room_size = winograd_room<T>(work.weights, in);
        Scratch<T> room(group_size * room_size), weights(winograd_points * weight_plane);
        Scratch<T> sums(winograd_points * sum_plane);
        Index sum_rows[most_by_weights];
        for (Index i = 0; i < tiles; ++i) sum_rows[i] = i * width;
        const T* packed[winograd_group];
        for (Index p = 0; p < panels; ++p)
            packed[p] = winograd_panel(work.weights, first + p * step, columns, in, room.data() + p * room_size);
        for (Index c = 0; c < in; c += chunk) {
            const Index depth = std::min(chunk, in - c);
            for (Index p = 0; p < panels; ++p)
                winograd_transform_weights(packed[p], in, c, c + depth, weights.data() + p * chunk * step,
                                           weight_plane);
            for (Index point = 0; point < winograd_points; ++point) {
                const WinogradOrder::Range taken = order.at(point);
                const T* const points = inputs.data() + c / chunk * place.chunk_step() + point * place.plane;
                for (Index p = 0; p < panels; ++p)
                    winograd_multiply(points + taken.first * place.row, place.row,
                                      weights.data() + point * weight_plane + p * chunk * step, depth, taken.size(),
                                      last - first - p * step, sums.data() + point * sum_plane + p * step,
                                      sum_rows + taken.first, c > 0, points + place.plane + p * depth * step);
            }
        }
        winograd_transform_output<T>({sums.data(), width, sum_plane, order, first, last}, work.grid, columns, work.c,
                                     work.epilogue);
    });
}

// c [n, out_height, out_width, columns] = image convolved with 3x3 weights. Each sum is one chain over ascending
// channels, whichever way it goes.
template <class T>
void winograd_convolve(Index n, const T* image, const Patches& grid, const ConvWeights<T>& weights, Index columns, T* c,
                       const Epilogue<T>& epilogue) {
    const Index in = grid.channels;
    Scratch<T> zeros(winograd_in * in);
    std::fill(zeros.data(), zeros.data() + winograd_in * in, T(0));
    const WinogradWork<T> work{image, grid, WinogradTiles(grid, n), weights, in, columns, zeros.data(), c, epilogue};
    const bool large = in * columns >= 128 * 128;
    if (work.tiles.count <= few_tiles && large)
        winograd_by_channels(work);
    else if (work.tiles.count <= most_by_weights && large)
        winograd_by_weights(work);
    else
        winograd_by_tiles(work);
}

// Whether a convolution pays by Winograd: by the shape of one sample and the weights alone. F(4x4, 3x3) does from four
// pixels and eight channels on; below, tiles and vectors are mostly empty. Tiles of 2 x 2 alone would never take fewer
// products: 36 and 64 of a picture of 4 x 4, 100 and 144 of 5 x 5 and 6 x 6, 121 and 256 of 7 x 7.
inline bool winograd_pays(const Patches& grid, Index columns) {
    return grid.taps_h == 3 && grid.taps_w == 3 && grid.stride == 1 && grid.channels >= 8 && columns >= 8 &&
           std::min({grid.out_height, grid.out_width, grid.height, grid.width}) >= 4;
}

}  // namespace genmod::kernels::detail
