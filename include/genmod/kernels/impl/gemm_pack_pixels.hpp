// Packing of an image's patches into panels [k][width].
#pragma once

#include <algorithm>
#include <cstddef>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/gemm_pack_strided.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Pixel number `index` of the grid, and what it sees.
struct Pixel {
    Index sample = 0, top = 0, left = 0;
    Pixel() = default;
    Pixel(const Patches& grid, Index index)
        : sample(index / (grid.out_height * grid.out_width)),
          top(index / grid.out_width % grid.out_height * grid.stride - grid.pad_top),
          left(index % grid.out_width * grid.stride - grid.pad_left) {}

    // The position of tap (u, v) in the image's memory; -1 outside.
    Index at(const Patches& grid, Index u, Index v) const {
        const Index y = top + u, x = left + v;
        if (y < 0 || y >= grid.height || x < 0 || x >= grid.width) return -1;
        return ((sample * grid.height + y) * grid.width + x) * grid.channels;
    }
};

// What the rows of a panel see: pixels whose patches begin at (top, left), `corner` numbers behind the image.
template <class T>
struct PanelPixels {
    Index top[widest_panel<T>], left[widest_panel<T>], corner[widest_panel<T>];

    PanelPixels(const Patches& grid, Index first, Index count) {
        Pixel pixel(grid, first);
        const Index right = grid.out_width * grid.stride - grid.pad_left;
        for (Index r = 0; r < count; ++r, pixel.left += grid.stride) {
            if (pixel.left == right) pixel = Pixel(grid, first + r);
            top[r] = pixel.top;
            left[r] = pixel.left;
            corner[r] = ((pixel.sample * grid.height + pixel.top) * grid.width + pixel.left) * grid.channels;
        }
    }
};

template <class T>
void pack_pixel_rows(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    const Patches& grid = from.patches;
    const PanelPixels<T> pixels(grid, first, count);
    const auto height = static_cast<std::size_t>(grid.height), across = static_cast<std::size_t>(grid.width);
    const T* rows[widest_panel<T>];
    std::fill(rows + count, rows + width, zero_row<T>);
    for (Index k = k0; k < k0 + length;) {
        const Index tap = k / from.depth, channel = k % from.depth, u = tap / grid.taps_w, v = tap % grid.taps_w;
        const Index run = std::min(from.depth - channel, k0 + length - k);
        const Index inside = (u * grid.width + v) * grid.channels + channel;
        for (Index r = 0; r < count; ++r) {  // a negative number is a huge one without its sign
            const bool seen = static_cast<std::size_t>(pixels.top[r] + u) < height &&
                              static_cast<std::size_t>(pixels.left[r] + v) < across;
            rows[r] = seen ? from.data + (pixels.corner[r] + inside) : zero_row<T>;
        }
        pack_transposed(rows, width, run, to + (k - k0) * width);
        k += run;
    }
}

// Copies `length` numbers from each of `count` places that lie from_step apart to places to_step apart.
template <class T>
void copy_runs(const T* from, Index from_step, Index count, Index length, T* to, Index to_step) {
    if (length == 2 * simd::lanes<T> && to_step == length) return copy_columns(from, from_step, count, to);
    for (Index i = 0; i < count; ++i) copy_run(from + i * from_step, length, to + i * to_step);
}

template <class T>
void zero_runs(Index count, Index length, T* to, Index to_step) {
    for (Index i = 0; i < count; ++i) std::fill_n(to + i * to_step, length, T(0));
}

// `count` pixels of one row of the grid as tap (u, v) sees them: `length` numbers of each, from channel `channel` on.
template <class T>
void pack_seen(const Operand<T>& from, const Pixel& pixel, Index u, Index v, Index channel, Index length, Index count,
               T* to, Index to_step) {
    const Patches& grid = from.patches;
    const Index y = pixel.top + u, x = pixel.left + v, stride = grid.stride;
    const bool inside = y >= 0 && y < grid.height;
    const Index first = inside ? std::clamp<Index>(ceil_div(std::max<Index>(-x, 0), stride), 0, count) : count;
    const Index last = std::clamp<Index>(ceil_div(std::max<Index>(grid.width - x, 0), stride), first, count);
    zero_runs(first, length, to, to_step);
    if (first < last) {
        const Index at = ((pixel.sample * grid.height + y) * grid.width + x + first * stride) * grid.channels + channel;
        copy_runs(from.data + at, stride * grid.channels, last - first, length, to + first * to_step, to_step);
    }
    zero_runs(count - last, length, to + last * to_step, to_step);
}

template <class T>
void pack_pixel_columns(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    const Patches& grid = from.patches;
    for (Index k = 0; k < length;) {
        const Pixel pixel(grid, k0 + k);
        const Index pixels = std::min(length - k, grid.out_width - (k0 + k) % grid.out_width);
        T* const out = to + k * width;
        for (Index i = 0, run = 0; i < count; i += run) {
            const Index tap = (first + i) / from.depth, channel = (first + i) % from.depth;
            run = std::min(from.depth - channel, count - i);
            pack_seen(from, pixel, tap / grid.taps_w, tap % grid.taps_w, channel, run, pixels, out + i, width);
        }
        if (count < width) zero_runs(pixels, width - count, out + count, width);
        k += pixels;
    }
}

}  // namespace genmod::kernels::detail
