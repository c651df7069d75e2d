// Products whose sums go over samples, such as the gradients of weights: the samples are cut into chunks.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// The number of chunks for c of `size` numbers: by shape alone. A large c has tiles enough without.
inline Index sample_chunks(Index samples, Index size) {
    const Index by_size = std::max<Index>(1, (Index{1} << 18) / std::max<Index>(size, 1));
    return std::clamp<Index>(std::min(by_size, samples / 256), 1, 16);
}

// to = [to +] the sum of `count` parts, in their order.
template <class T>
void sum_parts(const T* parts, Index count, Index size, T* to, Accumulate mode) {
    parallel_ranges(size, 1 << 14, [&](Index first, Index last) {
        Index i = first;
        for (; i + simd::lanes<T> <= last; i += simd::lanes<T>) {
            simd::Batch<T> sum = simd::load(parts + i);
            for (Index part = 1; part < count; ++part) sum = sum + simd::load(parts + part * size + i);
            store_or_add(to + i, sum, mode);
        }
        for (; i < last; ++i) {
            T sum = parts[i];
            for (Index part = 1; part < count; ++part) sum += parts[part * size + i];
            to[i] = mode == Accumulate::add ? to[i] + sum : sum;
        }
    });
}

// Columns n.. and samples k.. of a product of plain matrices, with sums of their own at c.
template <class T>
Product<T> part_of(const Product<T>& product, const BlockRange& range, T* c) {
    Product<T> part = product;
    part.a.data += range.k * part.a.k_step;
    part.b.data += range.n * part.b.i_step + range.k * part.b.k_step;
    part.n = range.cols;
    part.k = range.depth;
    part.c = c;
    return part;
}

// c [m, n] = [c +] a * b for plain matrices, whose k counts samples. Each chunk of them is summed by itself: a thread
// reads the samples that it has made, where it would take long to fetch what another core has just written (two
// threads, 512 samples of 128 and 128 numbers: 97 us by columns of c, 63 by chunks; in their own caches 60).
template <class T>
void multiply_over_samples(Product<T> product, Accumulate mode) {
    const Index size = product.m * product.n, samples = product.k, chunks = sample_chunks(samples, size);
    if (chunks == 1) {
        product.epilogue.mode = mode;
        return multiply(product);
    }
    const bool serial = size * samples < serial_work && samples * std::max(product.m, product.n) <= elementwise_grain;
    const Cut depth{.size = samples, .parts = chunks};
    const Cut columns{.size = product.n,
                      .unit = tile_cols<T>,
                      .parts = std::clamp<Index>(thread_count() / chunks, 1, ceil_div(product.n, tile_cols<T>))};
    Scratch<T> parts(chunks * size);
    const auto body = [&](Index tile) {
        const Index chunk = tile / columns.parts, part = tile % columns.parts;
        const BlockRange range{.n = columns.begin(part),
                               .cols = columns.length(part),
                               .k = depth.begin(chunk),
                               .depth = depth.length(chunk)};
        multiply(part_of(product, range, parts.data() + chunk * size + range.n));
    };
    if (serial)
        for (Index tile = 0; tile < chunks * columns.parts; ++tile) body(tile);
    else
        parallel_for(chunks * columns.parts, body);
    sum_parts(parts.data(), chunks, size, product.c, mode);
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void gemm_over_samples(const Matrix<T>& a, const Matrix<T>& b, T* c, Accumulate mode) {
    detail::multiply_over_samples(detail::matrix_product(a, b, c, b.cols, {}), mode);
}

}  // namespace genmod::kernels
