// Winograd's sums on their way to pictures.
#pragma once

#include <algorithm>
#include <cstdint>

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// One vector of channels of a tile's high x wide outputs: pixel (u, v) to to[u * y_step + v * x_step], plus the bias
// and the residual (which lies as `to` does) where they are not null.
template <class T, int high, int wide, bool streamed>
void winograd_output_vector(const T* from, Index plane, T* to, Index y_step, Index x_step, const T* bias,
                            const T* residual) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in;
    Batch half[winograd_out * side];
#pragma GCC unroll 8
    for (Index v = 0; v < side; ++v) {
        if (!winograd_takes(wide, v)) continue;
        Batch m[side], t[high];
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u)
            if (winograd_takes(high, u)) m[u] = simd::load(from + (u * side + v) * plane);
        winograd_output<T, high>(m, t);
#pragma GCC unroll 8
        for (Index u = 0; u < high; ++u) half[u * side + v] = t[u];
    }
#pragma GCC unroll 8
    for (Index u = 0; u < high; ++u) {
        Batch t[wide];
        winograd_output<T, wide>(half + u * side, t);
#pragma GCC unroll 8
        for (Index v = 0; v < wide; ++v) {
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

// winograd_output_vector() for tiles of such outputs.
template <class T, bool streamed = false>
auto winograd_output_function(Index high, Index wide) {
    return with_outs(high, [&](auto h) {
        return with_outs(wide, [&](auto w) { return &winograd_output_vector<T, h(), w(), streamed>; });
    });
}

// Sums [point][tile][column] of tiles in their order and of the columns from first_column on.
template <class T>
struct WinogradSumBlock {
    const T* data;
    Index row, plane;  // numbers from tile to tile and from point to point
    const WinogradOrder& order;
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
void winograd_transform_output(const WinogradSumBlock<T>& sums, const Patches& grid, Index columns, T* c,
                               const Epilogue<T>& epilogue) {
    constexpr Index outs = winograd_out, lanes = simd::lanes<T>;
    const bool plain = epilogue.scale == T(1) && epilogue.mode == Accumulate::write;
    const bool streamed = !epilogue.activation && streams_outputs(grid, sums.order.tiles, columns, c);
    const Index y_step = grid.out_width * columns, plane = sums.plane;
    for (Index i = 0; i < sums.order.size(); ++i) {
        const WinogradTile& tile = sums.order[i];
        const auto near_vector = winograd_output_function<T>(tile.high, tile.wide);
        const auto direct_vector = streamed ? winograd_output_function<T, true>(tile.high, tile.wide) : near_vector;
        const Index high = std::min(tile.high, grid.out_height - tile.y);
        const Index wide = std::min(tile.wide, grid.out_width - tile.x);
        const bool direct = plain && high == tile.high && wide == tile.wide;
        const Index corner = ((tile.sample * grid.out_height + tile.y) * grid.out_width + tile.x) * columns;
        const T* const from = sums.data + i * sums.row - sums.first_column;
        Epilogue<T> finish = epilogue;
        if (finish.bias != nullptr) finish.bias += tile.sample * finish.bias_step;
        for (Index column = sums.first_column; column < sums.last_column; column += lanes) {
            if (direct && sums.last_column - column >= lanes) {
                const Index at = corner + column;
                direct_vector(from + column, plane, c + at, y_step, columns,
                              finish.bias == nullptr ? nullptr : finish.bias + column,
                              finish.residual == nullptr ? nullptr : finish.residual + at);
                continue;
            }
            T pixels[outs * outs * lanes];
            near_vector(from + column, plane, pixels, outs * lanes, lanes, nullptr, nullptr);
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
