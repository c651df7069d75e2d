// Packing of matrices, and of weights by their taps, into panels [k][width].
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

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

// Copies a panel of tile_cols neighbouring numbers from each of `length` rows, and may ask for the panel beside it: its
// rows may be a page apart.
template <class T>
void copy_columns(const T* from, Index step, Index length, T* to, bool ask = true) {
    constexpr Index lanes = simd::lanes<T>;
    for (Index k = 0; k < length; ++k, from += step, to += 2 * lanes) {
        simd::store(to, simd::load(from));
        simd::store(to + lanes, simd::load(from + lanes));
        if (ask) __builtin_prefetch(from + 2 * lanes, 0, 2);
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

}  // namespace genmod::kernels::detail
