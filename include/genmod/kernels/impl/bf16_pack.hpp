// Rows of the first factor, rounded to bf16 in the order of AMX's tiles.
#pragma once

#include <algorithm>
#include <cstring>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"

namespace genmod::kernels::detail {

inline constexpr Index k_tile = 32;    // numbers of k that are summed together
inline constexpr Index row_tile = 16;  // rows of a that lie together
inline constexpr Index a_tile = row_tile * k_tile;

// Numbers k in whole tiles.
inline Index in_tiles(Index k) { return (k + k_tile - 1) / k_tile * k_tile; }

// Writes one row of a into its tiles, from k = 0 on.
class TileRowWriter {
public:
    explicit TileRowWriter(bf16* row) : row_(row) {}

    // `next`: the same numbers of a later row, which will be needed soon.
    void round(const float* from, Index count, Index step, const float* next) {
        pieces(count, [&](bf16* to, Index done, Index length) {
            if (step != 1) {
                for (Index i = 0; i < length; ++i) to[i] = round_one(from[(done + i) * step]);
            } else if (length == k_tile) {
                __builtin_prefetch(next + done);
                __builtin_prefetch(next + done + 16);
                round_sixteen(from + done, to);
                round_sixteen(from + done + 16, to + 16);
            } else {
                round_all(from + done, length, to);
            }
        });
    }
    void copy(const bf16* from, Index count) {
        pieces(count, [&](bf16* to, Index done, Index length) {
            if (length == k_tile)  // known when compiled: one vector
                std::copy_n(from + done, k_tile, to);
            else
                std::copy_n(from + done, length, to);
        });
    }
    void zeros(Index count) {
        pieces(count, [](bf16* to, Index, Index length) {
            std::memset(static_cast<void*>(to), 0, static_cast<std::size_t>(length) * sizeof(bf16));
        });
    }

private:
    // f(to, done, length) for the parts of the next `count` numbers that lie together.
    template <class F>
    void pieces(Index count, F f) {
        for (Index done = 0; done < count;) {
            const Index inside = k_ % k_tile, length = std::min(k_tile - inside, count - done);
            f(row_ + k_ / k_tile * a_tile + inside, done, length);
            done += length;
            k_ += length;
        }
    }

    bf16* row_;
    Index k_ = 0;
};

// Row `index` of a, numbers k0..k0+length-1.
inline void pack_tile_row(const Product<float>& product, Index index, Index k0, Index length, TileRowWriter& to) {
    const Operand<float>& a = product.a;
    if (a.plain()) {
        const float* const row = a.data + index * a.i_step + k0 * a.k_step;
        return to.round(row, length, a.k_step, row + 4 * a.i_step);
    }
    const bool pixels = a.kind == OperandKind::pixel_rows;
    const Pixel pixel = pixels ? Pixel(a.patches, index) : Pixel();
    for (Index k = k0; k < k0 + length;) {
        const Index tap = k / a.depth, channel = k % a.depth;
        const Index run = std::min(a.depth - channel, k0 + length - k), u = tap / a.taps_w, v = tap % a.taps_w;
        k += run;
        Index at = index * a.i_step + u * a.tap_h_step + v * a.tap_w_step, step = a.k_step;
        if (pixels) {
            at = pixel.at(a.patches, u, v);
            step = 1;
        }
        if (pixels && at < 0)
            to.zeros(run);
        else if (product.rounded_a != nullptr)
            to.copy(product.rounded_a + at + channel, run);
        else
            to.round(a.data + at + channel * step, run, step, a.data + at + channel * step + 4 * a.i_step);
    }
}

// Rows of a in tiles [rows / 16][k_tiles][16][32], with zeros behind the last row and the last k.
inline void pack_tiles(const Product<float>& product, Index first, Index rows, Index k0, Index depth, bf16* to) {
    const Index k_tiles = in_tiles(depth) / k_tile, row_tiles = (rows + row_tile - 1) / row_tile;
    if (rows < row_tiles * row_tile || depth < k_tiles * k_tile) {
        const auto bytes = static_cast<std::size_t>(row_tiles * k_tiles * a_tile) * sizeof(bf16);
        std::memset(static_cast<void*>(to), 0, bytes);
    }
    for (Index i = 0; i < rows; ++i) {
        TileRowWriter row(to + i / row_tile * k_tiles * a_tile + i % row_tile * k_tile);
        pack_tile_row(product, first + i, k0, depth, row);
    }
}

}  // namespace genmod::kernels::detail
