// Ops that move numbers or give them another shape. Axes may be negative: they count from the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/copy.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"

namespace genmod::ops {

namespace detail {

template <class T>
Var<T> reshaped(const Var<T>& x, Tensor<T> y) {
    Var<T> result(std::move(y));
    if (recording(x)) result.attach({x}, [](const Tensor<T>& dy, Sinks<T>& sinks) { sinks.give(0, dy); });
    return result;
}

// Both parts of a dual through the same linear function.
template <class T, class Function>
Dual<T> linear_dual(const Dual<T>& x, const Function& function) {
    return {function(x.value), function(x.tangent)};
}

// Numbers rounded to bf16 stay so.
template <class T, class To>
Var<T> reshape_to(const Var<T>& x, const To& shape) {
    if (x.half() != nullptr) return Var<T>::rounded(Tensor<bf16>(x.shape(), x.half()).reshape(shape));
    return reshaped(x, x.value().reshape(shape));
}

}  // namespace detail

// The same numbers under another shape; one extent may be -1. Throws Error when the sizes differ.
template <class T>
Var<T> reshape(const Var<T>& x, std::initializer_list<Index> extents) {
    return detail::reshape_to(x, extents);
}
template <class T>
Var<T> reshape(const Var<T>& x, const Shape& shape) {
    return detail::reshape_to(x, shape);
}
template <class T>
Dual<T> reshape(const Dual<T>& x, std::initializer_list<Index> extents) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return reshape(part, extents); });
}
template <class T>
Dual<T> reshape(const Dual<T>& x, const Shape& shape) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return reshape(part, shape); });
}

// x [n, ...] -> [n, product of the rest]
template <class T>
Var<T> flatten(const Var<T>& x) {
    return reshape(x, Shape{x.dim(0), x.shape().product(1, x.rank())});
}
template <class T>
Dual<T> flatten(const Dual<T>& x) {
    return detail::linear_dual(x, [](const Var<T>& part) { return flatten(part); });
}

// Axis k of the result is axis axes[k] of x. Throws Error unless `axes` names each axis once.
template <class T>
Var<T> permute(const Var<T>& x, const std::vector<Index>& axes) {
    const Index rank = x.rank();
    check(static_cast<Index>(axes.size()) == rank, "permute: ", axes.size(), " axes for shape ", x.shape());
    kernels::Layout forward{.rank = rank}, back{.rank = rank};
    Index extents[Shape::max_rank], dense = 1;
    bool seen[Shape::max_rank] = {};
    for (Index k = rank - 1; k >= 0; --k) {
        const Index axis = x.shape().resolve(axes[static_cast<std::size_t>(k)]);
        check(!seen[axis], "permute: axis ", axis, " is named twice");
        seen[axis] = true;
        extents[k] = forward.extents[k] = back.extents[axis] = x.dim(axis);
        forward.steps[k] = x.shape().product(axis + 1, rank);
        back.steps[axis] = dense;
        dense *= x.dim(axis);
    }
    Tensor<T> y(Shape(extents, rank));
    kernels::gather_axes(forward, x.data(), y.data());
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [back](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::gather_axes(back, dy.data(), dx.data, dx.mode);
        });
    return result;
}
template <class T>
Dual<T> permute(const Dual<T>& x, const std::vector<Index>& axes) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return permute(part, axes); });
}

// Entries first..last-1 of one axis. Throws Error when they do not exist.
template <class T>
Var<T> slice(const Var<T>& x, Index axis, Index first, Index last) {
    const Index at = x.shape().resolve(axis), extent = x.dim(at);
    check(first >= 0 && first <= last && last <= extent, "slice: ", first, "..", last, " of axis ", at, " of ",
          x.shape());
    const Index rows = x.shape().product(0, at), inner = x.shape().product(at + 1, x.rank());
    const Index width = (last - first) * inner, step = extent * inner, offset = first * inner;
    Tensor<T> y(x.shape().with(at, last - first));
    kernels::copy_rows(rows, width, x.data() + offset, step, y.data(), width);
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [=](const Tensor<T>& dy, Sinks<T>& sinks) {
            const auto dx = sinks[0];
            if (!dx) return;
            if (dx.mode == Accumulate::write) std::fill_n(dx.data, rows * step, T(0));
            kernels::copy_rows(rows, width, dy.data(), width, dx.data + offset, step, dx.mode);
        });
    return result;
}
template <class T>
Dual<T> slice(const Dual<T>& x, Index axis, Index first, Index last) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return slice(part, axis, first, last); });
}

// Pieces of `sizes` entries along one axis. Throws Error unless the sizes add up to its extent.
template <class T>
std::vector<Var<T>> split(const Var<T>& x, const std::vector<Index>& sizes, Index axis) {
    std::vector<Var<T>> pieces;
    Index first = 0;
    for (const Index size : sizes) {
        pieces.push_back(slice(x, axis, first, first + size));
        first += size;
    }
    check(first == x.dim(axis), "split: sizes add up to ", first, ", but axis ", axis, " of ", x.shape(), " has ",
          x.dim(axis));
    return pieces;
}

