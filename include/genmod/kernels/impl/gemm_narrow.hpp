// Matrix products with very few columns.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"

namespace genmod::kernels::detail {

inline constexpr Index narrow = 6;  // products with at most this many columns run along the rows of c instead
inline constexpr Index narrow_work = 1 << 15;  // numbers of a that are worth another thread

// The finished sums of `cols` rows of c from first on, of which sums holds the transpose, tile_cols numbers a row.
template <class T>
void finish_narrow(const Product<T>& product, const T* sums, Index first, Index cols) {
    const Epilogue<T>& finish = product.epilogue;
    Index rows[tile_cols<T>];
    product.rows.offsets(first, cols, rows);
    for (Index i = 0; i < cols; ++i) {
        const Index row = rows[i];
        for (Index j = 0; j < product.n; ++j) finish_number(finish, sums[j * tile_cols<T> + i], j, row + j, product.c);
        if (finish.activation) unary_here(*finish.activation, product.c + row, product.c + row, product.n);
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
