// Matrix products with very few columns.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index narrow = 6;  // products with at most this many columns run along the rows of c instead
inline constexpr Index narrow_work = 1 << 15;  // numbers of a that are worth another thread

// The outputs of `cols` rows of c from first on. `sums`, which are changed, hold the transpose, tile_cols numbers a
// row.
template <class T>
void finish_narrow(const Product<T>& product, T* sums, Index first, Index cols) {
    const Epilogue<T>& finish = product.epilogue;
    Index rows[tile_cols<T>];
    product.rows.offsets(first, cols, rows);
    const bool more = finish.residual != nullptr || finish.mode == Accumulate::add;
    for (Index j = 0; j < product.n; ++j, sums += tile_cols<T>) {
        for (Index i = 0; i < cols; i += simd::lanes<T>) {
            const simd::Batch<T> sum = simd::load(sums + i) * simd::Batch<T>(finish.scale);
            simd::store(sums + i, finish.bias == nullptr ? sum : sum + simd::Batch<T>(finish.bias[j]));
        }
        T* const c = product.c + j;
        for (Index i = 0; more && i < cols; ++i) {
            if (finish.residual != nullptr) sums[i] += finish.residual[rows[i] + j];
            if (finish.mode == Accumulate::add) sums[i] += c[rows[i]];
        }
        if (finish.activation) unary_here(*finish.activation, sums, sums, cols);
        for (Index i = 0; i < cols; ++i) c[rows[i]] = sums[i];
    }
}

// The same sums as c' = b' a': few columns would leave most lanes of a tile empty.
template <class T>
void multiply_narrow(const Product<T>& product) {
    constexpr Index step = tile_cols<T>;
    const Index m = product.m, n = product.n, k = product.k;
    Scratch<T> weights(n * k + pack_slack<T>);
    for (Index k0 = 0; k0 < k; k0 += k_block)
        pack_block(product.b, {.rows = n}, k0, std::min(k_block, k - k0), weights.data() + k0 * n);
    const auto body = [&](Index first, Index last) {
        Scratch<T> panel(std::min(k_block, k) * step + pack_slack<T>);
        T sums[narrow * step];
        Index offset[narrow];
        for (Index j = 0; j < n; ++j) offset[j] = j * step;
        for (Index i = first; i < last; i += step) {
            const Index cols = std::min(step, last - i);
            for (Index k0 = 0; k0 < k; k0 += k_block) {
                const Index depth = std::min(k_block, k - k0);
                pack_panel(product.a, i, cols, step, k0, depth, panel.data());
                const TileSource<T> from{.b = panel.data(), .b_k = step, .depth = depth};
                const TileTarget<T> to{sums, k0 == 0 ? nullptr : sums, offset, offset, nullptr};
                multiply_panel(BlockRows<T>{weights.data() + k0 * n, true, 0, 0}, n, step, from, to);
            }
            finish_narrow(product, sums, i, cols);
        }
    };
    const Index range = std::max(step, ceil_div(narrow_work / std::max<Index>(k, 1), step) * step);
    if (m * k < 2 * narrow_work)
        body(Index{0}, m);
    else
        parallel_ranges(m, range, body);
}

}  // namespace genmod::kernels::detail
