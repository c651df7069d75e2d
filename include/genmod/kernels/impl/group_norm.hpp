// Normalisation: statistics of a tile of positions at a time, fused with what follows where a sample fits the cache.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/norm_columns.hpp"
#include "genmod/kernels/norm.hpp"

namespace genmod::kernels::detail {

// How samples are cut into chunks of positions: by the shape of one sample alone.
struct GroupPlan {
    static constexpr Index whole = 1 << 17;  // samples of up to so many numbers stay in one piece
    static constexpr Index piece = 1 << 16;  // about the size of the pieces of larger ones
    static constexpr Index least = 1 << 14;  // tiles of several small samples have about this size

    GroupShape shape;
    Columns columns;
    Index chunks = 1;
    Index chunk_size = 0;  // numbers

    explicit GroupPlan(const GroupShape& s) : shape(s), columns(s.channels), chunk_size(sample_size()) {
        if (sample_size() <= whole) return;
        const Index block = block_rows * columns.width;
        chunk_size = std::max(Index{1}, piece / block) * block;
        chunks = (sample_size() + chunk_size - 1) / chunk_size;
    }

    Index sample_size() const { return shape.positions * shape.channels; }
    Index depth() const { return shape.channels / shape.groups; }
    Index first(Index sample, Index chunk) const { return sample * sample_size() + chunk * chunk_size; }
    Index count(Index chunk) const { return std::min(chunk_size, sample_size() - chunk * chunk_size); }

    // Calls body(sample, chunk), in parallel.
    template <class Body>
    void each(Body body) const {
        const Index grain = std::max(Index{1}, least / std::max(Index{1}, sample_size()));
        parallel_ranges(shape.n * chunks, grain, [&](Index begin, Index end) {
            for (Index k = begin; k < end; ++k) body(k / chunks, k % chunks);
        });
    }
};

// Mean and sum of squared deviations of each group of a chunk, [groups] each.
template <class T>
void chunk_moments(const GroupPlan& plan, const T* x, Index chunk, double* mean, double* square) {
    const Scratch<T> columns(2 * plan.columns.width);
    T* squares = columns.data() + plan.columns.width;
    column_moments(plan.columns, x, plan.count(chunk), columns.data(), squares);
    group_moments(plan.columns, plan.count(chunk), plan.depth(), columns.data(), squares, mean, square);
}

// The moments of a sample's groups from those of its chunks, [chunks][2][groups].
template <class T>
void sample_moments(const GroupPlan& plan, const double* partial, Index sample, const Moments<T>& moments) {
    const Index groups = plan.shape.groups;
    for (Index g = 0; g < groups; ++g) {
        double mean = 0, square = 0, before = 0;
        for (Index chunk = 0; chunk < plan.chunks; ++chunk) {
            const double count = static_cast<double>(plan.count(chunk) / groups);
            const double* of = partial + chunk * 2 * groups + g;
            merge_moments(before, count, of[0], of[groups], mean, square);
            before += count;
        }
        moments.mean[sample * groups + g] = static_cast<T>(mean);
        moments.variance[sample * groups + g] = static_cast<T>(square / before);
    }
}

template <class T>
T reciprocal_deviation(T variance, T eps) {
    return static_cast<T>(1.0 / std::sqrt(static_cast<double>(variance) + static_cast<double>(eps)));
}

// center, factor and offset of one sample, in `memory` [3][width].
template <class T>
ColumnFactors<T> forward_factors(const GroupPlan& plan, const NormAffine<T>& affine, T eps, const Moments<T>& moments,
                                 Index sample, T* memory) {
    const Index channels = plan.shape.channels, groups = plan.shape.groups, width = plan.columns.width;
    ColumnFactors<T> at{.center = memory, .factor = memory + width, .offset = memory + 2 * width};
    for (Index g = 0, c = 0; g < groups; ++g) {
        const T mean = moments.mean[sample * groups + g];
        const T rstd = reciprocal_deviation(moments.variance[sample * groups + g], eps);
        for (Index i = 0; i < plan.depth(); ++i, ++c) {
            const T gain = affine.scale == nullptr ? T(1) : T(1) + affine.scale[sample * channels + c];
            const T shift = affine.shift == nullptr ? T(0) : affine.shift[sample * channels + c];
            const T factor = affine.weight == nullptr ? rstd : rstd * affine.weight[c];
            const T offset = simd::fma(-mean, factor, affine.bias == nullptr ? T(0) : affine.bias[c]);
            at.center[c] = mean;
            at.factor[c] = factor * gain;
            at.offset[c] = simd::fma(offset, gain, shift);
        }
    }
    for (Index k = channels; k < width; ++k) {
        at.center[k] = at.center[k - channels];
        at.factor[k] = at.factor[k - channels];
        at.offset[k] = at.offset[k - channels];
    }
    return at;
}

template <class T, class Out>
void apply_chunk(const GroupPlan& plan, const T* x, const NormAffine<T>& affine, T eps, const Moments<T>& moments,
                 Index sample, Index chunk, Out* y) {
    const Scratch<T> memory(3 * plan.columns.width);
    const auto at = forward_factors(plan, affine, eps, moments, sample, memory.data());
    const Index first = plan.first(sample, chunk), count = plan.count(chunk);
    if (affine.silu)
        apply_columns<T, true>(plan.columns, x + first, count, at, y + first);
    else
        apply_columns<T, false>(plan.columns, x + first, count, at, y + first);
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T, class Out>
void group_norm(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps, Out* y,
                const Moments<T>& moments) {
    const detail::GroupPlan plan(shape);
    const Index size = 2 * shape.groups;
    const Scratch<double> partial(shape.n * plan.chunks * size);
    plan.each([&](Index sample, Index chunk) {
        double* sums = partial.data() + (sample * plan.chunks + chunk) * size;
        detail::chunk_moments(plan, x + plan.first(sample, chunk), chunk, sums, sums + shape.groups);
        if (plan.chunks > 1) return;
        detail::sample_moments(plan, sums, sample, moments);
        detail::apply_chunk(plan, x, affine, eps, moments, sample, chunk, y);
    });
    if (plan.chunks == 1) return;
    for (Index sample = 0; sample < shape.n; ++sample)
        detail::sample_moments(plan, partial.data() + sample * plan.chunks * size, sample, moments);
    group_norm_apply(shape, x, affine, eps, moments, y);
}

template <class T, class Out>
void group_norm_apply(const GroupShape& shape, const T* x, const NormAffine<T>& affine, T eps,
                      const Moments<T>& moments, Out* y) {
    const detail::GroupPlan plan(shape);
    plan.each([&](Index sample, Index chunk) { detail::apply_chunk(plan, x, affine, eps, moments, sample, chunk, y); });
}

}  // namespace genmod::kernels
