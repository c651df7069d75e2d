// What activation and elementary functions share: f(x), its gradient and its tangent.
#pragma once

#include <utility>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::ops {

namespace detail {

// f(x), number by number.
template <class T>
Var<T> unary(kernels::Unary f, const Var<T>& x, T a = 0, T b = 0) {
    Tensor<T> y(x.shape());
    kernels::unary(f, x.data(), y.data(), x.size(), a, b);
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [f, a, b, xv = x.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::unary_backward(f, xv.data(), dy.data(), dx.data, xv.size(), dx.mode, a, b);
        });
    return result;
}

// f'(x) t
template <class T>
Var<T> unary_tangent(kernels::Unary f, const Var<T>& x, const Var<T>& t, T a, T b) {
    Tensor<T> y(x.shape());
    kernels::unary_backward(f, x.data(), t.data(), y.data(), x.size(), Accumulate::write, a, b);
    Var<T> result(std::move(y));
    if (recording(x, t))
        result.attach({x, t}, [f, a, b, xv = x.value(), tv = t.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
            const Index n = xv.size();
            if (kernels::curved(f))
                if (auto dx = sinks[0])
                    kernels::unary_second(f, xv.data(), tv.data(), dy.data(), dx.data, n, dx.mode, a, b);
            if (auto dt = sinks[1]) kernels::unary_backward(f, xv.data(), dy.data(), dt.data, n, dt.mode, a, b);
        });
    return result;
}

template <class T>
Dual<T> unary(kernels::Unary f, const Dual<T>& x, T a = 0, T b = 0) {
    return {unary(f, x.value, a, b), unary_tangent(f, x.value, x.tangent, a, b)};
}

}  // namespace detail

}  // namespace genmod::ops
