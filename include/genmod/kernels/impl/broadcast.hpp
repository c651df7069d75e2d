// Shapes under broadcasting. Needs no instruction set, so it is inline in every build.
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::kernels {

inline Shape broadcast_shape(const Shape& a, const Shape& b, const char* what) {
    const Index rank = a.rank() > b.rank() ? a.rank() : b.rank();
    Index extents[Shape::max_rank];
    for (Index axis = 1; axis <= rank; ++axis) {
        const Index of_a = axis <= a.rank() ? a.dim(-axis) : 1;
        const Index of_b = axis <= b.rank() ? b.dim(-axis) : 1;
        check(of_a == of_b || of_a == 1 || of_b == 1, what, ": shapes ", a, " and ", b, " do not fit");
        extents[rank - axis] = of_a == 1 ? of_b : of_a;
    }
    return Shape(extents, rank);
}

inline Broadcast broadcast(const Shape& a, const Shape& b, const Shape& y) {
    // From the last axis on; an axis joins the one before when both operands go on without a jump.
    Broadcast reversed;
    Index a_step = 1, b_step = 1;
    for (Index axis = 1; axis <= y.rank(); ++axis) {
        const Index extent = y.dim(-axis);
        if (extent == 1) continue;
        const Index of_a = axis <= a.rank() ? a.dim(-axis) : 1;
        const Index of_b = axis <= b.rank() ? b.dim(-axis) : 1;
        const Index a_here = of_a == 1 ? 0 : a_step, b_here = of_b == 1 ? 0 : b_step;
        const Index last = reversed.rank - 1;
        if (last >= 0 && a_here == reversed.a_steps[last] * reversed.extents[last] &&
            b_here == reversed.b_steps[last] * reversed.extents[last]) {
            reversed.extents[last] *= extent;
        } else {
            reversed.extents[reversed.rank] = extent;
            reversed.a_steps[reversed.rank] = a_here;
            reversed.b_steps[reversed.rank++] = b_here;
        }
        a_step *= of_a;
        b_step *= of_b;
    }
    if (reversed.rank == 0) reversed.extents[reversed.rank++] = 1;  // single numbers
    Broadcast pattern;
    pattern.rank = reversed.rank;
    for (Index k = 0; k < pattern.rank; ++k) {
        pattern.extents[k] = reversed.extents[pattern.rank - 1 - k];
        pattern.a_steps[k] = reversed.a_steps[pattern.rank - 1 - k];
        pattern.b_steps[k] = reversed.b_steps[pattern.rank - 1 - k];
    }
    return pattern;
}

}  // namespace genmod::kernels
