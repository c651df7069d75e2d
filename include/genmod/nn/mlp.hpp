// Fully connected networks, and activation functions chosen by name.
#pragma once

#include <cstddef>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"

namespace genmod::nn {

enum class Activation { relu, leaky_relu, silu, gelu, gelu_tanh, quick_gelu, tanh, sigmoid, softplus };

// x is a Var or a Dual.
template <class Value>
Value activate(Activation activation, const Value& x) {
    switch (activation) {
        case Activation::relu: return ops::relu(x);
        case Activation::leaky_relu: return ops::leaky_relu(x);
        case Activation::silu: return ops::silu(x);
        case Activation::gelu: return ops::gelu(x);
        case Activation::gelu_tanh: return ops::gelu_tanh(x);
        case Activation::quick_gelu: return ops::quick_gelu(x);
        case Activation::tanh: return ops::tanh(x);
        case Activation::sigmoid: return ops::sigmoid(x);
        case Activation::softplus: return ops::softplus(x);
    }
    fail(ErrorCode::argument, "activate: there is no activation number ", static_cast<int>(activation));
}

// activate(activation, layer(x)), in one pass where no gradient is recorded.
template <class T, class Value>
Value activated(const Linear<T>& layer, Activation activation, const Value& x) {
    using kernels::Unary;
    switch (activation) {
        case Activation::relu: return layer(x, Unary::relu);
        case Activation::silu: return layer(x, Unary::silu);
        case Activation::gelu: return layer(x, Unary::gelu);
        case Activation::gelu_tanh: return layer(x, Unary::gelu_tanh);
        case Activation::quick_gelu: return layer(x, Unary::quick_gelu);
        case Activation::tanh: return layer(x, Unary::tanh);
        case Activation::sigmoid: return layer(x, Unary::sigmoid);
        default: return activate(activation, layer(x));
    }
}

struct MlpOptions {
    std::vector<Index> hidden = {128, 128};  // widths of the layers between
    Activation activation = Activation::silu;
};

// Linear layers with activations between them: x [..., in] -> [..., out].
template <class T>
struct Mlp : Module {
    std::vector<Linear<T>> layers;
    Activation activation;

    Mlp(Index in, Index out, Rng& rng, const MlpOptions& options = {}) : activation(options.activation) {
        for (const Index width : options.hidden) {
            layers.emplace_back(in, width, rng);
            in = width;
        }
        layers.emplace_back(in, out, rng);
    }

    Var<T> operator()(const Var<T>& x) const { return apply(x); }
    Dual<T> operator()(const Dual<T>& x) const { return apply(x); }

    static void visit(auto& self, auto&& f) { f("layers", self.layers); }

private:
    template <class Value>
    Value apply(const Value& x) const {
        Value h = x;
        for (std::size_t k = 0; k + 1 < layers.size(); ++k) h = activated(layers[k], activation, h);
        return layers.back()(h);
    }
};

}  // namespace genmod::nn
