// A block of the matrix product, by the way that suits its operands.
#pragma once

#include <algorithm>
#include <concepts>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_block.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm_image.hpp"
#include "genmod/kernels/impl/gemm_panels.hpp"
#include "genmod/kernels/impl/gemm_pixels.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"

namespace genmod::kernels::detail {

inline constexpr Index serial_work = 1 << 19;  // products below this many multiply-adds wake no thread
inline constexpr Index tile_work = 1 << 21;    // the least work of a parallel tile

// Multiply-adds, of which an output costs as much as sixteen.
inline Index product_work(Index m, Index n, Index k) { return m * n * std::max<Index>(k, 16); }

template <class T>
void activate_block(const Product<T>& product, const BlockRange& range) {
    const Unary activation = *product.epilogue.activation;
    T* const c = product.c + range.n;
    if (product.rows.even(range.cols)) {  // rows without gaps
        T* const rows = c + range.m * range.cols;
        return unary_here(activation, rows, rows, range.rows * range.cols);
    }
    for (Index i = 0; i < range.rows; ++i) {
        T* const row = c + product.rows.offset(range.m + i);
        unary_here(activation, row, row, range.cols);
    }
}

// One block of c.
template <class T>
void multiply_block(const Product<T>& product, const BlockRange& range, const Panels<T>& panels) {
    bool tiles = false;
    if constexpr (std::same_as<T, float>) {
        tiles = panels.tiles != nullptr;
        if (tiles) multiply_block_tiles(product, range, panels.tiles);
    }
    if (!tiles && panels.half == nullptr && reads_image(product))
        multiply_image_block(product, range, panels.full);
    else if (!tiles && range.cols == product.n && range.depth > 0 && reads_pixels(product))
        multiply_pixel_block(product, range);
    else if (!tiles)
        multiply_block_panels(product, range, panels);
    if (product.epilogue.activation && product.rounded == nullptr) activate_block(product, range);
}

}  // namespace genmod::kernels::detail
