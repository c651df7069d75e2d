// Operands of the matrix product, and their packing into panels [k][width]. Patches of an image (implicit im2col) are
// read where they lie; no matrix of patches ever exists in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// A grid of pixels [n, out_height, out_width] that look at an image [n, height, width, channels] through taps_h x
// taps_w taps: pixel (y, x), tap (u, v) sees (y * stride - pad_top + u, x * stride - pad_left + v), zero outside.
struct Patches {
    Index height = 0, width = 0, channels = 0;
    Index out_height = 0, out_width = 0;
    Index stride = 1, pad_top = 0, pad_left = 0;
    Index taps_h = 1, taps_w = 1;
};

enum class OperandKind {
    strided,        // element (i, k) lies i * i_step + tap offset + channel * k_step behind data
    pixel_rows,     // i counts pixels, k taps and channels
    pixel_columns,  // i counts taps and channels, k pixels
};

// Element (i, k) of an operand: i counts rows of a or columns of b; k = (tap_h, tap_w, channel), channel fastest.
template <class T>
struct Operand {
    OperandKind kind = OperandKind::strided;
    const T* data = nullptr;
    Index i_step = 0, k_step = 0;
    Index depth = 0;  // channels of a tap
    Index taps_w = 1;
    Index tap_h_step = 0, tap_w_step = 0;
    Patches patches;

    bool plain() const { return kind == OperandKind::strided && tap_h_step == 0 && tap_w_step == 0; }
};

template <class T>
Operand<T> strided(const T* data, Index i_step, Index k_step, Index depth) {
    Operand<T> operand;
    operand.data = data;
    operand.i_step = i_step;
    operand.k_step = k_step;
    operand.depth = depth;
    return operand;
}

template <class T>
Operand<T> image_patches(OperandKind kind, const T* image, const Patches& patches) {
    Operand<T> operand;
    operand.kind = kind;
    operand.data = image;
    operand.depth = patches.channels;
    operand.taps_w = patches.taps_w;
    operand.patches = patches;
    return operand;
}

// The widest panel: a tile's columns or, where vectors are short, its rows.
template <class T>
inline constexpr Index widest_panel = std::max(tile_cols<T>, tile_rows<T>);

template <class T>
inline constexpr Index pack_slack = simd::lanes<T>;  // stores of whole vectors may pass a panel's end

template <class T>
alignas(64) inline constexpr T zero_row[k_block] = {};

// to[k * width + r] = rows[r][k]. Vectors may spill into the following row of `to`, which is written later.
template <class T>
void pack_transposed(const T* const* rows, Index width, Index length, T* to) {
    constexpr Index lanes = simd::lanes<T>;
    if (length < lanes || width <= 2) {
        for (Index r = 0; r < width; ++r)
            for (Index k = 0; k < length; ++k) to[k * width + r] = rows[r][k];
        return;
    }
    for (Index k = 0; k < length; k += lanes) {
        const Index first = std::min(k, length - lanes);  // the last block overlaps the one before
        for (Index r = (width - 1) / lanes * lanes; r >= 0; r -= lanes) {
            simd::Batch<T> block[lanes];
#pragma GCC unroll 16
            for (Index i = 0; i < lanes; ++i) block[i] = simd::load((r + i < width ? rows[r + i] : rows[r]) + first);
            simd::transpose<T>(block);
#pragma GCC unroll 16
            for (Index i = 0; i < lanes; ++i) simd::store(to + (first + i) * width + r, block[i]);
        }
    }
}

// Copies `length` numbers; whole vectors where there are at least that many.
template <class T>
inline void copy_run(const T* from, Index length, T* to) {
    constexpr Index lanes = simd::lanes<T>;
    if (length < lanes) {
        for (Index k = 0; k < length; ++k) to[k] = from[k];
        return;
    }
    Index k = 0;
    for (; k + lanes <= length; k += lanes) simd::store(to + k, simd::load(from + k));
    if (k < length) simd::store(to + length - lanes, simd::load(from + length - lanes));
}

// Copies a panel of tile_cols neighbouring numbers from each of `length` rows.
template <class T>
void copy_columns(const T* from, Index step, Index length, T* to) {
    constexpr Index lanes = simd::lanes<T>;
    for (Index k = 0; k < length; ++k, from += step, to += 2 * lanes) {
        simd::store(to, simd::load(from));
        simd::store(to + lanes, simd::load(from + lanes));
        __builtin_prefetch(from + 2 * lanes, 0, 2);  // the next panel: its rows may be a page apart
    }
}

template <class T>
void pack_strided(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    for (Index k = k0; k < k0 + length;) {
        const Index tap = k / from.depth, channel = k % from.depth;
        const Index run = std::min(from.depth - channel, k0 + length - k);
        const T* base = from.data + first * from.i_step + tap / from.taps_w * from.tap_h_step +
                        tap % from.taps_w * from.tap_w_step + channel * from.k_step;
        T* out = to + (k - k0) * width;
        if (from.k_step == 1) {
            const T* rows[widest_panel<T>];
            for (Index r = 0; r < width; ++r) rows[r] = r < count ? base + r * from.i_step : zero_row<T>;
            pack_transposed(rows, width, run, out);
        } else if (from.i_step == 1 && count == width && width == tile_cols<T>) {
            copy_columns(base, from.k_step, run, out);
        } else {
            for (Index i = 0; i < run; ++i) {
                const T* row = base + i * from.k_step;
                if (from.i_step == 1)
                    copy_run(row, count, out + i * width);
                else
                    for (Index r = 0; r < count; ++r) out[i * width + r] = row[r * from.i_step];
                for (Index r = count; r < width; ++r) out[i * width + r] = T(0);
            }
        }
        k += run;
    }
}

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

template <class T>
void pack_pixel_columns(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    struct Run {
        Index u, v, channel, length;
    };
    const Patches& grid = from.patches;
    Run runs[widest_panel<T>];
    Index run_count = 0;
    for (Index i = 0; i < count; i += runs[run_count++].length) {
        const Index tap = (first + i) / from.depth, channel = (first + i) % from.depth;
        runs[run_count] = {tap / grid.taps_w, tap % grid.taps_w, channel, std::min(from.depth - channel, count - i)};
    }
    Pixel pixel(grid, k0);
    const Index right = grid.out_width * grid.stride - grid.pad_left;
    for (Index k = 0; k < length; ++k) {
        T* out = to + k * width;
        for (Index r = 0; r < run_count; ++r) {
            const Run& run = runs[r];
            const Index at = pixel.at(grid, run.u, run.v);
            if (at >= 0)
                copy_run(from.data + at + run.channel, run.length, out);
            else
                std::fill(out, out + run.length, T(0));
            out += run.length;
        }
        std::fill(out, to + (k + 1) * width, T(0));
        pixel.left += grid.stride;
        if (pixel.left == right) pixel = Pixel(grid, k0 + k + 1);
    }
}

// Packs i = first..first+count-1 (padded with zeros up to width), k = k0..k0+length-1 (at most k_block) into
// to[length][width]; pack_slack numbers behind may be overwritten.
template <class T>
void pack_panel(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    switch (from.kind) {
        case OperandKind::strided: return pack_strided(from, first, count, width, k0, length, to);
        case OperandKind::pixel_rows: return pack_pixel_rows(from, first, count, width, k0, length, to);
        case OperandKind::pixel_columns: return pack_pixel_columns(from, first, count, width, k0, length, to);
    }
}

}  // namespace genmod::kernels::detail
