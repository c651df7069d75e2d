// Definitions of kernels/copy.hpp.
#pragma once

#include <algorithm>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/copy.hpp"

namespace genmod::kernels {

namespace detail {

inline constexpr Index copy_grain = 32768;

template <class T>
inline void copy_row(Index n, const T* from, Index step, T* to, Accumulate mode) {
    if (mode == Accumulate::add) {
        for (Index k = 0; k < n; ++k) to[k] += from[k * step];
    } else if (step == 1) {
        std::copy_n(from, n, to);
    } else {
        for (Index k = 0; k < n; ++k) to[k] = from[k * step];
    }
}

// Rows [rows, n] whose numbers lie `step` apart and whose first numbers lie row_step apart, in squares that stay in the
// cache when both directions jump.
template <class T>
void copy_plane(Index rows, Index row_step, Index n, Index step, const T* from, T* to, Accumulate mode) {
    const Index side = step == 1 || rows == 1 ? n : Index{16};
    for (Index col = 0; col < n; col += side)
        for (Index row = 0; row < rows; ++row)
            copy_row(std::min(side, n - col), from + row * row_step + col * step, step, to + row * n + col, mode);
}

template <class T>
void gather_from(const Layout& layout, Index axis, const T* from, T* to, Accumulate mode) {
    if (axis == layout.rank - 1) return copy_row(layout.extents[axis], from, layout.steps[axis], to, mode);
    if (axis == layout.rank - 2)
        return copy_plane(layout.extents[axis], layout.steps[axis], layout.extents[axis + 1], layout.steps[axis + 1],
                          from, to, mode);
    Index size = 1;
    for (Index k = axis + 1; k < layout.rank; ++k) size *= layout.extents[k];
    for (Index k = 0; k < layout.extents[axis]; ++k)
        gather_from(layout, axis + 1, from + k * layout.steps[axis], to + k * size, mode);
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
        for (Index row = first; row < last; ++row)
            detail::copy_row(count, from + row * from_step + col, Index{1}, to + row * to_step + col, mode);
    });
}

template <class T>
void gather_axes(const Layout& layout, const T* from, T* to, Accumulate mode) {
    Layout all = detail::merged(layout);
    Index size = 1;
    for (Index axis = 0; axis < all.rank; ++axis) size *= all.extents[axis];
    if (size == 0) return;
    // Tiles are ranges of the first axis.
    const Index slice = size / all.extents[0];
    parallel_ranges(all.extents[0], std::max(Index{1}, detail::copy_grain / slice), [&](Index first, Index last) {
        Layout part = all;
        part.extents[0] = last - first;
        detail::gather_from(part, Index{0}, from + first * all.steps[0], to + first * slice, mode);
    });
}

}  // namespace genmod::kernels
