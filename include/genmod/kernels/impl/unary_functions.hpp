// The functions of kernels::Unary with their first and second derivatives, on batches.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/impl/sigmoid_gated.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"
#include "genmod/kernels/impl/vector_math.hpp"

namespace genmod::kernels::functions {

// a for x > 0, b elsewhere.
template <class T>
inline Batch<T> positive(const Batch<T>& x, const Batch<T>& a, const Batch<T>& b) {
    return xsimd::select(x > constant<T>(0), a, b);
}

template <class T>
struct LeakyRelu {  // NaN stays NaN
    Batch<T> slope;
    auto value(const Batch<T>& x) const { return xsimd::select(x <= constant<T>(0), slope * x, x); }
    auto derivative(const Batch<T>& x) const { return positive(x, constant<T>(1), slope); }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Relu {
    auto value(const Batch<T>& x) const { return xsimd::select(x <= constant<T>(0), constant<T>(0), x); }
    auto derivative(const Batch<T>& x) const { return positive(x, constant<T>(1), constant<T>(0)); }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Gelu {
    static auto distribution(const Batch<T>& x) {
        return simd::fma(constant<T>(0.5), simd::erf(x * constant<T>(0.70710678118654752)), constant<T>(0.5));
    }
    static auto density(const Batch<T>& x) {
        return constant<T>(0.39894228040143268) * simd::exp(constant<T>(-0.5) * x * x);
    }
    auto value(const Batch<T>& x) const { return x * distribution(x); }
    auto derivative(const Batch<T>& x) const { return simd::fma(x, density(x), distribution(x)); }
    auto second(const Batch<T>& x) const { return density(x) * simd::fma(-x, x, constant<T>(2)); }
};

template <class T>
struct Tanh {
    auto value(const Batch<T>& x) const { return simd::tanh(x); }
    auto derivative(const Batch<T>& x) const {
        const Batch<T> y = simd::tanh(x);
        return simd::fma(-y, y, constant<T>(1));
    }
    auto second(const Batch<T>& x) const {
        const Batch<T> y = simd::tanh(x);
        return constant<T>(-2) * y * simd::fma(-y, y, constant<T>(1));
    }
};

template <class T>
struct Sigmoid {
    auto value(const Batch<T>& x) const { return simd::sigmoid(x); }
    auto derivative(const Batch<T>& x) const {
        const Batch<T> s = simd::sigmoid(x);
        return s * (constant<T>(1) - s);
    }
    auto second(const Batch<T>& x) const {
        const Batch<T> s = simd::sigmoid(x);
        return s * (constant<T>(1) - s) * (constant<T>(1) - (s + s));
    }
};

template <class T>
struct Softplus {
    auto value(const Batch<T>& x) const { return simd::softplus(x); }
    auto derivative(const Batch<T>& x) const { return simd::sigmoid(x); }
    auto second(const Batch<T>& x) const { return Sigmoid<T>{}.derivative(x); }
};

template <class T>
struct Exp {
    auto value(const Batch<T>& x) const { return simd::exp(x); }
    auto derivative(const Batch<T>& x) const { return simd::exp(x); }
    auto second(const Batch<T>& x) const { return simd::exp(x); }
};

template <class T>
struct Log {
    auto value(const Batch<T>& x) const { return simd::log(x); }
    auto derivative(const Batch<T>& x) const { return simd::divide<T>(constant<T>(1), x); }
    auto second(const Batch<T>& x) const { return simd::divide<T>(constant<T>(-1), x * x); }
};

template <class T>
struct Sqrt {
    auto value(const Batch<T>& x) const { return simd::sqrt(x); }
    auto derivative(const Batch<T>& x) const { return simd::divide<T>(constant<T>(0.5), simd::sqrt(x)); }
    auto second(const Batch<T>& x) const { return simd::divide<T>(constant<T>(-0.25), x * simd::sqrt(x)); }
};

template <class T>
struct Square {
    auto value(const Batch<T>& x) const { return x * x; }
    auto derivative(const Batch<T>& x) const { return x + x; }
    auto second(const Batch<T>&) const { return constant<T>(2); }
};

template <class T>
struct Reciprocal {
    auto value(const Batch<T>& x) const { return simd::divide<T>(constant<T>(1), x); }
    auto derivative(const Batch<T>& x) const { return simd::divide<T>(constant<T>(-1), x * x); }
    auto second(const Batch<T>& x) const { return simd::divide<T>(constant<T>(2), x * x * x); }
};

template <class T>
struct Sin {
    auto value(const Batch<T>& x) const { return simd::sin(x); }
    auto derivative(const Batch<T>& x) const { return simd::cos(x); }
    auto second(const Batch<T>& x) const { return -simd::sin(x); }
};

template <class T>
struct Cos {
    auto value(const Batch<T>& x) const { return simd::cos(x); }
    auto derivative(const Batch<T>& x) const { return -simd::sin(x); }
    auto second(const Batch<T>& x) const { return -simd::cos(x); }
};

template <class T>
struct Absolute {
    auto value(const Batch<T>& x) const { return xsimd::abs(x); }
    auto derivative(const Batch<T>& x) const {
        const Batch<T> below = xsimd::select(x < constant<T>(0), constant<T>(-1), constant<T>(0));
        return positive(x, constant<T>(1), below);
    }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Clamp {
    Batch<T> low, high;
    auto value(const Batch<T>& x) const {
        const Batch<T> above = xsimd::select(x < low, low, x);
        return xsimd::select(above > high, high, above);
    }
    auto derivative(const Batch<T>& x) const {
        return xsimd::select((x < low) || (x > high), constant<T>(0), constant<T>(1));
    }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Scale {
    Batch<T> factor;
    auto value(const Batch<T>& x) const { return factor * x; }
    auto derivative(const Batch<T>&) const { return factor; }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Shift {
    Batch<T> addend;
    auto value(const Batch<T>& x) const { return x + addend; }
    auto derivative(const Batch<T>&) const { return constant<T>(1); }
    auto second(const Batch<T>&) const { return constant<T>(0); }
};

template <class T>
struct Elu {  // NaN stays NaN
    auto value(const Batch<T>& x) const { return xsimd::select(x <= constant<T>(0), simd::expm1(x), x); }
    auto derivative(const Batch<T>& x) const { return positive(x, constant<T>(1), simd::exp(x)); }
    auto second(const Batch<T>& x) const { return positive(x, constant<T>(0), simd::exp(x)); }
};

// Calls body with the function that `f` names.
template <class T, class Body>
void with_function(Unary f, T a, T b, Body&& body) {
    switch (f) {
        case Unary::relu: return body(Relu<T>{});
        case Unary::leaky_relu: return body(LeakyRelu<T>{Batch<T>(a)});
        case Unary::silu: return body(Silu<T>{});
        case Unary::gelu: return body(Gelu<T>{});
        case Unary::gelu_tanh: return body(SigmoidGated<T, GeluTanhGate<T>>{});
        case Unary::quick_gelu: return body(SigmoidGated<T, QuickGeluGate<T>>{});
        case Unary::tanh: return body(Tanh<T>{});
        case Unary::sigmoid: return body(Sigmoid<T>{});
        case Unary::softplus: return body(Softplus<T>{});
        case Unary::exp: return body(Exp<T>{});
        case Unary::log: return body(Log<T>{});
        case Unary::sqrt: return body(Sqrt<T>{});
        case Unary::square: return body(Square<T>{});
        case Unary::reciprocal: return body(Reciprocal<T>{});
        case Unary::sin: return body(Sin<T>{});
        case Unary::cos: return body(Cos<T>{});
        case Unary::absolute: return body(Absolute<T>{});
        case Unary::clamp: return body(Clamp<T>{Batch<T>(a), Batch<T>(b)});
        case Unary::scale: return body(Scale<T>{Batch<T>(a)});
        case Unary::shift: return body(Shift<T>{Batch<T>(a)});
        case Unary::elu: return body(Elu<T>{});
    }
}

}  // namespace genmod::kernels::functions
