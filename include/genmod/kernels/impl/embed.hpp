// Definitions of kernels/embed.hpp.
#pragma once

#include <algorithm>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/embed.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels {

template <class T>
void embed(Index count, Index width, const Index* indices, const T* table, T* y) {
    parallel_ranges(count, std::max(Index{1}, 32768 / std::max(Index{1}, width)), [=](Index first, Index last) {
        for (Index i = first; i < last; ++i) std::copy_n(table + indices[i] * width, width, y + i * width);
    });
}

// Tiles are ranges of columns, so that equal indices meet in one tile, in order.
template <class T>
void embed_backward(Index count, Index width, Index entries, const Index* indices, const T* dy, T* dtable,
                    Accumulate mode) {
    parallel_ranges(width, Index{256}, [=](Index first, Index last) {
        if (mode == Accumulate::write)
            for (Index entry = 0; entry < entries; ++entry)
                std::fill(dtable + entry * width + first, dtable + entry * width + last, T(0));
        for (Index i = 0; i < count; ++i) {
            const T* from = dy + i * width;
            T* to = dtable + indices[i] * width;
            Index k = first;
            for (; k + simd::lanes<T> <= last; k += simd::lanes<T>)
                simd::store(to + k, simd::load(to + k) + simd::load(from + k));
            for (; k < last; ++k) to[k] += from[k];
        }
    });
}

}  // namespace genmod::kernels
