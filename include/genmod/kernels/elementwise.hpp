// Functions applied number by number, and arithmetic of two tensors with broadcasting.
#pragma once

#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"

namespace genmod::kernels {

// f(x). Some have parameters a and b.
enum class Unary {
    relu,
    leaky_relu,  // x > 0 ? x : a x
    silu,        // x sigmoid(x)
    gelu,        // x Phi(x), by erf
    gelu_tanh,   // x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
    quick_gelu,  // x sigmoid(1.702 x)
    tanh,
    sigmoid,
    softplus,  // log(1 + e^x)
    exp,
    log,
    sqrt,
    square,
    reciprocal,
    sin,
    cos,
    absolute,  // derivative 0 at 0
    clamp,     // into [a, b]; derivative 1 on the borders
    scale,     // a x
    shift,     // x + a
    elu        // x > 0 ? x : e^x - 1
};

// Whether the second derivative is anything but zero.
constexpr bool curved(Unary f) {
    return f != Unary::relu && f != Unary::leaky_relu && f != Unary::absolute && f != Unary::clamp &&
           f != Unary::scale && f != Unary::shift;
}

// y = f(x) for n numbers; y may be x.
template <class T>
void unary(Unary f, const T* x, T* y, Index n, T a = 0, T b = 0);

// dx = f'(x) dy
template <class T>
void unary_backward(Unary f, const T* x, const T* dy, T* dx, Index n, Accumulate mode, T a = 0, T b = 0);

// dx = f''(x) t dy: the gradient of f'(x) t with respect to x.
template <class T>
void unary_second(Unary f, const T* x, const T* t, const T* dy, T* dx, Index n, Accumulate mode, T a = 0, T b = 0);

// y [rows, c] = x[:, :c] * f(x[:, c:]) for x [rows, 2 c]: a gated linear unit (Shazeer 2020).
template <class T>
void gated(Unary f, const T* x, T* y, Index rows, Index c);

// dx [rows, 2 c]
template <class T>
void gated_backward(Unary f, const T* x, const T* dy, T* dx, Index rows, Index c, Accumulate mode);

enum class Binary { add, sub, mul, div };

// How two operands are read side by side: extents of the result and the operands' steps (0 where repeated), outermost
// axis first, with axes merged where possible. The last axis has steps 0 or 1.
struct Broadcast {
    Index rank = 0;
    Index extents[Shape::max_rank] = {};
    Index a_steps[Shape::max_rank] = {};
    Index b_steps[Shape::max_rank] = {};
};

// NumPy's rules: shapes are aligned at the last axis, extents must be equal or 1. Throws Error with `what` in front.
Shape broadcast_shape(const Shape& a, const Shape& b, const char* what);

// The pattern for operands that broadcast to `y`.
Broadcast broadcast(const Shape& a, const Shape& b, const Shape& y);

// y = a f b
template <class T>
void binary(Binary f, const Broadcast& pattern, const T* a, const T* b, T* y);

// out = p x + q y for n numbers; out may be x or y.
template <class T>
void combine(T p, const T* x, T q, const T* y, T* out, Index n);

// y = x or y += x, for n numbers.
template <class T>
void accumulate(const T* x, T* y, Index n, Accumulate mode = Accumulate::add);

}  // namespace genmod::kernels

#include "genmod/kernels/impl/broadcast.hpp"
#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/elementwise.hpp"
#endif
