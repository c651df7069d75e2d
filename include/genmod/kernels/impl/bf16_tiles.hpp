// Products in bf16 as AMX sums them: 32 numbers of k at a time, of which the even products and the odd ones make a
// chain of fused multiply-adds each, from zero; the two are added, and then the sum of the earlier ones. Denormal
// numbers count as zero. Other processors do the same with vectors of floats.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index k_tile = 32;         // numbers of k that are summed together
inline constexpr Index row_tile = 16;       // rows of a that lie together
inline constexpr Index k_tiles_block = 16;  // between visits of c
inline constexpr Index a_tile = row_tile * k_tile;

// Numbers k in whole tiles.
inline Index in_tiles(Index k) { return (k + k_tile - 1) / k_tile * k_tile; }

// Words of floats rounded to bf16, to nearest even, in their upper halves; NaN stays NaN.
template <class Words>
[[gnu::always_inline]] inline void round_words(Words& bits) {
    const Words nan = bits | 0x00400000u, rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    bits = ((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded) & 0xffff0000u;
}

// to = 16 numbers rounded.
inline void round_sixteen(const float* from, bf16* to) {
    using Words [[gnu::vector_size(64)]] = std::uint32_t;
    using Halves [[gnu::vector_size(32)]] = std::uint16_t;
    Words bits;
    std::memcpy(&bits, from, sizeof bits);
    round_words(bits);
    const Halves halves = __builtin_convertvector(bits >> 16, Halves);
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
}

// Rows [2 * pairs][width] of floats (whole vectors) rounded, as pairs [pairs][width][2].
inline void round_row_pairs(const float* from, Index pairs, Index width, bf16* to) {
    constexpr Index lanes = simd::lanes<float>;
    using Words [[gnu::vector_size(sizeof(simd::Batch<float>))]] = std::uint32_t;
    for (Index pair = 0; pair < pairs; ++pair, from += 2 * width, to += 2 * width)
        for (Index i = 0; i < width; i += lanes) {
            Words even, odd;
            std::memcpy(&even, from + i, sizeof even);
            std::memcpy(&odd, from + width + i, sizeof odd);
            round_words(even);
            round_words(odd);
            const Words both = even >> 16 | odd;
            std::memcpy(static_cast<void*>(to + 2 * i), &both, sizeof both);
        }
}

inline void round_all(const float* from, Index count, bf16* to) {
    for (; count >= 16; count -= 16, from += 16, to += 16) round_sixteen(from, to);
    for (Index i = 0; i < count; ++i) to[i] = to_bf16(from[i]);
}

inline void round_parallel(const float* from, Index count, bf16* to) {
    parallel_ranges(count, Index{1} << 16,
                    [&](Index first, Index last) { round_all(from + first, last - first, to + first); });
}

// Writes one row of a into its tiles, from k = 0 on.
class TileRowWriter {
public:
    explicit TileRowWriter(bf16* row) : row_(row) {}

    // `next`: the same numbers of a later row, which will be needed soon.
    void round(const float* from, Index count, Index step, const float* next) {
        pieces(count, [&](bf16* to, Index done, Index length) {
            if (step != 1) {
                for (Index i = 0; i < length; ++i) to[i] = to_bf16(from[(done + i) * step]);
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

// Sums [rows][tile_cols] = [sums +] tiles of a times a panel [k_tiles][16 pairs][tile_cols][2].
template <int Rows>
void multiply_tiles_emulated(const bf16* a, const bf16* panel, Index k_tiles, bool resume, float* sums) {
    using Batch = simd::Batch<float>;
    constexpr Index step = tile_cols<float>;
    const auto word = [](const bf16* pair) {
        float both;
        std::memcpy(&both, pair, sizeof both);
        return Batch(both);
    };
    for (Index k = 0; k < k_tiles; ++k, a += a_tile, panel += k_tile * step)
        for (Index column = 0; column < step; column += simd::lanes<float>) {
            Batch even[Rows], odd[Rows];
            for (int i = 0; i < Rows; ++i) even[i] = odd[i] = Batch(0.0f);
            for (Index pair = 0; pair < k_tile / 2; ++pair) {
                const Batch b = simd::load(reinterpret_cast<const float*>(panel + (pair * step + column) * 2));
                for (int i = 0; i < Rows; ++i) {
                    const Batch value = word(a + i * k_tile + 2 * pair);
                    even[i] = simd::fma(even_of(value), even_of(b), even[i]);
                    odd[i] = simd::fma(odd_of(value), odd_of(b), odd[i]);
                }
            }
            for (int i = 0; i < Rows; ++i) {
                float* const to = sums + i * step + column;
                const Batch before = resume || k > 0 ? simd::load(to) : Batch(0.0f);
                simd::store<float>(to, before + (even[i] + odd[i]));
            }
        }
}

// The tiles of up to 32 rows times a panel.
struct TileProduct {
    const bf16* a = nullptr;  // [rows / 16][a_step]
    Index a_step = 0;
    const bf16* panel = nullptr;
    Index k_tiles = 0;
    Index rows = 0, cols = 0;
    bool resume = false;
    Index next_panel = 0;  // how far behind this one; 0: it is near already
};

inline void multiply_tiles_by_vectors(const TileProduct& p, float* sums) {
    const FlushDenormals flush;
    if (p.k_tiles == 0) std::fill_n(sums, p.rows * tile_cols<float>, 0.0f);
    for (Index i = 0; i < p.rows;) {
        const bf16* const a = p.a + i / row_tile * p.a_step + i % row_tile * k_tile;
        float* const to = sums + i * tile_cols<float>;
        if (p.rows - i >= 4) {
            multiply_tiles_emulated<4>(a, p.panel, p.k_tiles, p.resume, to);
            i += 4;
        } else {
            multiply_tiles_emulated<1>(a, p.panel, p.k_tiles, p.resume, to);
            i += 1;
        }
    }
}

inline void multiply_tiles_by_amx(const TileProduct& p, float* sums) {
    const amx::Operands from{p.a, p.a_step, p.panel, p.k_tiles, p.next_panel};
    const bool one_row = p.rows <= row_tile, one_column = p.cols <= 16;
    if (one_row)
        one_column ? amx::multiply<1, 1>(from, p.resume, sums) : amx::multiply<1, 2>(from, p.resume, sums);
    else
        one_column ? amx::multiply<2, 1>(from, p.resume, sums) : amx::multiply<2, 2>(from, p.resume, sums);
}

// One row of finished sums, tile_cols of them in each panel_step, by way of the epilogue to `cols` columns of c.
inline void finish_row(const float* sums, Index panel_step, Index cols, const Epilogue<float>& epilogue,
                       const TileTarget<float>& to) {
    constexpr Index step = tile_cols<float>, lanes = simd::lanes<float>;
    Epilogue<float> finish = epilogue;
    TileTarget<float> at = to;
    if (to.finish != nullptr) at.finish = &finish;
    for (Index n = 0; n < cols; n += step, sums += panel_step, at.c += step) {
        if (cols - n >= step) {
            simd::Batch<float> both[1][2] = {{simd::load(sums), simd::load(sums + lanes)}};
            finish_tile<float, 1, 2>(both, at);
        } else {
            for (Index j = 0; j < cols - n; ++j) finish_number(finish, sums[j], j, at.row_offset[0] + j, at.c);
        }
        if (finish.bias != nullptr) finish.bias += step;
        if (finish.residual != nullptr) finish.residual += step;
    }
}

// One block of c; `hardware`: by AMX. Two tiles' rows of a at a time are packed, and go by all panels while they are in
// the nearest cache.
inline void multiply_block_tiles(const Product<float>& product, const BlockRange& range, const bf16* panels,
                                 bool hardware = amx::available()) {
    constexpr Index step = tile_cols<float>, rows_together = 2 * row_tile, room = rows_together * step;
    const Index k_tiles = in_tiles(range.depth) / k_tile, panel_count = (range.cols + step - 1) / step;
    const bool once = k_tiles <= k_tiles_block;
    const Scratch<bf16> a(2 * k_tiles_block * a_tile);
    const Scratch<float> sums((once ? 1 : (range.rows + rows_together - 1) / rows_together) * panel_count * room);
    std::optional<amx::Tiles> tiles;
    if (hardware) tiles.emplace();
    Index row_offset[most_rows];
    product.rows.offsets(range.m, range.rows, row_offset);
    Epilogue<float> epilogue = product.epilogue;
    if (epilogue.bias != nullptr) epilogue.bias += range.n;
    if (epilogue.residual != nullptr) epilogue.residual += range.n;
    Index done = 0;  // tiles of k
    do {
        const Index now = std::min(k_tiles - done, k_tiles_block), k = done * k_tile;
        for (Index row = 0; row < range.rows; row += rows_together) {
            const Index rows = std::min(rows_together, range.rows - row);
            float* const own = sums.data() + (once ? 0 : row / rows_together * panel_count * room);
            pack_tiles(product, range.m + row, rows, range.k + k, std::min(now * k_tile, range.depth - k), a.data());
            for (Index n = 0; n < range.cols; n += step) {
                const TileProduct part{.a = a.data(),
                                       .a_step = now * a_tile,
                                       .panel = panels + (range.n + n) * in_tiles(product.k) + (range.k + k) * step,
                                       .k_tiles = now,
                                       .rows = rows,
                                       .cols = std::min(step, range.cols - n),
                                       .resume = done > 0,
                                       .next_panel = row == 0 ? step * in_tiles(product.k) : 0};
                float* const to = own + n / step * room;
                hardware ? multiply_tiles_by_amx(part, to) : multiply_tiles_by_vectors(part, to);
            }
            if (done + now < k_tiles) continue;
            for (Index i = 0; i < rows; ++i)
                finish_row(own + i * step, room, range.cols, epilogue,
                           {.c = product.c + range.n,
                            .row_offset = row_offset + row + i,
                            .finish = product.plain_epilogue() ? nullptr : &epilogue});
        }
        done += now;
    } while (done < k_tiles);
}

}  // namespace genmod::kernels::detail
