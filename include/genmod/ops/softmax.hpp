// Softmax over the last axis.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/softmax.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::ops {

// e^x / sum e^x over the last axis; x [..., columns]. Throws Error for a scalar and for empty rows.
template <class T>
Var<T> softmax(const Var<T>& x) {
    check(x.rank() >= 1 && x.dim(-1) > 0, "softmax: expected rows, found shape ", x.shape());
    const Index columns = x.dim(-1), rows = x.size() / columns;
    Tensor<T> y(x.shape());
    kernels::softmax(rows, columns, x.data(), y.data());
    Var<T> result(y);
    if (recording(x))
        result.attach({x}, [y, rows, columns](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::softmax_backward(rows, columns, y.data(), dy.data(), dx.data, dx.mode);
        });
    return result;
}

template <class T>
Dual<T> softmax(const Dual<T>& x) {
    const Var<T> y = softmax(x.value);
    return {y, y * (x.tangent - sum(y * x.tangent, {-1}, true))};
}

// x - log(sum e^x) over the last axis; x [..., columns]. Throws Error for a scalar and for empty rows.
template <class T>
Var<T> log_softmax(const Var<T>& x) {
    check(x.rank() >= 1 && x.dim(-1) > 0, "log_softmax: expected rows, found shape ", x.shape());
    const Index columns = x.dim(-1), rows = x.size() / columns;
    Tensor<T> y(x.shape());
    kernels::log_softmax(rows, columns, x.data(), y.data());
    Var<T> result(y);
    if (recording(x))
        result.attach({x}, [y, rows, columns](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0]) kernels::log_softmax_backward(rows, columns, y.data(), dy.data(), dx.data, dx.mode);
        });
    return result;
}
template <class T>
Dual<T> log_softmax(const Dual<T>& x) {
    return {log_softmax(x.value), x.tangent - sum(softmax(x.value) * x.tangent, {-1}, true)};
}

}  // namespace genmod::ops
