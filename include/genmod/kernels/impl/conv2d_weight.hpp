// Gradients with respect to the weights of a convolution, as a product over implicit patches.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/impl/conv2d_patches.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_chunks.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"

namespace genmod::kernels::detail {

// Whether that many tiles keep all threads busy to the end. The cut decides no bits, so that it may follow the threads.
inline bool even_load(Index tiles) { return tiles % thread_count() == 0 || tiles >= 4 * thread_count(); }

// dweight [out, taps * in] = dy transposed * patches, the pixels cut into chunks.
template <class T>
void backward_weight_patches(const ConvShape& shape, const T* x, const T* dy, T* dweight, Accumulate mode) {
    const Patches patches = forward_patches(shape);
    const Index pixels = shape.n * shape.out_height * shape.out_width;
    Product<T> product;
    product.m = shape.out;
    product.n = shape.kernel_h * shape.kernel_w * shape.in;
    product.k = pixels;
    product.a = strided(dy, Index{1}, shape.out, pixels);
    product.rows = even_rows(product.n);
    if (is_pointwise(patches)) {
        product.b = strided(x, Index{1}, shape.in, pixels);
        product.c = dweight;
        return multiply_over_samples(product, mode);
    }
    product.b = image_patches(OperandKind::pixel_columns, x, patches);
    const Index size = product.m * product.n, chunks = sample_chunks(pixels, size);
    const Index chunk = ceil_div(pixels, chunks);
    const Index m_tiles = ceil_div(product.m, m_block);
    const bool together = size * chunk < 4 * tile_work || (reads_pixels(product) && even_load(chunks * m_tiles));
    const Index n_step = together ? product.n : 4 * tile_cols<T>, n_tiles = ceil_div(product.n, n_step);
    Scratch<T> parts(chunks == 1 ? 0 : chunks * size);
    const auto body = [&](Index tile) {
        const Index part = tile / (m_tiles * n_tiles);
        Product<T> own = product;
        own.c = chunks == 1 ? dweight : parts.data() + part * size;
        if (chunks == 1) own.epilogue.mode = mode;
        BlockRange range{.m = tile / n_tiles % m_tiles * m_block, .n = tile % n_tiles * n_step, .k = part * chunk};
        range.rows = std::min(m_block, product.m - range.m);
        range.cols = std::min(n_step, product.n - range.n);
        range.depth = std::clamp<Index>(pixels - range.k, 0, chunk);
        multiply_block(own, range, Panels<T>{});
    };
    const Index tiles = chunks * m_tiles * n_tiles;
    if (size * pixels < serial_work)
        for (Index tile = 0; tile < tiles; ++tile) body(tile);
    else
        parallel_for(tiles, body);
    if (chunks > 1) sum_parts(parts.data(), chunks, size, dweight, mode);
}

}  // namespace genmod::kernels::detail
