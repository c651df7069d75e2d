// Tiles of pictures on their way to Winograd's products.
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// One vector of channels of a tile of high x wide outputs: six rows of six pixels, `step` apart, of which the columns
// in `inside` count. What the next tile adds, `ahead` numbers on, is asked for meanwhile.
template <class T, int high, int wide>
void winograd_input_vector(const T* const (&rows)[winograd_in], Index step, const bool (&inside)[winograd_in], T* to,
                           Index plane, Index ahead) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in;
#pragma GCC unroll 8
    for (Index u = side - winograd_out; u < high + 2; ++u)
#pragma GCC unroll 8
        for (Index v = side - winograd_out; v < wide + 2; ++v) __builtin_prefetch(rows[u] + v * step + ahead);
    Batch half[winograd_points];
#pragma GCC unroll 8
    for (Index v = 0; v < wide + 2; ++v) {
        Batch d[side], t[side];
#pragma GCC unroll 8
        for (Index u = 0; u < high + 2; ++u) d[u] = inside[v] ? simd::load(rows[u] + v * step) : Batch(T(0));
        winograd_input<T, high>(d, t);
#pragma GCC unroll 8
        for (Index u = 0; u < side; ++u)
            if (winograd_takes(high, u)) half[u * side + v] = t[u];
    }
#pragma GCC unroll 8
    for (Index u = 0; u < side; ++u) {
        if (!winograd_takes(high, u)) continue;
        Batch t[side];
        winograd_input<T, wide>(half + u * side, t);
#pragma GCC unroll 8
        for (Index v = 0; v < side; ++v)
            if (winograd_takes(wide, v)) simd::store(to + (u * side + v) * plane, t[v]);
    }
}

// Where transformed inputs lie: to[chunk of channels][point][tile][row].
struct WinogradInputs {
    Index chunk;       // channels that lie together: whole vectors
    Index row, plane;  // numbers from tile to tile and from point to point
    Index chunk_step() const { return winograd_points * plane; }
};

// winograd_input_vector() for tiles of such outputs.
template <class T>
auto winograd_input_function(Index high, Index wide) {
    return with_outs(
        high, [&](auto h) { return with_outs(wide, [&](auto w) { return &winograd_input_vector<T, h(), w()>; }); });
}

// Transformed inputs of the tiles at places first..last-1. `zeros` holds the six pixels of a row outside.
template <class T>
void winograd_transform_input(const T* image, const Patches& grid, const WinogradOrder& order, Index first, Index last,
                              const T* zeros, T* to, const WinogradInputs& place) {
    constexpr Index side = winograd_in, lanes = simd::lanes<T>;
    const Index channels = grid.channels, whole = channels / lanes * lanes;
    const auto corner_of = [&](const WinogradTile& tile) {
        return (tile.sample * grid.height + tile.y - grid.pad_top) * grid.width + tile.x - grid.pad_left;
    };
    for (Index i = first; i < last; ++i) {
        const WinogradTile& tile = order[i];
        const auto transform_vector = winograd_input_function<T>(tile.high, tile.wide);
        const Index top = tile.y - grid.pad_top, left = tile.x - grid.pad_left, corner = corner_of(tile);
        const Index ahead = (corner_of(order[std::min(i + 1, order.size() - 1)]) - corner) * channels;
        const T* rows[side];
        bool inside[side];
        for (Index u = 0; u < side; ++u) {
            const bool in = top + u >= 0 && top + u < grid.height;
            rows[u] = in ? image + (corner + u * grid.width) * channels : zeros;
            inside[u] = left + u >= 0 && left + u < grid.width;
        }
        T* const out = to + (i - first) * place.row;
        const auto at = [&](Index c) { return out + c / place.chunk * place.chunk_step() + c % place.chunk; };
        for (Index c = 0; c < whole; c += lanes) {
            transform_vector(rows, channels, inside, at(c), place.plane, ahead);
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
            transform_vector(rows, lanes, inside, at(whole), place.plane, 0);
        }
    }
}

}  // namespace genmod::kernels::detail
