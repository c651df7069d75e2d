// Blocks of a matrix product by packed panels of b, or by such as can be read where they lie.
#pragma once

#include <algorithm>
#include <concepts>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// Most bytes from one row of a to the next that many panels of b may read where they lie.
inline constexpr Index in_place_bytes = sizeof(simd::Batch<float>) == 64 ? 16384 : 1024;

// Whether tiles may read a where it lies: few columns would not repay the packing, and short rows stay in the cache as
// they are, unless they all fall into one set of it.
template <class T>
bool reads_in_place(const Product<T>& product, const BlockRange& range) {
    const Operand<T>& a = product.a;
    if (!a.plain()) return false;
    if (range.rows == 1) return true;
    const Index bytes = std::max(a.i_step, a.k_step) * static_cast<Index>(sizeof(T));
    if (range.cols > 4 * tile_cols<T> && (bytes > in_place_bytes || bytes % 4096 == 0)) return false;
    return a.k_step == 1 || (a.i_step == 1 && bytes < 2048);
}

// Most bytes from one row of b to the next that a whole block of rows reads where they lie.
inline constexpr Index b_in_place_bytes = sizeof(simd::Batch<float>) == 64 ? 3072 : 0;

// Whether a panel of b can be read where it lies, because few rows would not repay the packing. (AVX-512, two threads,
// against packing: 50 x 1024 x 1024 19 % sooner, 77 x 768 x 768 12 %, 64 x 1280 x 1280 11 %, 128 x 1024 x 1024 4 %
// later.)
template <class T>
bool panel_in_place(const Product<T>& product, Index rows, Index cols) {
    constexpr Index few = sizeof(simd::Batch<float>) == 64 ? m_block / 2 : 2 * tile_rows<T>;
    const Operand<T>& b = product.b;
    const bool near = b.k_step * static_cast<Index>(sizeof(T)) <= b_in_place_bytes;
    return b.plain() && b.i_step == 1 && rows <= (near ? m_block : few) &&
           (cols == tile_cols<T> || cols == simd::lanes<T>);
}

template <class T>
void pack_block(const Operand<T>& a, const BlockRange& range, Index k, Index depth, T* to) {
    for (Index i = 0; i < range.rows;) {
        const Index height = tile_height<T>(range.rows - i);
        pack_panel(a, range.m + i, height, height, k, depth, to + i * depth);
        i += height;
    }
}

// The same for a product in bf16, with zeros behind an odd depth.
template <bool dot_pairs>
void pack_block_bf16(const Operand<float>& a, const BlockRange& range, Index k, Index depth, float* to) {
    const Index even = in_pairs(depth);
    for (Index i = 0; i < range.rows;) {
        const Index height = tile_height<float>(range.rows - i);
        float* const tile = to + i * even;
        pack_panel(a, range.m + i, height, height, k, depth, tile);
        if (depth < even) std::fill_n(tile + depth * height, height, 0.0f);
        if constexpr (dot_pairs)
            round_to_pairs(tile, even, height, to + i * even / 2);
        else
            round_and_exchange(tile, even, height);
        i += height;
    }
}

// Rows of a and panels of b for a stretch of k in one block of c.
template <class T, bool dot_pairs>
class BlockOperands {
public:
    BlockOperands(const Product<T>& product, const BlockRange& range, const Panels<T>& panels)
        : product_(product),
          range_(range),
          panels_(panels),
          in_place_(panels.half == nullptr && reads_in_place(product, range)),
          far_(product.far_c()),
          a_(in_place_ ? 0 : range.rows * deepest(range) + pack_slack<T>),
          b_(panels.full != nullptr ? 0 : deepest(range) * tile_cols<T> + pack_slack<T>) {}

    void begin(Index k, Index depth) {
        k_ = k;
        depth_ = depth;
        rows_ = rows(k, depth);
    }

    void multiply(Index column, Index cols, const TileTarget<T>& to) const {
        const TileSource<T> from = panel(column, cols, k_, depth_);
        if constexpr (dot_pairs)
            if (panels_.half != nullptr) return multiply_panel<T, PairStep>(rows_, range_.rows, cols, from, to, far_);
        multiply_panel(rows_, range_.rows, cols, from, to, far_);
    }

private:
    BlockRows<T> rows(Index k, Index depth) const {
        if (in_place_) {
            const Operand<T>& a = product_.a;
            return {a.data + range_.m * a.i_step + k * a.k_step, false, a.i_step, a.k_step};
        }
        if constexpr (std::same_as<T, float>)
            if (panels_.half != nullptr) {
                pack_block_bf16<dot_pairs>(product_.a, range_, k, depth, a_.data());
                return {a_.data(), true, 0, 0};
            }
        pack_block(product_.a, range_, k, depth, a_.data());
        return {a_.data(), true, 0, 0};
    }

