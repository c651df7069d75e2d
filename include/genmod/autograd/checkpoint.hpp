// Gradient checkpointing (Chen et al. 2016): forget the inside of a block and compute it again on the way back.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod {

namespace detail {

// Numbers the places of the network from `place` on until the end of the scope.
class Replay {
public:
    explicit Replay(std::uint32_t place) : here_(training() != nullptr ? training()->place() : 0) {
        if (training() != nullptr) training()->set_place(place);
    }
    ~Replay() {
        if (training() != nullptr) training()->set_place(here_);
    }
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

private:
    std::uint32_t here_;
};

}  // namespace detail

// function(inputs) -> Var, without keeping what lies between. `weights` are the parameters that the function uses
// besides its inputs. Dropout draws the same masks again, and statistics are collected once. Walking back throws Error
// when it happens outside of the Training scope of the way forward.
template <class T, class Function>
Var<T> checkpoint(Function function, const std::vector<Var<T>>& inputs, const std::vector<Var<T>>& weights) {
    const Training* const step = training();
    const std::uint32_t place = step != nullptr ? step->place() : 0;
    Var<T> y = [&] {
        const NoGrad off;
        return function(inputs).detach();
    }();
    std::vector<Var<T>> sources = inputs;
    sources.insert(sources.end(), weights.begin(), weights.end());
    if (!recording(sources)) return y;
    std::vector<Tensor<T>> values;
    for (const Var<T>& input : inputs) values.push_back(input.value());
    y.attach(sources, [function, values, weights, step, place](const Tensor<T>& dy, Sinks<T>& sinks) {
        check(training() == step, "checkpoint: gradients are asked for outside of the Training scope of the value");
        const WithGrad on;
        std::vector<Var<T>> leaves;
        for (const Tensor<T>& value : values) leaves.push_back(Var<T>::parameter(value));
        const Var<T> again = [&] {
            const detail::Replay replay(place);
            return function(leaves);
        }();
        leaves.insert(leaves.end(), weights.begin(), weights.end());
        const auto grads = grad(again, leaves, dy);
        for (std::size_t k = 0; k < grads.size(); ++k) sinks.give(k, grads[k]);
    });
    return y;
}

}  // namespace genmod
