// A weight as backward functions keep it.
#pragma once

#include <memory>

#include "genmod/autograd/var.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/packed.hpp"

namespace genmod::ops {

// The numbers of a Var; those of a frozen weight are unpacked anew.
template <class T>
Tensor<T> numbers(const Var<T>& weight) {
    if (weight.packed() == nullptr) return weight.value();
    Tensor<T> result(weight.shape());
    kernels::unpack_weights(*weight.packed(), result.data());
    return result;
}

// In which precision the layer of a weight multiplies.
template <class T>
Precision multiplies_in(const Var<T>& weight) {
    return weight.packed() == nullptr ? Precision::full : weight.packed()->precision;
}

namespace detail {

// Keeps a frozen weight packed until its numbers are asked for.
template <class T>
class KeptWeight {
public:
    explicit KeptWeight(const Var<T>& weight) : weight_(weight.packed() == nullptr ? weight.detach() : weight) {}
    Tensor<T> numbers() const { return ops::numbers(weight_); }

private:
    Var<T> weight_;  // a constant
};

}  // namespace detail

}  // namespace genmod::ops
