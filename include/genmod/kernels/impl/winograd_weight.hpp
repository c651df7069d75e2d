// The gradient of 3x3 weights by the adjoint of Winograd's F(4x4, 3x3): dw = G' [sum of (A dy A') . (B' d B)] G.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_input.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// One vector of channels of the gradients of a tile's high x wide outputs, of which the first `rows` x `cols` are
// there.
template <class T, int high, int wide>
void winograd_gradient_vector(const T* from, Index y_step, Index x_step, Index rows, Index cols, T* to, Index plane) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in;
    Batch half[side * wide];
#pragma GCC unroll 8
    for (Index v = 0; v < wide; ++v) {
        Batch d[high], t[side];
#pragma GCC unroll 8
        for (Index u = 0; u < high; ++u)
            d[u] = u < rows && v < cols ? simd::load(from + u * y_step + v * x_step) : Batch(T(0));
        winograd_output_adjoint<T, high>(d, t);
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u)
            if (winograd_takes(high, u)) half[u * wide + v] = t[u];
    }
#pragma GCC unroll 8
    for (Index u = 0; u < side; ++u) {
        if (!winograd_takes(high, u)) continue;
        Batch t[side];
        winograd_output_adjoint<T, wide>(half + u * wide, t);
#pragma GCC unroll 8
        for (Index v = 0; v < side; ++v)
            if (winograd_takes(wide, v)) simd::store(to + (u * side + v) * plane, t[v]);
    }
}

// winograd_gradient_vector() for tiles of such outputs.
template <class T>
auto winograd_gradient_function(Index high, Index wide) {
    return with_outs(
        high, [&](auto h) { return with_outs(wide, [&](auto w) { return &winograd_gradient_vector<T, h(), w()>; }); });
}

// Transformed output gradients of the tiles at places first..last-1: to[point][tile][row].
template <class T>
void winograd_transform_gradient(const T* dy, const Patches& grid, Index columns, const WinogradOrder& order,
                                 Index first, Index last, T* to, Index row, Index plane) {
    constexpr Index outs = winograd_out, lanes = simd::lanes<T>;
    const Index whole = columns / lanes * lanes, y_step = grid.out_width * columns;
    for (Index i = first; i < last; ++i) {
        const WinogradTile& tile = order[i];
        const auto transform_vector = winograd_gradient_function<T>(tile.high, tile.wide);
        const Index high = std::min(tile.high, grid.out_height - tile.y);
        const Index wide = std::min(tile.wide, grid.out_width - tile.x);
        const T* const from = dy + ((tile.sample * grid.out_height + tile.y) * grid.out_width + tile.x) * columns;
        T* const out = to + (i - first) * row;
        for (Index column = 0; column < whole; column += lanes)
            transform_vector(from + column, y_step, columns, high, wide, out + column, plane);
        if (whole < columns) {
            T part[outs * outs * lanes] = {};
            for (Index u = 0; u < high; ++u)
                for (Index v = 0; v < wide; ++v)
                    for (Index column = whole; column < columns; ++column)
                        part[(u * outs + v) * lanes + column - whole] = from[u * y_step + v * columns + column];
            transform_vector(part, outs * lanes, lanes, high, wide, out + whole, plane);
        }
    }
}

// A block of transformed tiles of x and dy, and what their products are summed to.
template <class T>
struct WinogradSums {
    const T* x;
    const T* dy;
    Index x_row, x_plane, dy_row, dy_plane;
    Index in, out;
    T* sums;  // [point][out][in rounded up to whole panels]

    Index sum_row() const { return ceil_div(in, tile_cols<T>) * tile_cols<T>; }

    // Adds the products at one point of the tiles that take part there, rows first..last-1; the first tiles of all
    // overwrite.
    void add(Index point, Index first, Index last, const WinogradOrder::Range& taken, bool resume) const {
        const Index width = sum_row(), count = taken.size();
        T* const to_point = sums + point * out * width;
        if (count == 0 && !resume) std::fill(to_point + first * width, to_point + last * width, T(0));
        Index offset[m_block];
        for (Index i = 0; i < m_block; ++i) offset[i] = i * width;
        for (Index done = 0; done < count; done += k_block)
            for (Index o = first; o < last; o += m_block)
                for (Index c = 0; c < in; c += tile_cols<T>) {
                    const BlockRows<T> rows{dy + point * dy_plane + (taken.first + done) * dy_row + o, false, 1,
                                            dy_row};
                    const TileSource<T> from{.b = x + point * x_plane + (taken.first + done) * x_row + c,
                                             .b_k = x_row,
                                             .depth = std::min(k_block, count - done)};
                    T* const to = to_point + o * width + c;
                    const TileTarget<T> target{.c = to,
                                               .start = resume || done > 0 ? to : nullptr,
                                               .row_offset = offset,
                                               .start_offset = offset};
                    multiply_panel(rows, std::min(m_block, last - o),
                                   in - c <= simd::lanes<T> ? simd::lanes<T> : tile_cols<T>, from, target);
                }
    }
};

