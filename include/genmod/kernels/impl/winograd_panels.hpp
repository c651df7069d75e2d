// The weights of Winograd's algorithm: panels of 3x3 weights, and their transforms.
#pragma once

#include <algorithm>
#include <concepts>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_kept.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// The weights of a convolution: an operand over patches and columns, or packed panels.
template <class T>
struct ConvWeights {
    Operand<T> operand = {};
    Panels<T> panels = {};
    KeptTransform<T>* kept = nullptr;  // where transforms may stay
};

// The panel [9 * in][tile_cols] of 3x3 weights whose first column is `column`; `room` holds it where it has to be made.
template <class T>
const T* winograd_panel(const ConvWeights<T>& weights, Index column, Index columns, Index in, T* room) {
    constexpr Index step = tile_cols<T>;
    const Index k = 9 * in;
    if (weights.panels.full != nullptr) return weights.panels.full + column * k;
    if constexpr (std::same_as<T, float>)
        if (weights.panels.half != nullptr) {
            const bf16* const from = weights.panels.half + column * in_pairs(k);
            for (Index pair = 0; pair < in_pairs(k) / 2; ++pair)
                widen_pairs(from + pair * 2 * step, step, room + 2 * pair * step, room + (2 * pair + 1) * step);
            return room;
        }
    for (Index k0 = 0; k0 < k; k0 += k_block)
        pack_panel(weights.operand, column, std::min(step, columns - column), step, k0, std::min(k_block, k - k0),
                   room + k0 * step);
    return room;
}

// The numbers that winograd_panel() may write.
template <class T>
Index winograd_room(const ConvWeights<T>& weights, Index in) {
    return weights.panels.full != nullptr ? 0 : in_pairs(9 * in) * tile_cols<T> + pack_slack<T>;
}

// Transformed weights of a panel's channels first..last-1: to[point][channel - first][tile_cols], `plane` numbers from
// point to point.
template <class T>
void winograd_transform_weights(const T* panel, Index in, Index first, Index last, T* to, Index plane) {
    using Batch = simd::Batch<T>;
    constexpr Index side = winograd_in, step = tile_cols<T>;
    for (Index c = first; c < last; ++c)
        for (Index column = 0; column < step; column += simd::lanes<T>) {
            Batch half[side * 3];
#pragma GCC unroll 8
            for (Index v = 0; v < 3; ++v) {
                Batch w[3], t[side];
#pragma GCC unroll 8
                for (Index u = 0; u < 3; ++u) w[u] = simd::load(panel + ((u * 3 + v) * in + c) * step + column);
                winograd_weight<T>(w, t);
#pragma GCC unroll 8
                for (Index u = 0; u < side; ++u) half[u * 3 + v] = t[u];
            }
#pragma GCC unroll 8
            for (Index u = 0; u < side; ++u) {
                Batch t[side];
                winograd_weight<T>(half + u * 3, t);
#pragma GCC unroll 8
                for (Index v = 0; v < side; ++v)
                    simd::store(to + (u * side + v) * plane + (c - first) * step + column, t[v]);
            }
        }
}

}  // namespace genmod::kernels::detail
