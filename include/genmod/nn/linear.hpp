// The fully connected layer.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/kept_weight.hpp"
#include "genmod/ops/linear.hpp"

namespace genmod::nn {

struct LinearOptions {
    bool bias = true;
};

// x [..., in] -> x * weight^T + bias [..., out].
template <class T>
struct Linear : Module {
    Var<T> weight;  // [out, in]
    Var<T> bias;    // [out], or empty

    Linear(Index in, Index out, Rng& rng, LinearOptions options = {})
        : weight(fan_in_parameter<T>({out, in}, in, rng)) {
        if (options.bias) bias = fan_in_parameter<T>({out}, in, rng);
    }

    Var<T> operator()(const Var<T>& x) const { return ops::linear(x, weight, bias); }
    Dual<T> operator()(const Dual<T>& x) const { return ops::linear(x, weight, bias); }

    // f of it (kernels::Unary), in one pass where no gradient is recorded.
    // `reader`: of the layer whose product alone reads the result (ops/rounded.hpp).
    Var<T> operator()(const Var<T>& x, kernels::Unary f, Precision reader = Precision::full) const {
        return ops::linear(x, weight, bias, f, reader);
    }
    Dual<T> operator()(const Dual<T>& x, kernels::Unary f) const { return ops::linear(x, weight, bias, f); }

    // In which it multiplies.
    Precision precision() const { return ops::multiplies_in(weight); }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight, Layout::linear);
        f("bias", self.bias);
    }
};

}  // namespace genmod::nn
