// The transformer block of text-conditioned diffusion U-Nets, under diffusers' names.
#pragma once

#include <optional>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/attention.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/linear.hpp"

namespace genmod::nn {

// x [..., width] -> [..., width] by way of a gated linear unit of `inner` numbers (GEGLU, Shazeer 2020).
template <class T>
struct FeedForward : Module {
    Linear<T> proj;  // [2 * inner, width]
    Linear<T> out;   // [width, inner]

    FeedForward(Index width, Index inner, Rng& rng) : proj(width, 2 * inner, rng), out(inner, width, rng) {}

    Var<T> operator()(const Var<T>& x) const {
        return out(ops::linear_geglu(x, proj.weight, proj.bias, out.precision()));
    }

    static void visit(auto& self, auto&& f) {
        f("net.0.proj", self.proj);
        f("net.2", self.out);
    }
};

struct TransformerOptions {
    Index width = 64;
    Index context = 0;  // width of the tokens of the cross-attention; 0: without it
    Index heads = 1;
    Index head_dim = 64;
    Index inner = 0;  // width of the feed-forward part; 0: four times `width`
};

// diffusers' BasicTransformerBlock: x [n, tokens, width], context [n, keys, context] -> [n, tokens, width].
// Self-attention, cross-attention and feed-forward, each behind a layer norm and added to what came in.
template <class T>
struct TransformerBlock : Module {
    LayerNorm<T> norm1;
    Attention<T> attn1;
    std::optional<LayerNorm<T>> norm2;
    std::optional<Attention<T>> attn2;
    LayerNorm<T> norm3;
    FeedForward<T> ff;

    TransformerBlock(const TransformerOptions& o, Rng& rng)
        : norm1(o.width),
          attn1({.width = o.width, .heads = o.heads, .head_dim = o.head_dim}, rng),
          norm3(o.width),
          ff(o.width, o.inner > 0 ? o.inner : 4 * o.width, rng) {
        if (o.context == 0) return;
        norm2.emplace(o.width);
        attn2.emplace(
            AttentionOptions{.width = o.width, .context = o.context, .heads = o.heads, .head_dim = o.head_dim}, rng);
    }

    // Throws Error unless a context is given exactly where the block has one.
    Var<T> operator()(const Var<T>& x, const Var<T>& context = {}) const {
        check(attn2.has_value() != context.empty(), "TransformerBlock: expected ", attn2 ? "a context" : "no context",
              ", found shape ", context.shape());
        Var<T> h = x + attn1(norm1(x, attn1.to_q.precision()));
        if (attn2) h = h + (*attn2)((*norm2)(h, attn2->to_q.precision()), context);
        return h + ff(norm3(h, ff.proj.precision()));
    }

    static void visit(auto& self, auto&& f) {
        f("norm1", self.norm1);
        f("attn1", self.attn1);
        f("norm2", self.norm2);
        f("attn2", self.attn2);
        f("norm3", self.norm3);
        f("ff", self.ff);
    }
};

}  // namespace genmod::nn
