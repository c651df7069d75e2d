// Products in bf16 as AMX sums them: 32 numbers of k at a time, of which the even products and the odd ones make a
// chain of fused multiply-adds each, from zero; the two are added, and then the sum of the earlier ones. Denormal
// numbers count as zero. Other processors do the same with vectors of floats.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Tiles of k between visits of c. With four of them the rows fit the nearest cache beside a panel and the next one on
// its way (32 x 1280 x 1280 20 % sooner than with eight, 1024 x 1024 x 1024 12 %); up to sixteen in all go at once, as
// visits of c would cost more.
inline constexpr Index k_tiles_block = 4, k_tiles_once = 16;

// Where few channels are read from the image, a row of taps at a time: they see much the same pixels (128 channels 8 to
// 10 % sooner, 256 channels 7 %; 512 channels would take 8 % longer).
inline Index tiles_at_a_time(const Operand<float>& a) {
    if (!tiles_lie_in(a) || a.depth > 256) return k_tiles_block;
    return std::clamp<Index>(a.taps_w * a.depth / k_tile, 8, 24);
}

// Rows of a block for AMX. More pixels see fewer of the image's others, as long as all sums stay near (512 x 512 x 256
// to 128 channels 20 % sooner).
template <class T>
Index tile_block(const Product<T>& product) {
    constexpr Index sums = 5 << 15;
    return product.a.kind == OperandKind::pixel_rows ? std::clamp(sums / product.n, wide_rows, most_rows) : wide_rows;
}

// Up to 32 rows of a times a panel [k_tiles][16 pairs][tile_cols][2].
struct TileProduct {
    amx::Operands operands;
    Index rows = 0, cols = 0;
    bool resume = false;
};

// Sums [Rows][tile_cols] = [sums +] rows of a from row `first` on times the panel.
template <int Rows>
void multiply_tiles_emulated(const TileProduct& p, Index first, float* sums) {
    using Batch = simd::Batch<float>;
    constexpr Index step = tile_cols<float>;
    const amx::Operands& from = p.operands;
    const auto word = [](const bf16* pair) {
        float both;
        std::memcpy(&both, pair, sizeof both);
        return Batch(both);
    };
    const bf16* panel = from.b;
    for (Index k = 0; k < from.k_tiles; ++k, panel += k_tile * step) {
        const bf16* const a = from.a[first / row_tile] + first % row_tile * from.a_step + from.place(k);
        for (Index column = 0; column < step; column += simd::lanes<float>) {
            Batch even[Rows], odd[Rows];
#pragma GCC unroll 4
            for (int i = 0; i < Rows; ++i) even[i] = odd[i] = Batch(0.0f);
            for (Index pair = 0; pair < k_tile / 2; ++pair) {
                const Batch b = simd::load(reinterpret_cast<const float*>(panel + (pair * step + column) * 2));
#pragma GCC unroll 4
                for (int i = 0; i < Rows; ++i) {
                    const Batch value = word(a + i * from.a_step + 2 * pair);
                    even[i] = simd::fma(even_of(value), even_of(b), even[i]);
                    odd[i] = simd::fma(odd_of(value), odd_of(b), odd[i]);
                }
            }
#pragma GCC unroll 4
            for (int i = 0; i < Rows; ++i) {
                float* const to = sums + i * step + column;
                const Batch before = p.resume || k > 0 ? simd::load(to) : Batch(0.0f);
                simd::store<float>(to, before + (even[i] + odd[i]));
            }
        }
    }
}

inline void multiply_tiles_by_vectors(const TileProduct& p, float* sums) {
    constexpr Index step = tile_cols<float>;
    const FlushDenormals flush;
    if (p.operands.k_tiles == 0) std::fill_n(sums, p.rows * step, 0.0f);
    for (Index i = 0; i < p.rows;) {
        const bool four = p.rows - i >= 4;
        four ? multiply_tiles_emulated<4>(p, i, sums + i * step) : multiply_tiles_emulated<1>(p, i, sums + i * step);
        i += four ? 4 : 1;
    }
}

inline void multiply_tiles_by_amx(const TileProduct& p, float* sums) {
    const amx::Operands& from = p.operands;
    const bool one_row = p.rows <= row_tile, one_column = p.cols <= 16;
    if (one_row)
        one_column ? amx::multiply<1, 1>(from, p.resume, sums) : amx::multiply<1, 2>(from, p.resume, sums);
    else
        one_column ? amx::multiply<2, 1>(from, p.resume, sums) : amx::multiply<2, 2>(from, p.resume, sums);
}

