// A plain network of the shape of Stable Diffusion's VAE decoder, for its speed. Keys are those of diffusers'
// AutoencoderKL.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/attention.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/nn/resample.hpp"
#include "genmod/nn/resblock.hpp"

namespace benchmarks::sd {

using genmod::Index;
using genmod::Rng;
using genmod::Var;
namespace nn = genmod::nn;

struct DecoderConfig {
    std::vector<Index> widths = {512, 512, 256, 128};  // from the smallest pictures up
    Index channels = 4, layers = 3, groups = 32;
};

// One level: residual blocks, attention between the first two (in the middle only), and doubling.
struct DecoderLevel : nn::Module {
    std::vector<nn::ResBlock<float>> resnets;
    std::vector<nn::Attention<float>> attentions;
    std::vector<nn::Upsample<float>> upsamplers;

    void add_resnet(const DecoderConfig& config, Index in, Index out, Rng& rng) {
        resnets.emplace_back(nn::ResBlockOptions{.in = in, .out = out, .groups = config.groups, .eps = 1e-6}, rng);
    }

    Var<float> operator()(Var<float> h) const {
        for (std::size_t k = 0; k < resnets.size(); ++k) {
            h = resnets[k](h);
            if (k < attentions.size()) h = attentions[k](h);
        }
        for (const auto& upsampler : upsamplers) h = upsampler(h);
        return h;
    }

    static void visit(auto& self, auto&& f) {
        f("resnets", self.resnets);
        f("attentions", self.attentions);
        f("upsamplers", self.upsamplers);
    }
};

struct VaeDecoder : nn::Module {
    nn::Conv2d<float> post_quant_conv;
    nn::Conv2d<float> conv_in;
    DecoderLevel mid_block;
    std::vector<DecoderLevel> up_blocks;
    nn::GroupNorm<float> conv_norm_out;
    nn::Conv2d<float> conv_out;

    VaeDecoder(const DecoderConfig& config, Rng& rng)
        : post_quant_conv(config.channels, config.channels, rng, {.kernel = 1}),
          conv_in(config.channels, config.widths[0], rng, {.padding = 1}),
          conv_norm_out(config.widths.back(), {.groups = config.groups, .eps = 1e-6}),
          conv_out(config.widths.back(), 3, rng, {.padding = 1}) {
        Index width = config.widths[0];
        mid_block.add_resnet(config, width, width, rng);
        mid_block.attentions.emplace_back(nn::AttentionOptions{.width = width,
                                                               .head_dim = width,
                                                               .bias = true,
                                                               .groups = config.groups,
                                                               .eps = 1e-6,
                                                               .residual = true},
                                          rng);
        mid_block.add_resnet(config, width, width, rng);
        for (std::size_t level = 0; level < config.widths.size(); ++level) {
            DecoderLevel& block = up_blocks.emplace_back();
            for (Index k = 0; k < config.layers; ++k) {
                block.add_resnet(config, width, config.widths[level], rng);
                width = config.widths[level];
            }
            if (level + 1 < config.widths.size()) block.upsamplers.emplace_back(width, width, rng);
        }
    }

    // Latents z [n, h, w, 4] -> pictures [n, 8 h, 8 w, 3].
    Var<float> operator()(const Var<float>& z) const {
        Var<float> h = mid_block(conv_in(post_quant_conv(z)));
        for (const DecoderLevel& level : up_blocks) h = level(std::move(h));
        return conv_out(conv_norm_out.silu(h));
    }

    static void visit(auto& self, auto&& f) {
        f("post_quant_conv", self.post_quant_conv);
        f("decoder.conv_in", self.conv_in);
        f("decoder.mid_block", self.mid_block);
        f("decoder.up_blocks", self.up_blocks);
        f("decoder.conv_norm_out", self.conv_norm_out);
        f("decoder.conv_out", self.conv_out);
    }
};

}  // namespace benchmarks::sd