// `count` equal pieces along one axis. Throws Error when they would not be equal.
template <class T>
std::vector<Var<T>> chunk(const Var<T>& x, Index count, Index axis) {
    check(count >= 1 && x.dim(axis) % count == 0, "chunk: axis ", axis, " of ", x.shape(), " does not fall into ",
          count, " equal pieces");
    return split(x, std::vector<Index>(static_cast<std::size_t>(count), x.dim(axis) / count), axis);
}

// The parts one after the other along one axis. Throws Error when other extents differ.
template <class T>
Var<T> concat(const std::vector<Var<T>>& parts, Index axis) {
    check(!parts.empty(), "concat: nothing to join");
    const Shape& like = parts[0].shape();
    const Index at = like.resolve(axis);
    Index total = 0;
    std::vector<Index> widths;
    const Index rows = like.product(0, at), inner = like.product(at + 1, like.rank());
    for (const Var<T>& part : parts) {
        check(part.rank() == like.rank() && part.shape().with(at, 0) == like.with(at, 0), "concat: ", part.shape(),
              " does not fit ", like, " along axis ", at);
        total += part.dim(at);
        widths.push_back(part.dim(at) * inner);
    }
    Tensor<T> y(like.with(at, total));
    const Index step = total * inner;
    T* to = y.data();
    for (std::size_t k = 0; k < parts.size(); to += widths[k++])
        kernels::copy_rows(rows, widths[k], parts[k].data(), widths[k], to, step);
    Var<T> result(std::move(y));
    if (recording(parts))
        result.attach(parts, [rows, step, widths](const Tensor<T>& dy, Sinks<T>& sinks) {
            const T* from = dy.data();
            for (std::size_t k = 0; k < widths.size(); from += widths[k++])
                if (auto dx = sinks[k]) kernels::copy_rows(rows, widths[k], from, step, dx.data, widths[k], dx.mode);
        });
    return result;
}
template <class T>
Var<T> concat(std::initializer_list<Var<T>> parts, Index axis) {
    return concat(std::vector<Var<T>>(parts), axis);
}
template <class T>
Dual<T> concat(const std::vector<Dual<T>>& parts, Index axis) {
    std::vector<Var<T>> values, tangents;
    for (const Dual<T>& part : parts) {
        values.push_back(part.value);
        tangents.push_back(part.tangent);
    }
    return {concat(values, axis), concat(tangents, axis)};
}
template <class T>
Dual<T> concat(std::initializer_list<Dual<T>> parts, Index axis) {
    return concat(std::vector<Dual<T>>(parts), axis);
}

// `before` zeros in front of an axis and `after` behind it.
template <class T>
Var<T> pad(const Var<T>& x, Index axis, Index before, Index after) {
    const Index at = x.shape().resolve(axis);
    check(before >= 0 && after >= 0, "pad: ", before, " and ", after, " zeros");
    const Index rows = x.shape().product(0, at), inner = x.shape().product(at + 1, x.rank());
    const Index width = x.dim(at) * inner, step = width + (before + after) * inner, offset = before * inner;
    Tensor<T> y = Tensor<T>::zeros(x.shape().with(at, x.dim(at) + before + after));
    kernels::copy_rows(rows, width, x.data(), width, y.data() + offset, step);
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [=](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::copy_rows(rows, width, dy.data() + offset, step, dx.data, width, dx.mode);
        });
    return result;
}
template <class T>
Dual<T> pad(const Dual<T>& x, Index axis, Index before, Index after) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return pad(part, axis, before, after); });
}

// x repeated along the axes where it has extent 1, or none, as NumPy does. Throws Error when it does not fit.
template <class T>
Var<T> broadcast_to(const Var<T>& x, const Shape& shape) {
    check(kernels::broadcast_shape(x.shape(), shape, "broadcast_to") == shape, "broadcast_to: ", x.shape(),
          " cannot become ", shape);
    const kernels::Broadcast pattern = kernels::broadcast(x.shape(), shape, shape);
    kernels::Layout layout{.rank = pattern.rank};
    std::copy_n(pattern.extents, pattern.rank, layout.extents);
    std::copy_n(pattern.a_steps, pattern.rank, layout.steps);
    Tensor<T> y(shape);
    kernels::gather_axes(layout, x.data(), y.data());
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [from = x.shape(), shape](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::sum_to(shape, from, dy.data(), dx.data, dx.mode);
        });
    return result;
}
template <class T>
Dual<T> broadcast_to(const Dual<T>& x, const Shape& shape) {
    return detail::linear_dual(x, [&](const Var<T>& part) { return broadcast_to(part, shape); });
}

}  // namespace genmod::ops
