// Halving and doubling pictures by learned convolutions.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/resample.hpp"

namespace genmod::nn {

struct DownsampleOptions {
    bool symmetric =
        true;  // zeros on all four sides; otherwise at the bottom and at the right only, as in autoencoders
};

// diffusers' Downsample2D with a convolution: x [n, h, w, in] -> [n, h / 2, w / 2, out], rounded up when symmetric.
template <class T>
struct Downsample : Module {
    Conv2d<T> conv;

    Downsample(Index in, Index out, Rng& rng, DownsampleOptions options = {})
        : conv(in, out, rng,
               {.stride = 2, .padding = options.symmetric ? 1 : 0, .end_padding = options.symmetric ? 0 : 1}) {}

    Var<T> operator()(const Var<T>& x) const { return conv(x); }
    Dual<T> operator()(const Dual<T>& x) const { return conv(x); }

    static void visit(auto& self, auto&& f) { f("conv", self.conv); }
};

// diffusers' Upsample2D with a convolution: x [n, h, w, in] -> each pixel four times -> [n, 2 h, 2 w, out].
template <class T>
struct Upsample : Module {
    Conv2d<T> conv;

    Upsample(Index in, Index out, Rng& rng) : conv(in, out, rng, {.padding = 1}) {}

    Var<T> operator()(const Var<T>& x) const { return conv(ops::upsample_nearest(x)); }
    Dual<T> operator()(const Dual<T>& x) const { return conv(ops::upsample_nearest(x)); }

    static void visit(auto& self, auto&& f) { f("conv", self.conv); }
};

}  // namespace genmod::nn
