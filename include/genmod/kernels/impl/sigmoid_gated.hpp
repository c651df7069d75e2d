// SiLU and its relatives: x times the sigmoid of a function of x.
#pragma once

#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"

namespace genmod::kernels::functions {

template <class T>
using Batch = simd::Batch<T>;

template <class T>
inline Batch<T> constant(double value) {
    return Batch<T>(static_cast<T>(value));
}

// x s with s = sigmoid(g(x)): f' = s + x s (1 - s) g', f'' = s (1 - s) (2 g' + x (g'^2 (1 - 2 s) + g'')). V is a batch,
// or several.
template <class T, class Gate>
struct SigmoidGated {
    template <class V>
    [[gnu::always_inline]] V value(const V& x) const {
        return simd::sigmoid_times(x, Gate::value(x));
    }
    template <class V>
    [[gnu::always_inline]] V derivative(const V& x) const {
        const V one(T(1)), s = simd::sigmoid_times(one, Gate::value(x));
        return simd::fma(x * Gate::derivative(x), s * (one - s), s);
    }
    auto second(const Batch<T>& x) const {
        const Batch<T> s = simd::sigmoid(Gate::value(x)), slope = Gate::derivative(x);
        const Batch<T> bend = simd::fma(slope * slope, constant<T>(1) - (s + s), Gate::second(x));
        return s * (constant<T>(1) - s) * simd::fma(x, bend, slope + slope);
    }
};

template <class T>
struct SiluGate {
    template <class V>
    static V value(const V& x) {
        return x;
    }
    template <class V>
    static V derivative(const V&) {
        return V(T(1));
    }
    static auto second(const Batch<T>&) { return constant<T>(0); }
};

template <class T>
using Silu = SigmoidGated<T, SiluGate<T>>;

template <class T>
struct QuickGeluGate {
    template <class V>
    static V value(const V& x) {
        return V(T(1.702)) * x;
    }
    template <class V>
    static V derivative(const V&) {
        return V(T(1.702));
    }
    static auto second(const Batch<T>&) { return constant<T>(0); }
};

template <class T>
struct GeluTanhGate {  // k (x + 0.044715 x^3), k = 2 sqrt(2 / pi)
    static constexpr double k = 1.5957691216057308, cubic = k * 0.044715;
    template <class V>
    static V value(const V& x) {
        return x * simd::fma(x * x, V(static_cast<T>(cubic)), V(static_cast<T>(k)));
    }
    template <class V>
    static V derivative(const V& x) {
        return simd::fma(x * x, V(static_cast<T>(3 * cubic)), V(static_cast<T>(k)));
    }
    static auto second(const Batch<T>& x) { return constant<T>(6 * cubic) * x; }
};

}  // namespace genmod::kernels::functions
