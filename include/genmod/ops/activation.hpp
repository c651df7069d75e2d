// Activation functions of a Var or a Dual of any shape.
#pragma once

#include <utility>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/ops/unary.hpp"

namespace genmod::ops {

// max(x, 0); derivative 0 at 0
template <class T>
Var<T> relu(const Var<T>& x) {
    return detail::unary(kernels::Unary::relu, x);
}
template <class T>
Dual<T> relu(const Dual<T>& x) {
    return detail::unary(kernels::Unary::relu, x);
}

// x for x > 0, slope * x elsewhere
template <class T>
Var<T> leaky_relu(const Var<T>& x, double slope = 0.01) {
    return detail::unary(kernels::Unary::leaky_relu, x, static_cast<T>(slope));
}
template <class T>
Dual<T> leaky_relu(const Dual<T>& x, double slope = 0.01) {
    return detail::unary(kernels::Unary::leaky_relu, x, static_cast<T>(slope));
}

// x for x > 0, e^x - 1 elsewhere; derivative 1 at 0 from both sides
template <class T>
Var<T> elu(const Var<T>& x) {
    return detail::unary(kernels::Unary::elu, x);
}
template <class T>
Dual<T> elu(const Dual<T>& x) {
    return detail::unary(kernels::Unary::elu, x);
}

// x sigmoid(x)
template <class T>
Var<T> silu(const Var<T>& x) {
    return detail::unary(kernels::Unary::silu, x);
}
template <class T>
Dual<T> silu(const Dual<T>& x) {
    return detail::unary(kernels::Unary::silu, x);
}

// x Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel 2016).
template <class T>
Var<T> gelu(const Var<T>& x) {
    return detail::unary(kernels::Unary::gelu, x);
}
template <class T>
Dual<T> gelu(const Dual<T>& x) {
    return detail::unary(kernels::Unary::gelu, x);
}

// The approximation of gelu() by tanh: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
template <class T>
Var<T> gelu_tanh(const Var<T>& x) {
    return detail::unary(kernels::Unary::gelu_tanh, x);
}
template <class T>
Dual<T> gelu_tanh(const Dual<T>& x) {
    return detail::unary(kernels::Unary::gelu_tanh, x);
}

// x sigmoid(1.702 x), as in CLIP
template <class T>
Var<T> quick_gelu(const Var<T>& x) {
    return detail::unary(kernels::Unary::quick_gelu, x);
}
template <class T>
Dual<T> quick_gelu(const Dual<T>& x) {
    return detail::unary(kernels::Unary::quick_gelu, x);
}

// Hyperbolic tangent.
template <class T>
Var<T> tanh(const Var<T>& x) {
    return detail::unary(kernels::Unary::tanh, x);
}
template <class T>
Dual<T> tanh(const Dual<T>& x) {
    return detail::unary(kernels::Unary::tanh, x);
}

// 1 / (1 + e^-x)
template <class T>
Var<T> sigmoid(const Var<T>& x) {
    return detail::unary(kernels::Unary::sigmoid, x);
}
template <class T>
Dual<T> sigmoid(const Dual<T>& x) {
    return detail::unary(kernels::Unary::sigmoid, x);
}

// log(1 + e^x)
template <class T>
Var<T> softplus(const Var<T>& x) {
    return detail::unary(kernels::Unary::softplus, x);
}
template <class T>
Dual<T> softplus(const Dual<T>& x) {
    return detail::unary(kernels::Unary::softplus, x);
}

namespace detail {

// x [..., 2 c] -> x[..., :c] * f(x[..., c:])
template <class T>
Var<T> gated(kernels::Unary f, const Var<T>& x, const char* name) {
    check(x.rank() >= 1 && x.dim(-1) % 2 == 0, name, ": the last extent of ", x.shape(), " is odd");
    const Index c = x.dim(-1) / 2, rows = x.shape().product(0, x.rank() - 1);
    Tensor<T> y(x.shape().with(-1, c));
    kernels::gated(f, x.data(), y.data(), rows, c);
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [f, rows, c, xv = x.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::gated_backward(f, xv.data(), dy.data(), dx.data, rows, c, dx.mode);
        });
    return result;
}

}  // namespace detail

// x [..., 2 c] -> x[..., :c] * sigmoid(x[..., c:]) (Dauphin et al. 2017). Throws Error when the last extent is odd.
template <class T>
Var<T> glu(const Var<T>& x) {
    return detail::gated(kernels::Unary::sigmoid, x, "glu");
}

// x [..., 2 c] -> x[..., :c] * gelu(x[..., c:]) (Shazeer 2020). Throws Error when the last extent is odd.
template <class T>
Var<T> geglu(const Var<T>& x) {
    return detail::gated(kernels::Unary::gelu, x, "geglu");
}

}  // namespace genmod::ops
