// A plain network of the shape of Stable Diffusion 1.5's U-Net, for its speed. Keys are those of diffusers'
// UNet2DConditionModel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/freeze.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/nn/resample.hpp"
#include "genmod/nn/resblock.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/nn/transformer.hpp"
#include "genmod/ops/shape.hpp"

namespace benchmarks::sd {

using genmod::Index;
using genmod::Rng;
using genmod::Tensor;
using genmod::Var;
namespace nn = genmod::nn;
namespace ops = genmod::ops;

struct UnetConfig {
    std::vector<Index> widths = {320, 640, 1280, 1280};  // all levels but the last have attention
    Index channels = 4, layers = 2, heads = 8, context = 768, groups = 32;
    // Blocks are frozen as they are made, if at all: the whole network in float is never in memory.
    std::optional<genmod::Precision> frozen;
    Index time() const { return 4 * widths[0]; }
};

// x [n, h, w, width] through a transformer block over its pixels, between 1x1 convolutions; plus x.
struct SpatialTransformer : nn::Module {
    nn::GroupNorm<float> norm;
    nn::Conv2d<float> proj_in;
    std::vector<nn::TransformerBlock<float>> transformer_blocks;
    nn::Conv2d<float> proj_out;

    SpatialTransformer(const UnetConfig& config, Index width, Rng& rng)
        : norm(width, {.groups = config.groups, .eps = 1e-6}),
          proj_in(width, width, rng, {.kernel = 1}),
          proj_out(width, width, rng, {.kernel = 1}) {
        transformer_blocks.emplace_back(
            nn::TransformerOptions{
                .width = width, .context = config.context, .heads = config.heads, .head_dim = width / config.heads},
            rng);
    }

    Var<float> operator()(const Var<float>& x, const Var<float>& context) const {
        Var<float> h = ops::reshape(proj_in(norm(x, proj_in.precision())), {x.dim(0), x.dim(1) * x.dim(2), x.dim(3)});
        for (const auto& block : transformer_blocks) h = block(h, context);
        return proj_out(ops::reshape(h, x.shape()), x);
    }

    static void visit(auto& self, auto&& f) {
        f("norm", self.norm);
        f("proj_in", self.proj_in);
        f("transformer_blocks", self.transformer_blocks);
        f("proj_out", self.proj_out);
    }
};

// One level, down, in the middle or up: residual blocks, attention behind each (in the middle: between them), and the
// change of size.
struct Level : nn::Module {
    std::vector<nn::ResBlock<float>> resnets;
    std::vector<SpatialTransformer> attentions;
    std::vector<nn::Downsample<float>> downsamplers;
    std::vector<nn::Upsample<float>> upsamplers;

    void add_resnet(const UnetConfig& config, Index in, Index out, Rng& rng) {
        resnets.emplace_back(
            nn::ResBlockOptions{.in = in, .out = out, .time = config.time(), .groups = config.groups, .eps = 1e-5},
            rng);
        if (config.frozen) nn::freeze(resnets.back(), *config.frozen);
    }
    void add_attention(const UnetConfig& config, Index width, Rng& rng) {
        attentions.emplace_back(config, width, rng);
        if (config.frozen) nn::freeze(attentions.back(), *config.frozen);
    }

    Var<float> block(std::size_t k, const Var<float>& x, const Var<float>& time, const Var<float>& context) const {
        const Var<float> h = resnets[k](x, time);
        return k < attentions.size() ? attentions[k](h, context) : h;
    }

    static void visit(auto& self, auto&& f) {
        f("resnets", self.resnets);
        f("attentions", self.attentions);
        f("downsamplers", self.downsamplers);
        f("upsamplers", self.upsamplers);
    }
};

struct Unet : nn::Module {
    UnetConfig config;
    nn::Conv2d<float> conv_in;
    nn::TimestepEmbedding<float> time_embedding;
    std::vector<Level> down_blocks;
    Level mid_block;
    std::vector<Level> up_blocks;
    nn::GroupNorm<float> conv_norm_out;
    nn::Conv2d<float> conv_out;

    Unet(UnetConfig c, Rng& rng)
        : config(std::move(c)),
          conv_in(config.channels, config.widths[0], rng, {.padding = 1}),
          time_embedding(config.widths[0], config.time(), rng),
          conv_norm_out(config.widths[0], {.groups = config.groups, .eps = 1e-5}),
          conv_out(config.widths[0], config.channels, rng, {.padding = 1}) {
        const std::size_t levels = config.widths.size();
        for (std::size_t level = 0; level < levels; ++level) add_down(level, rng);
        mid_block.add_resnet(config, config.widths.back(), config.widths.back(), rng);
        mid_block.add_attention(config, config.widths.back(), rng);
        mid_block.add_resnet(config, config.widths.back(), config.widths.back(), rng);
        for (std::size_t level = levels; level-- > 0;) add_up(level, rng);
    }

    // x [n, h, w, channels], times t [n], context [n, tokens, context] -> [n, h, w, channels].
    Var<float> operator()(const Var<float>& x, const Tensor<float>& t, const Var<float>& context) const {
        const Var<float> time =
            time_embedding(nn::sinusoid_embedding(t, config.widths[0], {.flip_sin_to_cos = true, .freq_shift = 0}));
        std::vector<Var<float>> made{conv_in(x)};
        for (const Level& level : down_blocks) {
            for (std::size_t k = 0; k < level.resnets.size(); ++k)
                made.push_back(level.block(k, made.back(), time, context));
            for (const auto& downsampler : level.downsamplers) made.push_back(downsampler(made.back()));
        }
        Var<float> h = mid_block.block(0, made.back(), time, context);
        h = mid_block.block(1, h, time, context);
        for (const Level& level : up_blocks) {
            for (std::size_t k = 0; k < level.resnets.size(); ++k) {
                h = ops::concat({h, made.back()}, -1);
                made.pop_back();
                h = level.block(k, h, time, context);
            }
            for (const auto& upsampler : level.upsamplers) h = upsampler(h);
        }
        return conv_out(conv_norm_out.silu(h));
    }

    static void visit(auto& self, auto&& f) {
        f("conv_in", self.conv_in);
        f("time_embedding", self.time_embedding);
        f("down_blocks", self.down_blocks);
        f("mid_block", self.mid_block);
        f("up_blocks", self.up_blocks);
        f("conv_norm_out", self.conv_norm_out);
        f("conv_out", self.conv_out);
    }

private:
    void add_down(std::size_t level, Rng& rng) {
        const auto& widths = config.widths;
        const Index out = widths[level];
        Level& block = down_blocks.emplace_back();
        for (Index k = 0; k < config.layers; ++k) {
            block.add_resnet(config, k > 0 || level == 0 ? out : widths[level - 1], out, rng);
            if (level + 1 < widths.size()) block.add_attention(config, out, rng);
        }
        if (level + 1 < widths.size()) block.downsamplers.emplace_back(out, out, rng);
    }

    void add_up(std::size_t level, Rng& rng) {
        const auto& widths = config.widths;
        const Index out = widths[level], above = level == 0 ? out : widths[level - 1];
        const Index below = widths[std::min(level + 1, widths.size() - 1)];
        Level& block = up_blocks.emplace_back();
        for (Index k = 0; k <= config.layers; ++k) {
            const Index skipped = k == config.layers ? above : out;
            block.add_resnet(config, (k > 0 ? out : below) + skipped, out, rng);
            if (level + 1 < widths.size()) block.add_attention(config, out, rng);
        }
        if (level > 0) block.upsamplers.emplace_back(out, out, rng);
    }
};

}  // namespace benchmarks::sd
