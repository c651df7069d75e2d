// A value and its rate of change along one direction.
#pragma once

#include <utility>

#include "genmod/autograd/var.hpp"

namespace genmod {

// Carries J v through the ops: where the value is f(x), the tangent is the derivative of f at x along x's tangent. Both
// are ordinary Vars, so that gradients of gradients are reverse mode over this forward mode.
template <class T>
struct Dual {
    Var<T> value;
    Var<T> tangent;

    Dual(Var<T> v, Var<T> t) : value(std::move(v)), tangent(std::move(t)) {
        check(value.shape() == tangent.shape(), "Dual: tangent ", tangent.shape(), " for a value ", value.shape());
    }

    const Shape& shape() const { return value.shape(); }
    Index rank() const { return value.rank(); }
    Index size() const { return value.size(); }
    Index dim(Index axis) const { return value.dim(axis); }
};

}  // namespace genmod
