// Arithmetic of Vars and Duals, with NumPy's broadcasting, and its operators.
#pragma once

#include <cstddef>
#include <utility>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/ops/elementary.hpp"

namespace genmod::ops {

namespace detail {

template <class T>
Tensor<T> binary(kernels::Binary f, const Tensor<T>& a, const Tensor<T>& b, const char* name) {
    Tensor<T> y(kernels::broadcast_shape(a.shape(), b.shape(), name));
    kernels::binary(f, kernels::broadcast(a.shape(), b.shape(), y.shape()), a.data(), b.data(), y.data());
    return y;
}

// Adds scale * grad, summed over the axes along which `shape` was repeated, to a sink.
template <class T>
void give_broadcast(Sinks<T>& sinks, std::size_t input, const Tensor<T>& grad, const Shape& shape, T scale = 1) {
    if (!sinks.wanted(input)) return;
    const bool same = grad.size() == shape.size();
    if (same && scale == T(1)) return sinks.give(input, grad);
    const auto sink = sinks[input];
    if (same)
        kernels::unary_backward(kernels::Unary::scale, grad.data(), grad.data(), sink.data, grad.size(), sink.mode,
                                scale);
    else
        kernels::sum_to(grad.shape(), shape, grad.data(), sink.data, sink.mode, scale);
}

}  // namespace detail

// a + b. Throws Error, like the other three, when the shapes do not broadcast.
template <class T>
Var<T> add(const Var<T>& a, const Var<T>& b) {
    Var<T> result(detail::binary(kernels::Binary::add, a.value(), b.value(), "add"));
    if (recording(a, b))
        result.attach({a, b}, [as = a.shape(), bs = b.shape()](const Tensor<T>& dy, Sinks<T>& sinks) {
            detail::give_broadcast(sinks, 0, dy, as);
            detail::give_broadcast(sinks, 1, dy, bs);
        });
    return result;
}

// a - b
template <class T>
Var<T> sub(const Var<T>& a, const Var<T>& b) {
    Var<T> result(detail::binary(kernels::Binary::sub, a.value(), b.value(), "sub"));
    if (recording(a, b))
        result.attach({a, b}, [as = a.shape(), bs = b.shape()](const Tensor<T>& dy, Sinks<T>& sinks) {
            detail::give_broadcast(sinks, 0, dy, as);
            detail::give_broadcast(sinks, 1, dy, bs, T(-1));
        });
    return result;
}

// a b, number by number
template <class T>
Var<T> mul(const Var<T>& a, const Var<T>& b) {
    Var<T> result(detail::binary(kernels::Binary::mul, a.value(), b.value(), "mul"));
    if (recording(a, b))
        result.attach({a, b}, [av = a.value(), bv = b.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            using kernels::Binary;
            if (sinks.wanted(0))
                detail::give_broadcast(sinks, 0, detail::binary(Binary::mul, dy, bv, "mul"), av.shape());
            if (sinks.wanted(1))
                detail::give_broadcast(sinks, 1, detail::binary(Binary::mul, dy, av, "mul"), bv.shape());
        });
    return result;
}

// a / b, number by number
template <class T>
Var<T> div(const Var<T>& a, const Var<T>& b) {
    Tensor<T> y = detail::binary(kernels::Binary::div, a.value(), b.value(), "div");
    Var<T> result(y);
    if (recording(a, b))
        result.attach({a, b}, [y, as = a.shape(), bv = b.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            using kernels::Binary;
            if (!sinks.wanted(0) && !sinks.wanted(1)) return;
            const Tensor<T> da = detail::binary(Binary::div, dy, bv, "div");
            detail::give_broadcast(sinks, 0, da, as);
            if (sinks.wanted(1))
                detail::give_broadcast(sinks, 1, detail::binary(Binary::mul, da, y, "div"), bv.shape(), T(-1));
        });
    return result;
}

// factor * x
template <class T>
Var<T> scale(const Var<T>& x, double factor) {
    return detail::unary(kernels::Unary::scale, x, static_cast<T>(factor));
}
template <class T>
Dual<T> scale(const Dual<T>& x, double factor) {
    return {scale(x.value, factor), scale(x.tangent, factor)};
}

// x + addend
template <class T>
Var<T> add_scalar(const Var<T>& x, double addend) {
    return detail::unary(kernels::Unary::shift, x, static_cast<T>(addend));
}
template <class T>
Dual<T> add_scalar(const Dual<T>& x, double addend) {
    return {add_scalar(x.value, addend), x.tangent};
}

// -x
template <class T>
Var<T> negate(const Var<T>& x) {
    return scale(x, -1);
}
template <class T>
Dual<T> negate(const Dual<T>& x) {
    return scale(x, -1);
}

namespace detail {

// The tangent of one operand for a result of `shape`, repeated where the operand is.
template <class T>
Var<T> spread(const Var<T>& tangent, const Shape& shape) {
    return tangent.shape() == shape ? tangent : add(tangent, Var<T>(Tensor<T>::zeros(shape)));
}

}  // namespace detail

// The rules of differentiation: (a + b)' = a' + b', (a b)' = a' b + a b', (a / b)' = (a' - (a / b) b') / b. A Var is
// constant along the direction of a Dual.
template <class T>
Dual<T> add(const Dual<T>& a, const Dual<T>& b) {
    return {add(a.value, b.value), add(a.tangent, b.tangent)};
}
template <class T>
Dual<T> add(const Dual<T>& a, const Var<T>& b) {
    const Var<T> y = add(a.value, b);
    return {y, detail::spread(a.tangent, y.shape())};
}
template <class T>
Dual<T> add(const Var<T>& a, const Dual<T>& b) {
    return add(b, a);
}
template <class T>
Dual<T> sub(const Dual<T>& a, const Dual<T>& b) {
    return {sub(a.value, b.value), sub(a.tangent, b.tangent)};
}
template <class T>
Dual<T> sub(const Dual<T>& a, const Var<T>& b) {
    const Var<T> y = sub(a.value, b);
    return {y, detail::spread(a.tangent, y.shape())};
}
template <class T>
Dual<T> sub(const Var<T>& a, const Dual<T>& b) {
    return add(negate(b), a);
}
template <class T>
Dual<T> mul(const Dual<T>& a, const Dual<T>& b) {
    return {mul(a.value, b.value), add(mul(a.tangent, b.value), mul(a.value, b.tangent))};
}
template <class T>
Dual<T> mul(const Dual<T>& a, const Var<T>& b) {
    return {mul(a.value, b), mul(a.tangent, b)};
}
template <class T>
Dual<T> mul(const Var<T>& a, const Dual<T>& b) {
    return mul(b, a);
}
template <class T>
Dual<T> div(const Dual<T>& a, const Dual<T>& b) {
    const Var<T> y = div(a.value, b.value);
    return {y, div(sub(a.tangent, mul(y, b.tangent)), b.value)};
}
template <class T>
Dual<T> div(const Dual<T>& a, const Var<T>& b) {
    return {div(a.value, b), div(a.tangent, b)};
}
template <class T>
Dual<T> div(const Var<T>& a, const Dual<T>& b) {
    return mul(reciprocal(b), a);
}

}  // namespace genmod::ops

