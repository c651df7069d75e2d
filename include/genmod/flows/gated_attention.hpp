// Flow++'s networks beside coupling layers: gated convolutions and gated self-attention (Ho et al. 2019, section 3.3).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/dropout.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/attention.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// x [..., c] -> elu of x and of -x, [..., 2 c] (Salimans et al. 2017).
template <class T>
Var<T> concat_elu(const Var<T>& x) {
    return ops::elu(ops::concat({x, ops::negate(x)}, -1));
}

// A layer whose weights and biases start at `factor` times what they would be.
template <class Layer>
Layer scaled_start(Layer layer, double factor) {
    nn::for_each_leaf(layer, [factor]<class Leaf>(const std::string&, Leaf& leaf) {
        using T = typename Leaf::value_type;
        if constexpr (requires { leaf.requires_grad(); })
            for (T& number : leaf.value()) number *= static_cast<T>(factor);
    });
    return layer;
}

struct GatedAttentionOptions {
    Index filters = 96;
    Index blocks = 10;
    Index heads = 4;
    double dropout = 0.2;
    Index context = 0;  // channels of the context; 0: none
};

// x + glu(W2 dropout(concat_elu(conv3x3(concat_elu(x)) + W_a concat_elu(context)))): x [n, h, w, filters].
template <class T>
struct GatedConv : nn::Module {
    nn::Conv2d<T> c1;
    std::optional<nn::Linear<T>> a_proj;
    nn::Linear<T> c2;
    nn::Dropout dropout;

    GatedConv(const GatedAttentionOptions& o, Rng& rng)
        : c1(2 * o.filters, o.filters, rng, {.padding = 1}),
          c2(scaled_start(nn::Linear<T>(2 * o.filters, 2 * o.filters, rng), 0.1)),
          dropout(o.dropout) {
        if (o.context > 0) a_proj.emplace(2 * o.context, o.filters, rng);
    }

    Var<T> operator()(const Var<T>& x, const Var<T>& context) const {
        Var<T> h = c1(concat_elu(x));
        if (a_proj) h = ops::add(h, (*a_proj)(concat_elu(context)));
        return ops::add(x, ops::glu(c2(dropout(concat_elu(h)))));
    }

    static void visit(auto& self, auto&& f) {
        f("c1", self.c1);
        f("a_proj", self.a_proj);
        f("c2", self.c2);
    }
};

// x + glu(W2 dropout(attention(W1 (x + positions)))) over all pixels: x [n, h, w, filters].
template <class T>
struct GatedAttention : nn::Module {
    nn::Linear<T> proj1;  // [3 filters, filters]: queries, keys, values
    nn::Linear<T> proj2;
    nn::Dropout dropout;
    Index heads;

    GatedAttention(const GatedAttentionOptions& o, Rng& rng)
        : proj1(o.filters, 3 * o.filters, rng),
          proj2(scaled_start(nn::Linear<T>(o.filters, 2 * o.filters, rng), 0.1)),
          dropout(o.dropout),
          heads(o.heads) {}

    Var<T> operator()(const Var<T>& x, const Var<T>& positions) const {
        const Index c = x.dim(-1);
        const Var<T> tokens = ops::reshape(ops::add(x, positions), {x.dim(0), x.dim(1) * x.dim(2), c});
        const auto asked = ops::chunk(proj1(tokens), 3, -1);
        const Var<T> mixed = ops::attention(asked[0], asked[1], asked[2], {.heads = heads});
        return ops::add(x, ops::glu(proj2(dropout(ops::reshape(mixed, x.shape())))));
    }

    static void visit(auto& self, auto&& f) {
        f("proj1", self.proj1);
        f("proj2", self.proj2);
    }
};

// A convolution, blocks of gated convolution, layer norm, gated attention, layer norm, and a convolution: images
// [n, h, w, in] of one size, and a context [n, h, w, options.context] if there is one, to [n, h, w, out].
template <class T>
struct GatedAttentionNet : nn::Module {
    struct Block : nn::Module {
        GatedConv<T> conv;
        nn::LayerNorm<T> ln1;
        GatedAttention<T> attn;
        nn::LayerNorm<T> ln2;

        Block(const GatedAttentionOptions& o, Rng& rng) : conv(o, rng), ln1(o.filters), attn(o, rng), ln2(o.filters) {}

        static void visit(auto& self, auto&& f) {
            f("conv", self.conv);
            f("ln1", self.ln1);
            f("attn", self.attn);
            f("ln2", self.ln2);
        }
    };

    nn::Conv2d<T> proj_in;
    Var<T> pos_emb;  // [h, w, filters]
    std::vector<Block> blocks;
    nn::Conv2d<T> proj_out;
    Index context_channels;

    // `image` is [h, w, in]. Throws Error when the options are out of range.
    GatedAttentionNet(const Shape& image, Index out, Rng& rng, const GatedAttentionOptions& o = {})
        : proj_in(checked(image, o).dim(2), o.filters, rng, {.padding = 1}),
          pos_emb(nn::normal_parameter<T>(image.with(2, o.filters), 0.01, rng)),
          proj_out(scaled_start(nn::Conv2d<T>(o.filters, out, rng, {.padding = 1}), 0.1)),
          context_channels(o.context) {
        for (Index k = 0; k < o.blocks; ++k) blocks.emplace_back(o, rng);
    }

    // Throws Error unless a context is given exactly where the network has one.
    Var<T> operator()(const Var<T>& x, const Var<T>& context = {}) const {
        check(x.rank() == 4 && x.dim(1) == pos_emb.dim(0) && x.dim(2) == pos_emb.dim(1), "gated attention: images ",
              x.shape(), " for positions ", pos_emb.shape());
        check((context_channels == 0) == context.empty(), "gated attention: expected ",
              context_channels > 0 ? "a context" : "no context", ", found shape ", context.shape());
        Var<T> h = proj_in(x);
        for (const Block& block : blocks) {
            h = block.ln1(block.conv(h, context));
            h = block.ln2(block.attn(h, pos_emb));
        }
        return proj_out(h);
    }

    static void visit(auto& self, auto&& f) {
        f("pos_emb", self.pos_emb);
        f("proj_in", self.proj_in);
        f("blocks", self.blocks);
        f("proj_out", self.proj_out);
    }

private:
    static const Shape& checked(const Shape& image, const GatedAttentionOptions& o) {
        check(image.rank() == 3 && o.filters >= 1 && o.blocks >= 0 && o.heads >= 1 && o.filters % o.heads == 0 &&
                  o.context >= 0,
              "gated attention: ", o.filters, " filters, ", o.blocks, " blocks or ", o.heads,
              " heads are out of range for images ", image);
        return image;
    }
};

}  // namespace genmod::flows
