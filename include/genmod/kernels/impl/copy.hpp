// Definitions of kernels/copy.hpp.
#pragma once

#include <algorithm>

#include "genmod/core/parallel.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/copy.hpp"

namespace genmod::kernels {

namespace detail {

inline constexpr Index copy_grain = 32768;

template <class T>
inline void copy_row(Index n, const T* from, Index from_step, T* to, Index to_step, Accumulate mode) {
    if (mode == Accumulate::add) {
        for (Index k = 0; k < n; ++k) to[k * to_step] += from[k * from_step];
    } else if (from_step == 1 && to_step == 1 && n >= 16) {  // fewer are not worth memmove()
        std::copy_n(from, n, to);
    } else if (to_step == 1) {
        for (Index k = 0; k < n; ++k) to[k] = from[k * from_step];
    } else {
        for (Index k = 0; k < n; ++k) to[k * to_step] = from[k * from_step];
    }
}

// One loop of a gather: its length and how far it moves in the source and in the result.
struct GatherLoop {
    Index count = 1;
    Index from_step = 0;
    Index to_step = 0;
};

// The two innermost loops, in squares that stay in the cache when both directions jump.
template <class T>
void copy_plane(const GatherLoop& rows, const GatherLoop& cols, const T* from, T* to, Accumulate mode) {
    const bool jumps = cols.from_step != 1 && cols.to_step == 1 && rows.count > 1;
    const Index side = jumps ? Index{16} : std::max(Index{1}, cols.count);
    for (Index col = 0; col < cols.count; col += side)
        for (Index row = 0; row < rows.count; ++row)
            copy_row(std::min(side, cols.count - col), from + row * rows.from_step + col * cols.from_step,
                     cols.from_step, to + row * rows.to_step + col * cols.to_step, cols.to_step, mode);
}

template <class T>
void run_gather(const GatherLoop* loops, Index count, const T* from, T* to, Accumulate mode) {
    if (count == 1) return copy_row(loops->count, from, loops->from_step, to, loops->to_step, mode);
    if (count == 2) return copy_plane(loops[0], loops[1], from, to, mode);
    for (Index k = 0; k < loops->count; ++k)
        run_gather(loops + 1, count - 1, from + k * loops->from_step, to + k * loops->to_step, mode);
}

// Axes that follow one another without a jump become one, and axes of one entry go.
inline Layout merged(const Layout& layout) {
    Layout result;
    for (Index axis = 0; axis < layout.rank; ++axis) {
        const Index extent = layout.extents[axis], step = layout.steps[axis], last = result.rank - 1;
        if (extent == 1) continue;
        if (last >= 0 && result.steps[last] == step * extent) {
            result.extents[last] *= extent;
            result.steps[last] = step;
        } else {
            result.extents[result.rank] = extent;
            result.steps[result.rank++] = step;
        }
    }
    if (result.rank == 0) result = {.rank = 1, .extents = {1}, .steps = {1}};
    return result;
}

}  // namespace detail

template <class T>
void copy_rows(Index rows, Index width, const T* from, Index from_step, T* to, Index to_step, Accumulate mode) {
    if (rows * width == 0) return;
    const Index pieces = (width + detail::copy_grain - 1) / detail::copy_grain;  // of one row
    const Index rows_each = std::max(Index{1}, detail::copy_grain / width);
    const Index groups = (rows + rows_each - 1) / rows_each;
    parallel_for(groups * pieces, [=](Index tile) {
        const Index first = tile / pieces * rows_each, last = std::min(rows, first + rows_each);
        const Index col = tile % pieces * detail::copy_grain, count = std::min(width - col, detail::copy_grain);
        if (width < 8) {  // by columns, whose loops are longer
            for (Index k = 0; k < width; ++k)
                detail::copy_row(last - first, from + first * from_step + k, from_step, to + first * to_step + k,
                                 to_step, mode);
            return;
        }
        for (Index row = first; row < last; ++row)
            detail::copy_row(count, from + row * from_step + col, Index{1}, to + row * to_step + col, Index{1}, mode);
    });
}

template <class T>
void gather_axes(const Layout& layout, const T* from, T* to, Accumulate mode) {
    using namespace detail;
    const Layout all = merged(layout);
    Index size = 1;
    for (Index axis = 0; axis < all.rank; ++axis) size *= all.extents[axis];
    if (size == 0) return;
    GatherLoop loops[Shape::max_rank];
    Index step = size;
    for (Index axis = 0; axis < all.rank; ++axis) {
        step /= all.extents[axis];
        loops[axis] = {all.extents[axis], all.steps[axis], step};
    }
    // A short last axis makes a poor inner loop: then the axis along which the source is dense goes innermost.
    const Index last = all.rank - 1;
    if (all.extents[last] < 8 && all.steps[last] != 1)
        for (Index axis = 1; axis < last; ++axis)
            if (all.steps[axis] == 1) std::rotate(loops + axis, loops + axis + 1, loops + all.rank);
    // Tiles are ranges of the first axis.
    const GatherLoop outer = loops[0];
    const Index slice = size / outer.count;
    parallel_ranges(outer.count, std::max(Index{1}, copy_grain / slice), [&](Index first, Index end) {
        GatherLoop part[Shape::max_rank];
        std::copy_n(loops, all.rank, part);
        part[0].count = end - first;
        run_gather(part, all.rank, from + first * outer.from_step, to + first * outer.to_step, mode);
    });
}

}  // namespace genmod::kernels