namespace genmod {

// What the operators take.
template <class X>
inline constexpr bool differentiable = false;
template <class T>
inline constexpr bool differentiable<Var<T>> = true;
template <class T>
inline constexpr bool differentiable<Dual<T>> = true;

template <class A, class B>
    requires(differentiable<A>&& differentiable<B>)
auto operator+(const A& a, const B& b) { return ops::add(a, b); }
template <class A, class B>
    requires(differentiable<A>&& differentiable<B>)
auto operator-(const A& a, const B& b) { return ops::sub(a, b); }
template <class A, class B>
    requires(differentiable<A>&& differentiable<B>)
auto operator*(const A& a, const B& b) { return ops::mul(a, b); }
template <class A, class B>
    requires(differentiable<A>&& differentiable<B>)
auto operator/(const A& a, const B& b) { return ops::div(a, b); }
template <class X>
    requires(differentiable<X>)
X operator-(const X& x) { return ops::negate(x); }
template <class X>
    requires(differentiable<X>)
X operator+(const X& x, double number) { return ops::add_scalar(x, number); }
template <class X>
    requires(differentiable<X>)
X operator+(double number, const X& x) { return ops::add_scalar(x, number); }
template <class X>
    requires(differentiable<X>)
X operator-(const X& x, double number) { return ops::add_scalar(x, -number); }
template <class X>
    requires(differentiable<X>)
X operator-(double number, const X& x) { return ops::add_scalar(ops::negate(x), number); }
template <class X>
    requires(differentiable<X>)
X operator*(const X& x, double number) { return ops::scale(x, number); }
template <class X>
    requires(differentiable<X>)
X operator*(double number, const X& x) { return ops::scale(x, number); }
template <class X>
    requires(differentiable<X>)
X operator/(const X& x, double number) { return ops::scale(x, 1 / number); }
template <class X>
    requires(differentiable<X>)
X operator/(double number, const X& x) { return ops::scale(ops::reciprocal(x), number); }

}  // namespace genmod
