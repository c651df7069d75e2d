// Products of a row by a matrix.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index row_work = 1 << 17;  // numbers of b that are worth more than one thread

// Whether b's rows can be read as they lie, in whole vectors.
template <class T>
bool reads_rows(const Product<T>& product) {
    const Operand<T>& b = product.b;
    return product.m == 1 && b.plain() && b.i_step == 1 && product.n % simd::lanes<T> == 0;
}

// sums[j] += a[0] * rows[0][j] + ... + a[count - 1] * rows[count - 1][j], one after another.
template <class T, int count>
void add_rows(const T* a, const T* rows, Index row_step, T* sums, Index cols) {
    using Batch = simd::Batch<T>;
    Batch factors[count];
#pragma GCC unroll 16
    for (int k = 0; k < count; ++k) factors[k] = Batch(a[k]);
    for (Index j = 0; j < cols; j += simd::lanes<T>) {
        Batch sum = simd::load(sums + j);
#pragma GCC unroll 16
        for (int k = 0; k < count; ++k) sum = simd::fma(factors[k], simd::load(rows + k * row_step + j), sum);
        simd::store(sums + j, sum);
    }
}

// c [1, n] = a [1, k] * b [k, n]: b is read once, a few rows side by side, since a panel of it would jump from page to
// page. The sums are those of the register tile.
template <class T>
void multiply_row(const Product<T>& product) {
    constexpr int together = 16;
    const Operand<T>&a = product.a, &b = product.b;
    const auto body = [&](Index first, Index last) {
        Scratch<T> sums(last - first);
        std::fill_n(sums.data(), last - first, T(0));
        Scratch<T> factors(product.k + pack_slack<T>);
        for (Index k = 0; k < product.k; k += k_block)
            pack_panel(a, 0, 1, 1, k, std::min(k_block, product.k - k), factors.data() + k);
        const T *from = factors.data(), *rows = b.data + first;
        Index k = 0;
        for (; k + together <= product.k; k += together)
            add_rows<T, together>(from + k, rows + k * b.k_step, b.k_step, sums.data(), last - first);
        for (; k < product.k; ++k) add_rows<T, 1>(from + k, rows + k * b.k_step, b.k_step, sums.data(), last - first);
        for (Index j = first; j < last; ++j)
            finish_number(product.epilogue, sums.data()[j - first], j, product.rows.offset(0) + j, product.c);
        T* const c = product.c + product.rows.offset(0) + first;
        if (product.epilogue.activation) unary_here(*product.epilogue.activation, c, c, last - first);
    };
    const Index range = ceil_div(ceil_div(product.n, thread_count()), tile_cols<T>) * tile_cols<T>;
    if (product.n * product.k < row_work)
        body(Index{0}, product.n);
    else
        parallel_ranges(product.n, range, body);
}

}  // namespace genmod::kernels::detail
