// The networks beside coupling layers.
#pragma once

#include <utility>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"

namespace genmod::flows {

// The network with zeros in its last layer, so that its coupling starts as a fixed map.
template <class T>
nn::Mlp<T> zero_last(nn::Mlp<T> network) {
    network.layers.back().weight.value().fill(0);
    network.layers.back().bias.value().fill(0);
    return network;
}

// Convolutions 3x3, 1x1 and 3x3 with relu between, the last one zero at the start (Kingma and Dhariwal 2018,
// section 5): x [n, h, w, in] -> [n, h, w, out].
template <class T>
struct ConvNet : nn::Module {
    nn::Conv2d<T> conv1, conv2, conv3;

    ConvNet(Index in, Index out, Index hidden, Rng& rng)
        : conv1(in, hidden, rng, {.padding = 1}),
          conv2(hidden, hidden, rng, {.kernel = 1}),
          conv3(hidden, out, rng, {.padding = 1}) {
        conv3.weight.value().fill(0);
        conv3.bias.value().fill(0);
    }

    Var<T> operator()(const Var<T>& x) const { return conv3(ops::relu(conv2(ops::relu(conv1(x))))); }

    static void visit(auto& self, auto&& f) {
        f("conv1", self.conv1);
        f("conv2", self.conv2);
        f("conv3", self.conv3);
    }
};

}  // namespace genmod::flows
