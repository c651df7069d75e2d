// Multi-head attention of images and token sequences, under diffusers' names.
#pragma once

#include <optional>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/attention.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::nn {

struct AttentionOptions {
    Index width = 64;   // of the queries' tokens, and of the result
    Index context = 0;  // width of the tokens that are attended to; 0: the queries' own (self-attention)
    Index heads = 1;
    Index head_dim = 64;
    bool bias = false;  // of the projections to queries, keys and values
    bool out_bias = true;
    bool causal = false;  // token i sees tokens 0..i only
    Index groups = 0;     // of the group norm in front; 0: without
    double eps = 1e-5;
    bool residual = false;    // whether the input is added to the result
    double output_scale = 1;  // the result is divided by it
};

// diffusers' Attention: x [n, tokens, width] or an image [n, h, w, width], whose pixels are the tokens, and context
// [n, keys, context] -> the shape of x. Norm, projections, attention, projection; plus x. Frozen in bf16_tiles it
// attends in that precision, too.
template <class T>
struct Attention : Module {
    std::optional<GroupNorm<T>> group_norm;
    Linear<T> to_q;  // [heads * head_dim, width]
    Linear<T> to_k;  // [heads * head_dim, context]
    Linear<T> to_v;
    Linear<T> to_out;  // [width, heads * head_dim]
    AttentionOptions options;

    Attention(const AttentionOptions& o, Rng& rng)
        : to_q(o.width, o.heads * o.head_dim, rng, {.bias = o.bias}),
          to_k(o.context > 0 ? o.context : o.width, o.heads * o.head_dim, rng, {.bias = o.bias}),
          to_v(o.context > 0 ? o.context : o.width, o.heads * o.head_dim, rng, {.bias = o.bias}),
          to_out(o.heads * o.head_dim, o.width, rng, {.bias = o.out_bias}),
          options(o) {
        if (o.groups > 0) group_norm.emplace(o.width, ops::GroupNormOptions{.groups = o.groups, .eps = o.eps});
    }

    // Throws Error unless a context is given exactly where the layer has one.
    Var<T> operator()(const Var<T>& x, const Var<T>& context = {}) const {
        check(x.rank() >= 3 && x.dim(-1) == options.width, "Attention: expected tokens or pixels of width ",
              options.width, ", found shape ", x.shape());
        check(context.empty() == (options.context == 0), "Attention: expected ",
              options.context > 0 ? "a context" : "no context", ", found shape ", context.shape());
        const Var<T> tokens = ops::reshape(x, {x.dim(0), x.size() / (x.dim(0) * options.width), options.width});
        const Var<T> asking = group_norm ? (*group_norm)(tokens, to_q.precision()) : tokens;
        const Var<T>& asked = context.empty() ? asking : context;
        // One after the other: compilers order arguments as they like, and with them the sum of the three gradients.
        const Var<T> q = to_q(asking);
        const Var<T> k = to_k(asked);
        const Var<T> v = to_v(asked);
        const bool tiles = to_q.precision() == Precision::bf16_tiles;
        const Var<T> mixed =
            ops::attention(q, k, v, {.heads = options.heads, .causal = options.causal, .tiles = tiles});
        const Var<T> y = ops::reshape(to_out(mixed), x.shape());
        const Var<T> sum = options.residual ? y + x : y;
        return options.output_scale == 1 ? sum : sum / options.output_scale;
    }

    static void visit(auto& self, auto&& f) {
        f("group_norm", self.group_norm);
        f("to_q", self.to_q);
        f("to_k", self.to_k);
        f("to_v", self.to_v);
        f("to_out.0", self.to_out);
    }
};

}  // namespace genmod::nn
