// Products whose left half is multiplied by an activation of their right half: gated linear units in one pass.
#pragma once

#include <concepts>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"

namespace genmod::kernels::detail {

// The columns of b from `column` on.
template <class T>
Panels<T> panels_from(const Panels<T>& panels, Index column, Index k) {
    if (panels.full != nullptr) return {panels.full + column * k, nullptr, nullptr};
    if (panels.half != nullptr) return {nullptr, panels.half + column * in_pairs(k), nullptr};
    if (panels.tiles != nullptr) return {nullptr, nullptr, panels.tiles + column * in_tiles(k)};
    return {};
}

// Rows and columns of c = x times the activation of the gate, both `step` numbers from row to row; x may be lost.
template <class T>
void gate_rows(const Product<T>& product, T* x, const T* gate, Index step, const BlockRange& range) {
    const Index at = product.rows.offset(range.m) + range.n, c_step = product.rows.sample_step;
    const Unary f = *product.epilogue.activation;
    if (product.rounded == nullptr) return gated_here(f, x, gate, step, product.c + at, c_step, range.rows, range.cols);
    if constexpr (std::same_as<T, float>) {
        gated_here(f, x, gate, step, x, step, range.rows, range.cols);
        for (Index i = 0; i < range.rows; ++i) round_all(x + i * step, range.cols, product.rounded + at + i * c_step);
    }
}

// One block of the result, columns range.n.. of both halves; a is a plain matrix, and range.n and the half of n are
// multiples of tile_cols where panels are given.
template <class T>
void multiply_gated_block(const Product<T>& product, const BlockRange& range, const Panels<T>& panels) {
    const Index half = product.n / 2, size = range.rows * range.cols;
    Scratch<T> sums(2 * size);
    for (Index side = 0; side < 2; ++side) {
        const Index column = side * half + range.n;
        Product<T> part = product;
        part.m = range.rows;
        part.n = range.cols;
        part.a.advance(range.m * part.a.i_step);
        part.b.data += column * part.b.i_step;
        part.c = sums.data() + side * size;
        part.rounded = nullptr;
        part.rows = even_rows(range.cols);
        part.epilogue = {.bias = product.epilogue.bias == nullptr ? nullptr : product.epilogue.bias + column,
                         .scale = product.epilogue.scale};
        multiply_block(part, {.rows = range.rows, .cols = range.cols, .depth = product.k},
                       panels_from(panels, column, product.k));
    }
    gate_rows(product, sums.data(), sums.data() + size, range.cols, range);
}

}  // namespace genmod::kernels::detail
