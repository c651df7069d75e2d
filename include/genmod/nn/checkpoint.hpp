// Gradient checkpointing of modules: less memory for one more forward pass.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/checkpoint.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::nn {

// module(inputs...) with the same value and gradients, but what lies between inputs and result is forgotten and
// computed again on the way back. The module must live until then.
template <class T, class Model, class... Inputs>
Var<T> checkpoint(const Model& module, const Var<T>& first, const Inputs&... others) {
    return genmod::checkpoint<T>(
        [&module](const std::vector<Var<T>>& in) {
            return [&]<std::size_t... k>(std::index_sequence<k...>) { return module(in[k]...); }
            (std::make_index_sequence<1 + sizeof...(Inputs)>{});
        },
        {first, others...}, parameters<T>(module));
}

}  // namespace genmod::nn
