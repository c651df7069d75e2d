// The functions of kernels::Unary with their first and second derivatives, on batches.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_math.hpp"

namespace genmod::kernels::functions {

template <class T>
using Batch = simd::Batch<T>;

template <class T>
inline Batch<T> constant(double value) {
    return Batch<T>(static_cast<T>(value));
}

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

// x s with s = sigmoid(g(x)): f' = s + x s (1 - s) g', f'' = s (1 - s) (2 g' + x (g'^2 (1 - 2 s) + g'')).
template <class T, class Gate>
struct SigmoidGated {
    [[gnu::always_inline]] auto value(const Batch<T>& x) const { return x * simd::sigmoid(Gate::value(x)); }
    auto derivative(const Batch<T>& x) const {
        const Batch<T> s = simd::sigmoid(Gate::value(x));
        return simd::fma(x * Gate::derivative(x), s * (constant<T>(1) - s), s);
    }
    auto second(const Batch<T>& x) const {
        const Batch<T> s = simd::sigmoid(Gate::value(x)), slope = Gate::derivative(x);
        const Batch<T> bend = simd::fma(slope * slope, constant<T>(1) - (s + s), Gate::second(x));
        return s * (constant<T>(1) - s) * simd::fma(x, bend, slope + slope);
    }
};

template <class T>
struct SiluGate {
    static auto value(const Batch<T>& x) { return x; }
    static auto derivative(const Batch<T>&) { return constant<T>(1); }
    static auto second(const Batch<T>&) { return constant<T>(0); }
};

template <class T>
struct QuickGeluGate {
    static auto value(const Batch<T>& x) { return constant<T>(1.702) * x; }
    static auto derivative(const Batch<T>&) { return constant<T>(1.702); }
    static auto second(const Batch<T>&) { return constant<T>(0); }
};

template <class T>
struct GeluTanhGate {  // k (x + 0.044715 x^3), k = 2 sqrt(2 / pi)
    static constexpr double k = 1.5957691216057308, cubic = k * 0.044715;
    static auto value(const Batch<T>& x) { return x * simd::fma(x * x, constant<T>(cubic), constant<T>(k)); }
    static auto derivative(const Batch<T>& x) { return simd::fma(x * x, constant<T>(3 * cubic), constant<T>(k)); }
    static auto second(const Batch<T>& x) { return constant<T>(6 * cubic) * x; }
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
        case Unary::silu: return body(SigmoidGated<T, SiluGate<T>>{});
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