// The finished sums [rows][tile_cols] of a panel, by way of the epilogue, to `cols` columns of c.
inline void finish_panel_rows(const float* sums, Index rows, Index cols, const TileTarget<float>& to) {
    constexpr Index step = tile_cols<float>, lanes = simd::lanes<float>;
    const Epilogue<float> plain;
    const Epilogue<float>& finish = to.finish == nullptr ? plain : *to.finish;
    TileTarget<float> at = to;
    for (Index i = 0; i < rows; ++i, sums += step, ++at.row_offset) {
        if (cols >= step) {
            simd::Batch<float> both[1][2] = {{simd::load(sums), simd::load(sums + lanes)}};
            finish_tile<float, 1, 2>(both, at);
        } else {
            for (Index j = 0; j < cols; ++j) finish_number(finish, sums[j], j, at.row_offset[0] + j, at.c);
        }
    }
}

// Sums of a block by AMX's tiles or by vectors, and what they become. All sums wait for their last k where that is more
// than goes at once.
class TileBlock {
public:
    TileBlock(const Product<float>& product, const BlockRange& range, const bf16* panels, bool hardware)
        : product_(product),
          range_(range),
          panels_(panels),
          hardware_(hardware),
          k_tiles_(in_tiles(range.depth) / k_tile),
          once_(k_tiles_ <= k_tiles_once),
          together_(once_ ? k_tiles_ : tiles_at_a_time(product.a)),
          rows_of_a_(product, range, together_ * k_tile),
          sums_(once_ ? rooms * room : ceil_div(range.rows, rows_together) * panel_count() * room) {
        product.rows.offsets(range.m, range.rows, row_offset_);
    }

    // Two tiles' rows of a at a time go by all panels while they are in the nearest cache.
    void multiply() {
        Index done = 0;  // tiles of k
        do {
            const Index now = std::min(k_tiles_ - done, together_);
            for (Index row = 0; row < range_.rows; row += rows_together) multiply_rows(row, done, now);
            done += now;
        } while (done < k_tiles_);
    }

private:
    static constexpr Index step = tile_cols<float>, rows_together = TileRows::together, room = rows_together * step;
    // For sums in turn: the next do not wait until these are read (4096 x 1280 x 320 36 % sooner).
    static constexpr Index rooms = 4;

    Index panel_count() const { return ceil_div(range_.cols, step); }

    // Rows from `row` on by tiles done .. done + now - 1 of k and all panels.
    void multiply_rows(Index row, Index done, Index now) {
        const Index rows = std::min(rows_together, range_.rows - row), k = done * k_tile;
        float* const own = sums_.data() + (once_ ? 0 : row / rows_together * panel_count() * room);
        TileProduct part{.operands = rows_of_a_.operands(row, rows, k, std::min(now * k_tile, range_.depth - k)),
                         .rows = rows,
                         .resume = done > 0};
        part.operands.k_tiles = now;
        part.operands.next_b = row == 0 ? step * in_tiles(product_.k) : 0;
        for (Index n = 0; n < range_.cols; n += step) {
            part.operands.b = panels_ + (range_.n + n) * in_tiles(product_.k) + (range_.k + k) * step;
            part.cols = std::min(step, range_.cols - n);
            float* const to = own + (once_ ? n / step % rooms : n / step) * room;
            hardware_ ? multiply_tiles_by_amx(part, to) : multiply_tiles_by_vectors(part, to);
            if (done + now == k_tiles_) finish(to, row, rows, n, part.cols);
        }
    }

    void finish(const float* sums, Index row, Index rows, Index n, Index cols) const {
        const Index column = range_.n + n;
        Epilogue<float> epilogue = product_.epilogue;
        if (epilogue.bias != nullptr) epilogue.bias += column;
        if (epilogue.residual != nullptr) epilogue.residual += column;
        finish_panel_rows(sums, rows, cols,
                          {.c = product_.c + column,
                           .row_offset = row_offset_ + row,
                           .finish = product_.plain_epilogue() ? nullptr : &epilogue});
    }

    const Product<float>& product_;
    const BlockRange& range_;
    const bf16* panels_;
    bool hardware_;
    Index k_tiles_;
    bool once_;
    Index together_;
    TileRows rows_of_a_;
    Scratch<float> sums_;
    Index row_offset_[most_rows];
};

// One block of c; `hardware`: by AMX.
inline void multiply_block_tiles(const Product<float>& product, const BlockRange& range, const bf16* panels,
                                 bool hardware = amx::available()) {
    TileBlock block(product, range, panels, hardware);
    std::optional<amx::Tiles> tiles;
    if (hardware) tiles.emplace();
    block.multiply();
}

}  // namespace genmod::kernels::detail
