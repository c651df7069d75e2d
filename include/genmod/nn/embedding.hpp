// A table of vectors, one for each class or token.
#pragma once

#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/embed.hpp"

namespace genmod::nn {

// indices [...] -> [..., width]. Throws Error when an index is not in 0..entries-1. Begins with standard normals.
template <class T>
struct Embedding : Module {
    Var<T> weight;  // [entries, width]

    Embedding(Index entries, Index width, Rng& rng) : weight(normal_parameter<T>({entries, width}, 1, rng)) {}

    Var<T> operator()(const Tensor<Index>& indices) const { return ops::embed(indices, weight); }
    Var<T> operator()(const std::vector<Index>& indices) const { return ops::embed(indices, weight); }

    static void visit(auto& self, auto&& f) { f("weight", self.weight); }
};

}  // namespace genmod::nn
