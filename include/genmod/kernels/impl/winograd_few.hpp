// Winograd's convolution of up to four tiles, a few channels at a time: their transformed weights, of which each is
// read once, stay in the first-level cache. (1280 -> 1280 channels of 8 x 8 pixels: 27 % sooner than by chunks of
// channels in the second-level cache; eight tiles would gain 5 %.)
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_input.hpp"
#include "genmod/kernels/impl/winograd_output.hpp"
#include "genmod/kernels/impl/winograd_panels.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"
#include "genmod/kernels/impl/winograd_work.hpp"

namespace genmod::kernels::detail {

inline constexpr Index few_tiles = 4;
inline constexpr Index channels_together = 4;
inline constexpr Index tile_inputs = few_tiles * channels_together;  // of a point

// Transformed inputs: [chunk of channels][point][tile][channel], zero beyond the last channel and tile and for tiles
// that do not take part at a point.
template <class T>
void transform_few_inputs(const WinogradWork<T>& work, const WinogradOrder& order, T* to) {
    const Index in = work.in, row = winograd_row<T>(in);
    const WinogradInputs place{row, row, few_tiles * row};
    Scratch<T> inputs(place.chunk_step());
    winograd_transform_input(work.image, work.grid, order, 0, order.size(), work.zeros, inputs.data(), place);
    const Index chunks = ceil_div(in, channels_together);
    std::fill_n(to, chunks * winograd_points * tile_inputs, T(0));
    parallel_ranges(chunks, 16, [&](Index first, Index last) {
        for (Index chunk = first; chunk < last; ++chunk)
            for (Index point = 0; point < winograd_points; ++point)
                for (Index tile = order.at(point).first; tile < order.at(point).last; ++tile)
                    std::copy_n(inputs.data() + point * place.plane + tile * row + chunk * channels_together,
                                std::min(channels_together, in - chunk * channels_together),
                                to + (chunk * winograd_points + point) * tile_inputs + tile * channels_together);
    });
}

// sums [tile][tile_cols] += inputs [tile][channel] * weights [channel][tile_cols]
template <class T>
[[gnu::always_inline]] inline void add_few_products(const T* inputs, const T* weights, T* sums) {
    constexpr Index lanes = simd::lanes<T>, vectors = 2;
    simd::Batch<T> sum[few_tiles][vectors];
#pragma GCC unroll 4
    for (Index i = 0; i < few_tiles; ++i)
#pragma GCC unroll 2
        for (Index j = 0; j < vectors; ++j) sum[i][j] = simd::load(sums + (i * vectors + j) * lanes);
#pragma GCC unroll 4
    for (Index k = 0; k < channels_together; ++k) {
        simd::Batch<T> weight[vectors];
#pragma GCC unroll 2
        for (Index j = 0; j < vectors; ++j) weight[j] = simd::load(weights + (k * vectors + j) * lanes);
#pragma GCC unroll 4
        for (Index i = 0; i < few_tiles; ++i)
#pragma GCC unroll 2
            for (Index j = 0; j < vectors; ++j)
                sum[i][j] = simd::fma<T>(simd::Batch<T>(inputs[i * channels_together + k]), weight[j], sum[i][j]);
    }
#pragma GCC unroll 4
    for (Index i = 0; i < few_tiles; ++i)
#pragma GCC unroll 2
        for (Index j = 0; j < vectors; ++j) simd::store(sums + (i * vectors + j) * lanes, sum[i][j]);
}

// At most few_tiles tiles; each sum is one chain over ascending channels, as with more of them.
template <class T>
void winograd_by_channels(const WinogradWork<T>& work) {
    constexpr Index step = tile_cols<T>, sum_plane = few_tiles * step, weight_plane = channels_together * step;
    const Index in = work.in, columns = work.columns, chunks = ceil_div(in, channels_together);
    Scratch<T> inputs(chunks * winograd_points * tile_inputs);
    const WinogradOrder order(work.tiles, 0, work.tiles.count);
    transform_few_inputs(work, order, inputs.data());
    parallel_for(ceil_div(columns, step), [&](Index panel) {
        const Index first = panel * step;
        Scratch<T> room(winograd_room<T>(work.weights, in));
        // In one piece, so that no sum lies a whole number of pages before weights that are read next.
        Scratch<T> both(winograd_points * (weight_plane + sum_plane));
        T* const weights = both.data();
        T* const sums = weights + winograd_points * weight_plane;
        std::fill(weights, sums + winograd_points * sum_plane, T(0));
        const T* const packed = winograd_panel(work.weights, first, columns, in, room.data());
        for (Index chunk = 0; chunk < chunks; ++chunk) {
            const Index c = chunk * channels_together;
            winograd_transform_weights(packed, in, c, std::min(in, c + channels_together), weights, weight_plane);
            for (Index point = 0; point < winograd_points; ++point)
                add_few_products(inputs.data() + (chunk * winograd_points + point) * tile_inputs,
                                 weights + point * weight_plane, sums + point * sum_plane);
        }
        winograd_transform_output<T>({sums, step, sum_plane, order, first, std::min(columns, first + step)}, work.grid,
                                     columns, work.c, work.epilogue);
    });
}

}  // namespace genmod::kernels::detail
