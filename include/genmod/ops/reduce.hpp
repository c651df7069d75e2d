// Sums, means and maxima over all numbers or along axes. Axes may be negative: they count from the end.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/copy.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::ops {

namespace detail {

// The shape with the named axes reduced to extent 1, or removed.
inline Shape reduced_shape(const Shape& shape, const std::vector<Index>& axes, bool keep) {
    bool gone[Shape::max_rank] = {};
    for (const Index axis : axes) gone[shape.resolve(axis)] = true;
    Index extents[Shape::max_rank], rank = 0;
    for (Index axis = 0; axis < shape.rank(); ++axis) {
        if (!gone[axis])
            extents[rank++] = shape.dim(axis);
        else if (keep)
            extents[rank++] = 1;
    }
    return Shape(extents, rank);
}

// factor times the sum over the axes along which `kept` (same rank, or broadcastable to x) has extent 1; the result has
// the numbers of `kept` under the shape `shape`.
template <class T>
Var<T> scaled_sum(const Var<T>& x, const Shape& kept, const Shape& shape, T factor) {
    Tensor<T> y(shape);
    kernels::sum_to(x.shape(), kept, x.data(), y.data(), Accumulate::write, factor);
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [from = x.shape(), kept, factor](const Tensor<T>& dy, Sinks<T>& sinks) {
            const auto dx = sinks[0];
            if (!dx) return;
            Tensor<T> scaled(dy.shape());
            kernels::unary(kernels::Unary::scale, dy.data(), scaled.data(), dy.size(), factor);
            const kernels::Broadcast pattern = kernels::broadcast(kept, from, from);
            kernels::Layout layout{.rank = pattern.rank};
            std::copy_n(pattern.extents, pattern.rank, layout.extents);
            std::copy_n(pattern.a_steps, pattern.rank, layout.steps);
            kernels::gather_axes(layout, scaled.data(), dx.data, dx.mode);
        });
    return result;
}

template <class T>
Var<T> scaled_sum(const Var<T>& x, const std::vector<Index>& axes, bool keep, bool average) {
    const Shape kept = reduced_shape(x.shape(), axes, true);
    const T factor =
        average ? T(1) / static_cast<T>(std::max(Index{1}, x.size() / std::max(Index{1}, kept.size()))) : T(1);
    return scaled_sum(x, kept, reduced_shape(x.shape(), axes, keep), factor);
}

}  // namespace detail

// The sum of all numbers, of shape [].
template <class T>
Var<T> sum(const Var<T>& x) {
    return detail::scaled_sum(x, Shape{}, Shape{}, T(1));
}
template <class T>
Dual<T> sum(const Dual<T>& x) {
    return {sum(x.value), sum(x.tangent)};
}

// Sums along `axes`, which keep extent 1 if `keep` and go otherwise.
template <class T>
Var<T> sum(const Var<T>& x, const std::vector<Index>& axes, bool keep = false) {
    return detail::scaled_sum(x, axes, keep, false);
}
template <class T>
Dual<T> sum(const Dual<T>& x, const std::vector<Index>& axes, bool keep = false) {
    return {sum(x.value, axes, keep), sum(x.tangent, axes, keep)};
}

// The mean of all numbers, of shape [].
template <class T>
Var<T> mean(const Var<T>& x) {
    return detail::scaled_sum(x, Shape{}, Shape{}, T(1) / static_cast<T>(std::max(Index{1}, x.size())));
}
template <class T>
Dual<T> mean(const Dual<T>& x) {
    return {mean(x.value), mean(x.tangent)};
}

// Means along `axes`, which keep extent 1 if `keep` and go otherwise.
template <class T>
Var<T> mean(const Var<T>& x, const std::vector<Index>& axes, bool keep = false) {
    return detail::scaled_sum(x, axes, keep, true);
}
template <class T>
Dual<T> mean(const Dual<T>& x, const std::vector<Index>& axes, bool keep = false) {
    return {mean(x.value, axes, keep), mean(x.tangent, axes, keep)};
}

// Sums over the axes along which a tensor of `shape` would be broadcast to x. Throws Error when it would not.
template <class T>
Var<T> sum_to(const Var<T>& x, const Shape& shape) {
    check(kernels::broadcast_shape(x.shape(), shape, "sum_to") == x.shape() && shape.rank() <= x.rank(),
          "sum_to: ", x.shape(), " cannot become ", shape);
    return detail::scaled_sum(x, shape, shape, T(1));
}
template <class T>
Dual<T> sum_to(const Dual<T>& x, const Shape& shape) {
    return {sum_to(x.value, shape), sum_to(x.tangent, shape)};
}

// The largest numbers along one axis. Its gradient goes in equal parts to all numbers that are the largest.
template <class T>
Var<T> max(const Var<T>& x, Index axis, bool keep = false) {
    const Index at = x.shape().resolve(axis), outer = x.shape().product(0, at), reduced = x.dim(at);
    const Index inner = x.shape().product(at + 1, x.rank());
    check(reduced >= 1, "max: axis ", at, " of ", x.shape(), " is empty");
    Tensor<T> y(detail::reduced_shape(x.shape(), {at}, keep));
    kernels::reduce_max(outer, reduced, inner, x.data(), y.data());
    Var<T> result(y);
    if (recording(x))
        result.attach({x}, [=, xv = x.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0])
                kernels::reduce_max_backward(outer, reduced, inner, xv.data(), y.data(), dy.data(), dx.data, dx.mode);
        });
    return result;
}

// log(sum(e^x)) along one axis, without overflow.
template <class T>
Var<T> logsumexp(const Var<T>& x, Index axis, bool keep = false) {
    const Var<T> largest = max(x.detach(), axis, true);
    const Var<T> y = add(log(sum(exp(sub(x, largest)), {axis}, true)), largest);
    return keep ? y : reshape(y, detail::reduced_shape(x.shape(), {axis}, false));
}
template <class T>
Dual<T> logsumexp(const Dual<T>& x, Index axis, bool keep = false) {
    const Var<T> largest = max(x.value.detach(), axis, true);
    const Dual<T> y = add(log(sum(exp(sub(x, largest)), {axis}, true)), largest);
    return keep ? y : reshape(y, detail::reduced_shape(x.shape(), {axis}, false));
}

}  // namespace genmod::ops
