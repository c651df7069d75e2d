// Gradient checkpointing (Chen et al. 2016): forget the inside of a block and compute it again on the way back.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"

namespace genmod {

// function(inputs) -> Var, without keeping what lies between. `weights` are the parameters that the function uses
// besides its inputs. Dropout draws the same masks again, and statistics are collected once.
template <class T, class Function>
Var<T> checkpoint(Function function, const std::vector<Var<T>>& inputs, const std::vector<Var<T>>& weights) {
    const std::uint32_t place = training() != nullptr ? training()->place() : 0;
    Var<T> y = [&] {
        const NoGrad off;
        return function(inputs).detach();
    }();
    std::vector<Var<T>> sources = inputs;
    sources.insert(sources.end(), weights.begin(), weights.end());
    if (!recording(sources)) return y;
    std::vector<Tensor<T>> values;
    for (const Var<T>& input : inputs) values.push_back(input.value());
    y.attach(sources, [function, values, weights, place](const Tensor<T>& dy, Sinks<T>& sinks) {
        const WithGrad on;
        std::vector<Var<T>> leaves;
        for (const Tensor<T>& value : values) leaves.push_back(Var<T>::parameter(value));
        const std::uint32_t here = training() != nullptr ? training()->place() : 0;
        if (training() != nullptr) training()->set_place(place);
        const Var<T> again = function(leaves);
        if (training() != nullptr) training()->set_place(here);
        leaves.insert(leaves.end(), weights.begin(), weights.end());
        const auto grads = grad(again, leaves, dy);
        for (std::size_t k = 0; k < grads.size(); ++k) sinks.give(k, grads[k]);
    });
    return y;
}

}  // namespace genmod
