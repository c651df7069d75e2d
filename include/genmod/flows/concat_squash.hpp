// The vector fields of FFJORD (Grathwohl et al. 2019): fully connected, with the time let in at every layer.
#pragma once

#include <cstddef>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"

namespace genmod::flows {

// (x W + b) sigmoid(t W_gate + b_gate) + t W_bias: x [n, in], a Var or a Dual, and t [1, 1] -> [n, out]. Names are
// those of FFJORD's program.
template <class T>
struct ConcatSquashLinear : nn::Module {
    nn::Linear<T> layer;
    nn::Linear<T> hyper_bias;  // without a bias
    nn::Linear<T> hyper_gate;

    ConcatSquashLinear(Index in, Index out, Rng& rng)
        : layer(in, out, rng), hyper_bias(1, out, rng, {.bias = false}), hyper_gate(1, out, rng) {}

    template <class Value>
    Value operator()(const Var<T>& t, const Value& x) const {
        const Var<T> gate = ops::sigmoid(hyper_gate(t));
        const Var<T> shift = hyper_bias(t);
        return ops::add(ops::mul(layer(x), gate), shift);
    }

    static void visit(auto& self, auto&& f) {
        f("_layer", self.layer);
        f("_hyper_bias", self.hyper_bias);
        f("_hyper_gate", self.hyper_gate);
    }
};

struct ConcatSquashOptions {
    std::vector<Index> hidden = {64, 64, 64};  // widths of the layers between
    nn::Activation activation = nn::Activation::tanh;
};

// Such layers with activations between them: a field of points [n, dims] at time t [1, 1].
template <class T>
struct ConcatSquashMlp : nn::Module {
    std::vector<ConcatSquashLinear<T>> layers;
    nn::Activation activation;

    ConcatSquashMlp(Index dims, Rng& rng, const ConcatSquashOptions& options = {}) : activation(options.activation) {
        Index in = dims;
        for (const Index width : options.hidden) {
            layers.emplace_back(in, width, rng);
            in = width;
        }
        layers.emplace_back(in, dims, rng);
    }

    template <class Value>
    Value operator()(const Var<T>& t, const Value& x) const {
        Value h = layers.front()(t, x);
        for (std::size_t k = 1; k < layers.size(); ++k) h = layers[k](t, nn::activate(activation, h));
        return h;
    }

    static void visit(auto& self, auto&& f) { f("layers", self.layers); }
};

}  // namespace genmod::flows