    TileSource<T> panel(Index column, Index cols, Index k, Index depth) const {
        constexpr Index step = tile_cols<T>;
        if (panels_.full != nullptr) return full_panel(panels_.full + column * product_.k + k * step, depth);
        if constexpr (std::same_as<T, float>)
            if (panels_.half != nullptr) return pairs(panels_.half + column * in_pairs(product_.k) + k * step, depth);
        if (panel_in_place(product_, range_.rows, cols))
            return {.b = product_.b.data + column + k * product_.b.k_step, .b_k = product_.b.k_step, .depth = depth};
        const Operand<T>& b = product_.b;
        TileSource<T> packed{.b = b_.data(), .b_k = step, .depth = depth};
        if (b.plain() && b.i_step == 1 && cols == step) {
            const T* const from = b.data + column + k * b.k_step;
            copy_columns(from, b.k_step, depth, b_.data(), false);
            if (column + step < range_.n + range_.cols) packed.next = from + step;  // while the tiles are at work
            packed.next_row = b.k_step;
        } else {
            pack_panel(b, column, cols, step, k, depth, b_.data());
        }
        return packed;
    }

    static Index deepest(const BlockRange& range) { return in_pairs(std::min(k_block, range.depth)); }

    TileSource<T> full_panel(const T* from, Index depth) const {
        constexpr Index step = tile_cols<T>;
        return {.b = from, .b_k = step, .depth = depth, .next = from + product_.k * step};
    }

    TileSource<float> pairs(const bf16* from, Index depth) const {
        constexpr Index step = tile_cols<float>;
        const Index count = in_pairs(depth) / 2;
        if constexpr (dot_pairs) return {.b = reinterpret_cast<const float*>(from), .b_k = step, .depth = count};
        float* const to = b_.data();
        for (Index pair = 0; pair < count; ++pair)
            widen_pairs(from + pair * 2 * step, step, to + (2 * pair + 1) * step, to + 2 * pair * step);
        return {.b = to, .b_k = step, .depth = 2 * count};
    }

    const Product<T>& product_;
    const BlockRange& range_;
    const Panels<T>& panels_;
    bool in_place_, far_;
    Scratch<T> a_, b_;
    Index k_ = 0, depth_ = 0;
    BlockRows<T> rows_;
};

// One block of c but for the activation, a stretch of k and then a panel of columns at a time.
template <class T, class Operands>
void multiply_by_panels(const Product<T>& product, const BlockRange& range, Operands& operands) {
    constexpr Index step = tile_cols<T>;
    const bool separate = range.depth > k_block && product.needs_sums();
    std::optional<Scratch<T>> sums;
    if (separate) sums.emplace(range.rows * range.cols);
    Index row_offset[most_rows], sum_offset[most_rows];
    product.rows.offsets(range.m, range.rows, row_offset);
    for (Index i = 0; i < range.rows; ++i) sum_offset[i] = separate ? i * range.cols : row_offset[i];
    Index done = 0;
    do {
        const Index depth = std::min(k_block, range.depth - done);
        const bool last = done + depth == range.depth;
        operands.begin(range.k + done, depth);
        for (Index n = 0; n < range.cols; n += step) {
            const Index column = range.n + n, cols = std::min(step, range.cols - n);
            T* const unfinished = separate ? sums->data() + n : product.c + column;
            Epilogue<T> finish = product.epilogue;
            if (finish.bias != nullptr) finish.bias += column;
            if (finish.residual != nullptr) finish.residual += column;
            operands.multiply(
                column, cols,
                {last ? product.c + column : unfinished, done == 0 ? nullptr : unfinished,
                 last ? row_offset : sum_offset, sum_offset, last && !product.plain_epilogue() ? &finish : nullptr});
        }
        done += depth;
    } while (done < range.depth);
}

// The same by packed panels. Products in bf16 go by dot products of pairs where the build has them.
template <class T, bool dot_pairs = has_dot_pairs&& std::same_as<T, float>>
void multiply_block_panels(const Product<T>& product, const BlockRange& range, const Panels<T>& panels) {
    BlockOperands<T, dot_pairs> operands(product, range, panels);
    std::optional<FlushDenormals> flush;
    if (panels.half != nullptr) flush.emplace();
    multiply_by_panels(product, range, operands);
}

}  // namespace genmod::kernels::detail
