// Elementary functions of a Var or a Dual of any shape, number by number.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/ops/unary.hpp"

namespace genmod::ops {

// e^x
template <class T>
Var<T> exp(const Var<T>& x) {
    return detail::unary(kernels::Unary::exp, x);
}
template <class T>
Dual<T> exp(const Dual<T>& x) {
    return detail::unary(kernels::Unary::exp, x);
}

// Natural logarithm.
template <class T>
Var<T> log(const Var<T>& x) {
    return detail::unary(kernels::Unary::log, x);
}
template <class T>
Dual<T> log(const Dual<T>& x) {
    return detail::unary(kernels::Unary::log, x);
}

// Square root.
template <class T>
Var<T> sqrt(const Var<T>& x) {
    return detail::unary(kernels::Unary::sqrt, x);
}
template <class T>
Dual<T> sqrt(const Dual<T>& x) {
    return detail::unary(kernels::Unary::sqrt, x);
}

// x^2
template <class T>
Var<T> square(const Var<T>& x) {
    return detail::unary(kernels::Unary::square, x);
}
template <class T>
Dual<T> square(const Dual<T>& x) {
    return detail::unary(kernels::Unary::square, x);
}

// 1 / x
template <class T>
Var<T> reciprocal(const Var<T>& x) {
    return detail::unary(kernels::Unary::reciprocal, x);
}
template <class T>
Dual<T> reciprocal(const Dual<T>& x) {
    return detail::unary(kernels::Unary::reciprocal, x);
}

// Sine.
template <class T>
Var<T> sin(const Var<T>& x) {
    return detail::unary(kernels::Unary::sin, x);
}
template <class T>
Dual<T> sin(const Dual<T>& x) {
    return detail::unary(kernels::Unary::sin, x);
}

// Cosine.
template <class T>
Var<T> cos(const Var<T>& x) {
    return detail::unary(kernels::Unary::cos, x);
}
template <class T>
Dual<T> cos(const Dual<T>& x) {
    return detail::unary(kernels::Unary::cos, x);
}

// |x|; derivative 0 at 0
template <class T>
Var<T> abs(const Var<T>& x) {
    return detail::unary(kernels::Unary::absolute, x);
}
template <class T>
Dual<T> abs(const Dual<T>& x) {
    return detail::unary(kernels::Unary::absolute, x);
}

// x bounded to low..high; derivative 1 on the bounds. Throws Error unless low <= high.
template <class T>
Var<T> clamp(const Var<T>& x, double low, double high) {
    check(low <= high, "clamp: bounds ", low, " and ", high, " are out of order");
    return detail::unary(kernels::Unary::clamp, x, static_cast<T>(low), static_cast<T>(high));
}
template <class T>
Dual<T> clamp(const Dual<T>& x, double low, double high) {
    check(low <= high, "clamp: bounds ", low, " and ", high, " are out of order");
    return detail::unary(kernels::Unary::clamp, x, static_cast<T>(low), static_cast<T>(high));
}

}  // namespace genmod::ops