// dweight [out, 9, in] from `parts` sums, which are added in their order.
template <class T>
void winograd_finish_weights(const T* sums, Index parts, Index in, Index out, T* dweight, Accumulate mode) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in;
    const Index row = ceil_div(in, tile_cols<T>) * tile_cols<T>;
    parallel_ranges(out, std::max<Index>(1, 512 / in), [&](Index first, Index last) {
        for (Index o = first; o < last; ++o)
            for (Index c = 0; c < in; c += simd::lanes<T>) {
                Batch half[3 * side];
#pragma GCC unroll 8
                for (Index v = 0; v < side; ++v) {
                    Batch p[side], t[3];
#pragma GCC unroll 8
                    for (Index u = 0; u < side; ++u) {
                        const T* from = sums + ((u * side + v) * out + o) * row + c;
                        p[u] = simd::load(from);
                        for (Index part = 1; part < parts; ++part)
                            p[u] = p[u] + simd::load(from + part * winograd_points * out * row);
                    }
                    winograd_weight_adjoint<T>(p, t);
#pragma GCC unroll 8
                    for (Index u = 0; u < 3; ++u) half[u * side + v] = t[u];
                }
#pragma GCC unroll 8
                for (Index u = 0; u < 3; ++u) {
                    Batch t[3];
                    winograd_weight_adjoint<T>(half + u * side, t);
#pragma GCC unroll 8
                    for (Index v = 0; v < 3; ++v)
                        finish_part<T>(t[v], {.mode = mode}, dweight, (o * 9 + u * 3 + v) * in + c, 0, in - c);
                }
            }
    });
}

// How the sum over tiles is cut: small weights get sums for each of `parts` ranges of tiles, which are worked on side
// by side in blocks; large ones, or few tiles, one sum, whose 36 points are worked on side by side.
struct WinogradParts {
    Index parts, block;
};

template <class T>
WinogradParts winograd_parts(Index tiles, Index in, Index out) {
    if (in * out <= 12800 && tiles >= 256) return {std::clamp<Index>(40960 / (in * out), 4, 8), 64};
    const Index numbers = winograd_points * (winograd_row<T>(in) + winograd_row<T>(out));
    return {1, std::clamp<Index>((Index{16} << 20) / static_cast<Index>(sizeof(T)) / numbers, 32, 4096)};
}

template <class T>
void winograd_backward_weight(Index n, const T* x, const Patches& grid, const T* dy, Index out, T* dweight,
                              Accumulate mode) {
    const WinogradTiles tiles(grid, n);
    const Index in = grid.channels, x_row = winograd_row<T>(in), dy_row = winograd_row<T>(out);
    const WinogradParts plan = winograd_parts<T>(tiles.count, in, out);
    const Index block = std::min(plan.block, tiles.count);
    const Index x_plane = block * x_row + simd::lanes<T>, dy_plane = block * dy_row + simd::lanes<T>;
    const Index part_size = winograd_points * out * (x_row - simd::lanes<T>);
    Scratch<T> zeros(winograd_in * in);
    std::fill(zeros.data(), zeros.data() + winograd_in * in, T(0));
    Scratch<T> sums(plan.parts * part_size);
    const auto block_sums = [&](const T* x_block, const T* dy_block, T* to) {
        return WinogradSums<T>{x_block, dy_block, x_row, x_plane, dy_row, dy_plane, in, out, to};
    };
    if (plan.parts > 1) {
        const Index range = ceil_div(tiles.count, plan.parts);
        parallel_for(plan.parts, [&](Index part) {
            Scratch<T> x_block(winograd_points * x_plane), dy_block(winograd_points * dy_plane);
            const auto to = block_sums(x_block.data(), dy_block.data(), sums.data() + part * part_size);
            const Index begin = part * range, end = std::min(tiles.count, begin + range);
            if (begin >= end) std::fill(to.sums, to.sums + part_size, T(0));
            for (Index first = begin; first < end; first += block) {
                const WinogradOrder order(tiles, first, std::min(end, first + block));
                winograd_transform_input(x, grid, order, 0, order.size(), zeros.data(), x_block.data(),
                                         {x_row, x_row, x_plane});
                winograd_transform_gradient(dy, grid, out, order, 0, order.size(), dy_block.data(), dy_row, dy_plane);
                for (Index point = 0; point < winograd_points; ++point)
                    to.add(point, 0, out, order.at(point), first > begin);
            }
        });
    } else {
        Scratch<T> x_block(winograd_points * x_plane), dy_block(winograd_points * dy_plane);
        const auto to = block_sums(x_block.data(), dy_block.data(), sums.data());
        const Index groups = ceil_div(out, m_block);
        for (Index first = 0; first < tiles.count; first += block) {
            const WinogradOrder order(tiles, first, std::min(tiles.count, first + block));
            parallel_ranges(order.size(), 8, [&](Index begin, Index end) {
                winograd_transform_input(x, grid, order, begin, end, zeros.data(), x_block.data() + begin * x_row,
                                         {x_row, x_row, x_plane});
                winograd_transform_gradient(dy, grid, out, order, begin, end, dy_block.data() + begin * dy_row, dy_row,
                                            dy_plane);
            });
            parallel_for(winograd_points * groups, [&](Index tile) {
                const Index o = tile % groups * m_block;
                to.add(tile / groups, o, std::min(out, o + m_block), order.at(tile / groups), first > 0);
            });
        }
    }
    winograd_finish_weights(sums.data(), plan.parts, in, out, dweight, mode);
}

}  // namespace genmod::kernels::detail
