// Convolution layers, channels last.
#pragma once

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/conv2d.hpp"
#include "genmod/ops/kept_weight.hpp"

namespace genmod::nn {

struct Conv2dOptions {
    Index kernel = 3;
    Index stride = 1;
    Index padding = 0;      // zeros on all four sides
    Index end_padding = 0;  // further zeros at the bottom and at the right
    bool bias = true;
};

// x [n, h, w, in] -> [n, oh, ow, out] with oh = (h + 2 * padding + end_padding - kernel) / stride + 1, rounded down.
template <class T>
struct Conv2d : Module {
    Var<T> weight;  // [out, kernel, kernel, in]
    Var<T> bias;    // [out], or empty
    ops::Conv2dOptions options;

    Conv2d(Index in, Index out, Rng& rng, const Conv2dOptions& o = {})
        : weight(fan_in_parameter<T>({out, o.kernel, o.kernel, in}, in * o.kernel * o.kernel, rng)),
          options{.stride = o.stride, .padding = o.padding, .end_padding = o.end_padding} {
        if (o.bias) bias = fan_in_parameter<T>({out}, in * o.kernel * o.kernel, rng);
    }

    // `residual` and, for every pixel of a sample, `shift` [n, out] are added to the result where they are given.
    Var<T> operator()(const Var<T>& x, const Var<T>& residual = {}, const Var<T>& shift = {}) const {
        return ops::conv2d(x, weight, bias, options, residual, shift);
    }
    Dual<T> operator()(const Dual<T>& x) const { return ops::conv2d(x, weight, bias, options); }

    // In which it multiplies.
    Precision precision() const { return ops::multiplies_in(weight); }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight, Layout::conv);
        f("bias", self.bias);
    }
};

struct ConvTranspose2dOptions {
    Index kernel = 4;
    Index stride = 2;
    Index padding = 1;
    Index output_padding = 0;
    bool bias = true;
};

// x [n, h, w, in] -> [n, oh, ow, out] with oh = (h - 1) * stride - 2 * padding + kernel + output_padding.
template <class T>
struct ConvTranspose2d : Module {
    Var<T> weight;  // [in, kernel, kernel, out]
    Var<T> bias;    // [out], or empty
    ops::ConvTranspose2dOptions options;

    ConvTranspose2d(Index in, Index out, Rng& rng, const ConvTranspose2dOptions& o = {})
        : weight(fan_in_parameter<T>({in, o.kernel, o.kernel, out}, out * o.kernel * o.kernel, rng)),
          options{.stride = o.stride, .padding = o.padding, .output_padding = o.output_padding} {
        if (o.bias) bias = fan_in_parameter<T>({out}, out * o.kernel * o.kernel, rng);
    }

    Var<T> operator()(const Var<T>& x) const { return ops::conv_transpose2d(x, weight, bias, options); }
    Dual<T> operator()(const Dual<T>& x) const { return ops::conv_transpose2d(x, weight, bias, options); }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight, Layout::conv_transposed);
        f("bias", self.bias);
    }
};

}  // namespace genmod::nn
