// Products with packed weights.
#pragma once

#include <algorithm>
#include <concepts>
#include <memory>
#include <type_traits>

#include "genmod/core/error.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/conv2d_patches.hpp"
#include "genmod/kernels/impl/gemm.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/packed.hpp"

namespace genmod::kernels {

namespace detail {

template <class T>
Panels<T> panels_of(const PackedWeights<T>& weight) {
    const bool tiles = weight.precision == Precision::bf16_tiles;
    return {weight.full.get(), tiles ? nullptr : weight.half.get(), tiles ? weight.half.get() : nullptr};
}

// The numbers of k in a panel, zeros behind the last one included.
inline Index panel_depth(Index k, Precision precision) {
    switch (precision) {
        case Precision::full: return k;
        case Precision::bf16: return in_pairs(k);
        case Precision::bf16_tiles: return in_tiles(k);
    }
    return k;
}

// Calls f(position, row, k) for every number of the panels; rows from n on are padding.
template <class T, class F>
void for_packed(const PackedWeights<T>& weight, F f) {
    constexpr Index step = tile_cols<T>;
    const bool half = weight.precision != Precision::full;
    const Index depth = panel_depth(weight.k, weight.precision);
    parallel_ranges(ceil_div(weight.n, step), 4, [&](Index first, Index last) {
        for (Index panel = first; panel < last; ++panel)
            for (Index k = 0; k < depth; ++k)
                for (Index j = 0; j < step; ++j) {
                    const Index inside = half ? k / 2 * 2 * step + 2 * j + k % 2 : k * step + j;
                    f(panel * step * depth + inside, panel * step + j, k);
                }
    });
}

// Throws Error unless a product with these weights reads and writes such numbers.
template <class In, class Out, class T>
void check_rounded(const char* what, const PackedWeights<T>& weight, const Epilogue<T>& epilogue) {
    constexpr bool reads = std::same_as<In, bf16>, writes = std::same_as<Out, bf16>;
    static_assert((reads || std::same_as<In, T>)&&(writes || std::same_as<Out, T>));
    if constexpr (reads || writes)
        check(weight.precision == Precision::bf16_tiles, what, ": numbers in bf16 need weights in bf16_tiles");
    if constexpr (writes) check(epilogue.mode == Accumulate::write, what, ": nothing is added to numbers in bf16");
}

}  // namespace detail

template <class T>
PackedWeights<T> pack_weights(const T* weight, Index n, Index k, Precision precision,
                              const std::shared_ptr<TransformBudget>& budget) {
    constexpr Index step = detail::tile_cols<T>;
    PackedWeights<T> packed{.n = n, .k = k, .precision = precision};
    if (budget != nullptr) packed.transform = std::make_shared<detail::KeptTransform<T>>(budget);
    const Index columns = detail::ceil_div(n, step) * step;
    if (precision == Precision::full) {
        packed.full = pooled<T>(columns * k);
        packed.bytes = columns * k * static_cast<Index>(sizeof(T));
        detail::pack_b(detail::strided(weight, k, Index{1}, k), n, k, packed.full.get());
        return packed;
    }
    check(std::same_as<T, float>, "pack_weights: bf16 is for weights in float");
    const Index numbers = columns * detail::panel_depth(k, precision);
    packed.half = pooled<bf16>(numbers);
    packed.bytes = numbers * static_cast<Index>(sizeof(bf16));
    detail::for_packed(packed, [&](Index at, Index row, Index column) {
        const bool inside = row < n && column < k;
        packed.half[at] = inside ? detail::round_one(static_cast<float>(weight[row * k + column])) : bf16{};
    });
    return packed;
}

template <class T>
void unpack_weights(const PackedWeights<T>& packed, T* weight) {
    detail::for_packed(packed, [&](Index at, Index row, Index column) {
        if (row >= packed.n || column >= packed.k) return;
        weight[row * packed.k + column] =
            packed.full != nullptr ? packed.full[at] : static_cast<T>(to_float(packed.half[at]));
    });
}

template <class T, class In, class Out>
void gemm_packed(const Matrix<In>& a, const PackedWeights<T>& weight, Out* c, Index c_step,
                 const std::type_identity_t<Epilogue<T>>& epilogue) {
    detail::check_rounded<In, Out>("gemm_packed", weight, epilogue);
    const Matrix<T> shape{nullptr, weight.k, weight.n, 0, 0};
    detail::multiply_matrices(detail::matrix_product(a, shape, c, c_step, epilogue), detail::panels_of(weight));
}

template <class T, class In, class Out>
void conv2d_packed(const ConvShape& shape, const In* x, const PackedWeights<T>& weight, Out* y,
                   const std::type_identity_t<Epilogue<T>>& epilogue) {
    detail::check_rounded<In, Out>("conv2d_packed", weight, epilogue);
    const detail::Patches patches = detail::forward_patches(shape);
    detail::multiply_patches(shape.n, x, patches, {.panels = detail::panels_of(weight), .kept = weight.transform.get()},
                             shape.out, y, detail::even_rows(shape.out), epilogue);
}

}  // namespace genmod::kernels
