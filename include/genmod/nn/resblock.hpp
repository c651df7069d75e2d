// The residual block of diffusion U-Nets and autoencoders.
#pragma once

#include <optional>
#include <type_traits>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/dropout.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::nn {

struct ResBlockOptions {
    Index in = 32;
    Index out = 32;
    Index time = 0;            // width of the time embedding; 0: without
    bool scale_shift = false;  // time scales and shifts the second norm instead of being added before it
    Index groups = 32;
    double eps = 1e-6;
    double dropout = 0;
    double output_scale = 1;  // the result is divided by it
};

// diffusers' ResnetBlock2D (Ho et al. 2020; scale and shift: Dhariwal and Nichol 2021): x [n, h, w, in], time
// embedding [n, time] -> [n, h, w, out]. Norm, SiLU, convolution; time; norm, SiLU, dropout, convolution; plus x, which
// goes through a 1x1 convolution where the widths differ.
template <class T>
struct ResBlock : Module {
    GroupNorm<T> norm1;
    Conv2d<T> conv1;
    std::optional<Linear<T>> time_emb_proj;
    GroupNorm<T> norm2;
    Dropout dropout;
    Conv2d<T> conv2;
    std::optional<Conv2d<T>> conv_shortcut;
    bool scale_shift;
    double output_scale;

    ResBlock(const ResBlockOptions& o, Rng& rng)
        : norm1(o.in, {.groups = o.groups, .eps = o.eps}),
          conv1(o.in, o.out, rng, {.padding = 1}),
          norm2(o.out, {.groups = o.groups, .eps = o.eps}),
          dropout(o.dropout),
          conv2(o.out, o.out, rng, {.padding = 1}),
          scale_shift(o.scale_shift),
          output_scale(o.output_scale) {
        check(o.time > 0 || !o.scale_shift, "ResBlock: scale_shift needs a time embedding");
        if (o.time > 0) time_emb_proj.emplace(o.time, o.scale_shift ? 2 * o.out : o.out, rng);
        if (o.in != o.out) conv_shortcut.emplace(o.in, o.out, rng, Conv2dOptions{.kernel = 1});
    }

    // Throws Error unless a time embedding is given exactly where the block has one.
    Var<T> operator()(const Var<T>& x, const Var<T>& time = {}) const { return apply(x, time); }
    // The time embedding is held fixed.
    Dual<T> operator()(const Dual<T>& x, const Var<T>& time = {}) const { return apply(x, time); }

    static void visit(auto& self, auto&& f) {
        f("norm1", self.norm1);
        f("conv1", self.conv1);
        f("time_emb_proj", self.time_emb_proj);
        f("norm2", self.norm2);
        f("conv2", self.conv2);
        f("conv_shortcut", self.conv_shortcut);
    }

private:
    template <class Value>
    Value apply(const Value& x, const Var<T>& time) const {
        check(time.empty() != time_emb_proj.has_value(), "ResBlock: expected ",
              time_emb_proj ? "a time embedding" : "no time embedding", ", found shape ", time.shape());
        const Var<T> t = time_emb_proj ? (*time_emb_proj)(ops::silu(time)) : Var<T>();
        // One name for all: each step frees what it has read.
        Value h = norm1.silu(x, conv1.precision());
        h = scale_shift ? conv1(h) : first(h, t);
        h = dropout(scale_shift ? modulated(h, t) : norm2.silu(h, reader()));
        const Value sum = second(h, conv_shortcut ? (*conv_shortcut)(x) : x);
        return output_scale == 1 ? sum : ops::scale(sum, 1 / output_scale);
    }

    // Of the product that reads h, unless dropout does.
    Precision reader() const { return training() == nullptr ? conv2.precision() : Precision::full; }

    Var<T> second(const Var<T>& h, const Var<T>& residual) const { return conv2(h, residual); }
    Dual<T> second(const Dual<T>& h, const Dual<T>& residual) const { return ops::add(conv2(h), residual); }

    // conv1(x) + t, where there is a t.
    Var<T> first(const Var<T>& x, const Var<T>& t) const { return conv1(x, {}, t); }
    Dual<T> first(const Dual<T>& x, const Var<T>& t) const {
        return t.empty() ? conv1(x) : ops::add(conv1(x), ops::reshape(t, {t.dim(0), 1, 1, t.dim(1)}));
    }

    // silu(norm2(h) (1 + scale) + shift) where t is scale and shift side by side.
    template <class Value>
    Value modulated(const Value& h, const Var<T>& t) const {
        const Index n = t.dim(0), width = h.dim(-1);
        const Var<T> pixelwise = ops::reshape(t, {n, 1, 1, t.dim(1)});
        const Var<T> scale = ops::slice(pixelwise, -1, 0, width), shift = ops::slice(pixelwise, -1, width, 2 * width);
        if constexpr (std::is_same_v<Value, Var<T>>)
            return norm2.silu(h, scale, shift, reader());
        else
            return ops::silu(ops::add(ops::mul(norm2(h), ops::add_scalar(scale, 1)), shift));
    }
};

}  // namespace genmod::nn
