// Modules against golden files that hold their weights and the gradients of each.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "tests/support/golden.hpp"

namespace genmod::test {

// The largest magnitude in all tensors of a file whose names begin with `prefix`.
inline double largest(const Golden& golden, const std::string& prefix) {
    double result = 0;
    for (const std::string& name : golden.file().names())
        if (name.starts_with(prefix)) result = std::max(result, peak(golden.raw<double>(name))[0]);
    return result;
}

// Compares the gradients of <dy, y> with d<input> and grads/<key>, all below `prefix`, each within tolerance * its
// largest magnitude. Those that should be next to nothing (a key's bias changes no softmax) may be 1 % of the largest
// of all.
template <class T, class Module>
void check_gradients(const Golden& golden, const std::string& prefix, const Module& module, const Var<T>& y,
                     const std::vector<std::string>& names, const std::vector<Var<T>>& inputs, double tolerance) {
    std::vector<std::string> keys;
    std::vector<Var<T>> wanted = inputs;
    for (const std::string& name : names) keys.push_back(prefix + "d" + name);
    nn::for_each_leaf(module, [&](const std::string& key, const auto& leaf) {
        if constexpr (requires { leaf.requires_grad(); }) {
            keys.push_back(prefix + "grads/" + key);
            wanted.push_back(leaf);
        }
    });
    const double least = 0.01 * largest(golden, prefix + "grads/");
    const auto grads = grad(y, wanted, golden.read<T>(prefix + "dy"));
    for (std::size_t k = 0; k < keys.size(); ++k) {
        const auto expected = golden.read<double>(keys[k]);
        require_close(keys[k], grads[k], expected, peak(expected, least), tolerance);
    }
}

// Loads <name>/weights strictly into `module` and compares function(inputs) and all gradients with the file.
template <class T, class Module, class Function>
void check_module(const Golden& golden, const std::string& name, Module& module, const std::vector<std::string>& names,
                  Function&& function) {
    INFO(name);
    const std::string prefix = name + "/";
    nn::load(module, golden.file(), {.prefix = prefix + "weights/"});
    std::vector<Var<T>> inputs;
    for (const std::string& input : names) inputs.push_back(Var<T>::parameter(golden.read<T>(prefix + input)));
    const Var<T> y = function(inputs);
    golden.require_close(prefix + "y", y.value(), layer_tolerance<T>);
    check_gradients(golden, prefix, module, y, names, inputs, layer_tolerance<T>);
}

}  // namespace genmod::test
