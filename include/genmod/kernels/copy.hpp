// Moving numbers: rows with gaps, and axes in another order.
#pragma once

#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"

namespace genmod::kernels {

// to[r * to_step + k] = (or +=) from[r * from_step + k] for r < rows, k < width.
template <class T>
void copy_rows(Index rows, Index width, const T* from, Index from_step, T* to, Index to_step,
               Accumulate mode = Accumulate::write);

// Where numbers are read while a result is written in its memory order: axis k of the result takes extents[k] numbers
// that lie steps[k] apart (0: repeated).
struct Layout {
    Index rank = 0;
    Index extents[Shape::max_rank] = {};
    Index steps[Shape::max_rank] = {};
};

// to = (or +=) the numbers of `from` in the order of the layout.
template <class T>
void gather_axes(const Layout& layout, const T* from, T* to, Accumulate mode = Accumulate::write);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/copy.hpp"
#endif
