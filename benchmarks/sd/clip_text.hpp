// A plain network of the shape of CLIP ViT-L/14's text encoder (Radford et al. 2021), for its speed.
#pragma once

#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/nn/attention.hpp"
#include "genmod/nn/embedding.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/shape.hpp"

namespace benchmarks::sd {

using genmod::Index;
using genmod::Rng;
using genmod::Tensor;
using genmod::Var;
namespace nn = genmod::nn;
namespace ops = genmod::ops;

struct TextConfig {
    Index words = 49408, tokens = 77, width = 768, heads = 12, layers = 12;
};

struct TextLayer : nn::Module {
    nn::LayerNorm<float> norm1;
    nn::Attention<float> attn;
    nn::LayerNorm<float> norm2;
    nn::Linear<float> fc1, fc2;

    TextLayer(const TextConfig& config, Rng& rng)
        : norm1(config.width),
          attn({.width = config.width,
                .heads = config.heads,
                .head_dim = config.width / config.heads,
                .bias = true,
                .causal = true},
               rng),
          norm2(config.width),
          fc1(config.width, 4 * config.width, rng),
          fc2(4 * config.width, config.width, rng) {}

    Var<float> operator()(const Var<float>& x) const {
        const Var<float> h = x + attn(norm1(x, attn.to_q.precision()));
        return h + fc2(fc1(norm2(h, fc1.precision()), genmod::kernels::Unary::quick_gelu, fc2.precision()));
    }

    static void visit(auto& self, auto&& f) {
        f("norm1", self.norm1);
        f("attn", self.attn);
        f("norm2", self.norm2);
        f("fc1", self.fc1);
        f("fc2", self.fc2);
    }
};

struct ClipText : nn::Module {
    nn::Embedding<float> token_embedding, position_embedding;
    std::vector<TextLayer> layers;
    nn::LayerNorm<float> final_norm;

    ClipText(const TextConfig& config, Rng& rng)
        : token_embedding(config.words, config.width, rng),
          position_embedding(config.tokens, config.width, rng),
          final_norm(config.width) {
        for (Index k = 0; k < config.layers; ++k) layers.emplace_back(config, rng);
    }

    // Words [n, tokens] -> [n, tokens, width].
    Var<float> operator()(const Tensor<Index>& words) const {
        const Var<float> places = ops::slice(position_embedding.weight, 0, 0, words.dim(1));
        Var<float> h = token_embedding(words) + places;
        for (const TextLayer& layer : layers) h = layer(h);
        return final_norm(h);
    }

    static void visit(auto& self, auto&& f) {
        f("token_embedding", self.token_embedding);
        f("position_embedding", self.position_embedding);
        f("layers", self.layers);
        f("final_norm", self.final_norm);
    }
};

}  // namespace benchmarks::sd
