// Products in bf16 as AMX sums them: 32 numbers of k at a time, of which the even products and the odd ones make a
// chain of fused multiply-adds each, from zero; the two are added, and then the sum of the earlier ones. Denormal
// numbers count as zero. Other processors do the same with vectors of floats.
#pragma once

#include <algorithm>
#include <cstring>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

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

// As multiply_tiles_by_amx().
template <class F>
void multiply_tiles_by_vectors(const TileProduct& p, float* sums, F meanwhile) {
    for (Index k = 0; k < p.operands.k_tiles; ++k) meanwhile();
    constexpr Index step = tile_cols<float>;
    const FlushDenormals flush;
    if (p.operands.k_tiles == 0) std::fill_n(sums, p.rows * step, 0.0f);
    for (Index i = 0; i < p.rows;) {
        const bool four = p.rows - i >= 4;
        four ? multiply_tiles_emulated<4>(p, i, sums + i * step) : multiply_tiles_emulated<1>(p, i, sums + i * step);
        i += four ? 4 : 1;
    }
}

// sums [rows][tile_cols] = [sums +] rows of a times the panel; `meanwhile` is called once for each tile of k.
template <class F>
void multiply_tiles_by_amx(const TileProduct& p, float* sums, F meanwhile) {
    const amx::Operands& from = p.operands;
    const bool one_row = p.rows <= row_tile, one_column = p.cols <= 16;
    if (one_row)
        one_column ? amx::multiply<1, 1>(from, p.resume, sums, meanwhile)
                   : amx::multiply<1, 2>(from, p.resume, sums, meanwhile);
    else
        one_column ? amx::multiply<2, 1>(from, p.resume, sums, meanwhile)
                   : amx::multiply<2, 2>(from, p.resume, sums, meanwhile);
}

// Where the finished sums of a panel go: to c, or, with the activation, to rows of numbers in bf16.
struct PanelTarget {
    float* c = nullptr;
    bf16* rounded = nullptr;  // instead of c
    Epilogue<float> finish = {};
    bool plain = false;  // no more than the activation
};

// Sums [Rows][tile_cols] become the function of them.
template <int Rows>
void activate_rows(simd::Batch<float> (&sum)[Rows][2], Unary activation) {
    constexpr Index lanes = simd::lanes<float>;
    alignas(64) float numbers[Rows * tile_cols<float>];
#pragma GCC unroll 8
    for (int v = 0; v < 2 * Rows; ++v) simd::store(numbers + v * lanes, sum[v / 2][v % 2]);
    unary_here(activation, numbers, numbers, Rows * tile_cols<float>);
#pragma GCC unroll 8
    for (int v = 0; v < 2 * Rows; ++v) sum[v / 2][v % 2] = simd::load(numbers + v * lanes);
}

// Sums [Rows][tile_cols], by way of the epilogue, to whole rows, which lie row_offset behind the target.
template <int Rows>
[[gnu::always_inline]] inline void finish_rows(const float* sums, const PanelTarget& target, const Index* row_offset) {
    constexpr Index step = tile_cols<float>, lanes = simd::lanes<float>;
    const TileTarget<float> to{
        .c = target.c, .row_offset = row_offset, .finish = target.plain ? nullptr : &target.finish};
    simd::Batch<float> both[Rows][2];
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) both[i][j] = simd::load(sums + i * step + j * lanes);
    if (target.rounded == nullptr) return finish_tile<float, Rows, 2>(both, to);
    apply_epilogue<float, Rows, 2>(both, to);
    if (target.finish.activation) activate_rows<Rows>(both, *target.finish.activation);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) round_side_by_side(both[i], target.rounded + row_offset[i]);
}

// The same for `cols` columns of one row.
inline void finish_part_row(const float* sums, Index cols, const PanelTarget& target, Index at) {
    const Epilogue<float>& finish = target.finish;
    float row[tile_cols<float>];
    for (Index j = 0; j < cols; ++j)
        if (target.rounded == nullptr)
            finish_number(finish, sums[j], j, at + j, target.c);
        else
            row[j] = finished_number(finish, sums[j], j, at + j);
    if (target.rounded == nullptr) return;
    if (finish.activation) unary_here(*finish.activation, row, row, cols);
    round_all(row, cols, target.rounded + at);
}

// Sums [rows][tile_cols], of which `cols` columns count.
inline void finish_panel_rows(const float* sums, Index rows, Index cols, const PanelTarget& target,
                              const Index* row_offset) {
    constexpr Index step = tile_cols<float>;
    Index i = 0;
    if (cols == step) {
        for (; i + 4 <= rows; i += 4) finish_rows<4>(sums + i * step, target, row_offset + i);
        for (; i < rows; ++i) finish_rows<1>(sums + i * step, target, row_offset + i);
    }
    for (; i < rows; ++i) finish_part_row(sums + i * step, cols, target, row_offset[i]);
}

}  // namespace genmod::kernels::detail
