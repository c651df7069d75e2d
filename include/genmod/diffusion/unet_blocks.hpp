// The levels of a U-Net: residual blocks, attention, and the change of size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/unet_config.hpp"
#include "genmod/nn/attention.hpp"
#include "genmod/nn/checkpoint.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/resample.hpp"
#include "genmod/nn/resblock.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::diffusion {

namespace detail {

inline Index time_width(const UnetConfig& config) {
    return config.time_embedding_dim.value_or(4 * config.block_out_channels[0]);
}

template <class T>
nn::ResBlock<T> resnet(const UnetConfig& config, Index in, Index out, Rng& rng, double output_scale = 1) {
    return {{.in = in,
             .out = out,
             .time = time_width(config),
             .scale_shift = config.resnet_time_scale_shift == "scale_shift",
             .groups = config.norm_num_groups,
             .eps = config.norm_eps,
             .dropout = config.dropout,
             .output_scale = output_scale},
            rng};
}

// groups 0: without a norm.
template <class T>
nn::Attention<T> attention(const UnetConfig& config, Index channels, Index groups, Rng& rng, double output_scale = 1) {
    const Index head = config.attention_head_dim.value_or(channels);
    check(head <= channels, "U-Net: heads of ", head, " numbers for ", channels, " channels");
    return {{.width = channels,
             .heads = channels / head,
             .head_dim = head,
             .bias = true,
             .groups = groups,
             .eps = config.norm_eps,
             .residual = true,
             .output_scale = output_scale},
            rng};
}

// block(x, time), with gradient checkpointing where asked for.
template <class T>
Var<T> run(const nn::ResBlock<T>& block, const Var<T>& x, const Var<T>& time, bool checkpointing) {
    return checkpointing ? nn::checkpoint(block, x, time) : block(x, time);
}

}  // namespace detail

// A level on the way down: diffusers' DownBlock2D and AttnDownBlock2D.
template <class T>
struct DownBlock : nn::Module {
    std::vector<nn::ResBlock<T>> resnets;
    std::vector<nn::Attention<T>> attentions;     // one after each residual block, or none
    std::vector<nn::Downsample<T>> downsamplers;  // one, or none

    DownBlock(const UnetConfig& config, std::size_t level, Rng& rng) {
        const auto& widths = config.block_out_channels;
        const Index out = widths[level];
        for (Index k = 0; k < config.layers_per_block; ++k) {
            const Index in = k > 0 ? out : widths[level == 0 ? 0 : level - 1];
            resnets.push_back(detail::resnet<T>(config, in, out, rng));
            if (config.down_block_types[level] == "AttnDownBlock2D")
                attentions.push_back(detail::attention<T>(config, out, config.norm_num_groups, rng));
        }
        if (level + 1 < widths.size())
            downsamplers.emplace_back(out, out, rng,
                                      nn::DownsampleOptions{.symmetric = config.downsample_padding == 1});
    }

    // x [n, h, w, c], time embedding [n, t] -> what each part made; the last is the result.
    std::vector<Var<T>> operator()(Var<T> x, const Var<T>& time, bool checkpointing = false) const {
        std::vector<Var<T>> made;
        for (std::size_t k = 0; k < resnets.size(); ++k) {
            x = detail::run(resnets[k], x, time, checkpointing);
            if (!attentions.empty()) x = attentions[k](x);
            made.push_back(x);
        }
        for (const auto& downsampler : downsamplers) made.push_back(downsampler(x));
        return made;
    }

    static void visit(auto& self, auto&& f) {
        f("resnets", self.resnets);
        f("attentions", self.attentions);
        f("downsamplers", self.downsamplers);
    }
};

// The middle: a residual block, attention, a residual block.
template <class T>
struct MidBlock : nn::Module {
    std::vector<nn::ResBlock<T>> resnets;
    std::vector<nn::Attention<T>> attentions;  // one, or none

    MidBlock(const UnetConfig& config, Rng& rng) {
        const Index width = config.block_out_channels.back();
        const double scale = config.mid_block_scale_factor;
        const Index groups = config.resnet_time_scale_shift == "default" ? config.norm_num_groups : 0;
        resnets.push_back(detail::resnet<T>(config, width, width, rng, scale));
        if (config.add_attention)
            attentions.push_back(
                detail::attention<T>(config, width, config.attn_norm_num_groups.value_or(groups), rng, scale));
        resnets.push_back(detail::resnet<T>(config, width, width, rng, scale));
    }

    Var<T> operator()(Var<T> x, const Var<T>& time, bool checkpointing = false) const {
        x = detail::run(resnets[0], x, time, checkpointing);
        for (const auto& attention : attentions) x = attention(x);
        return detail::run(resnets[1], x, time, checkpointing);
    }

    static void visit(auto& self, auto&& f) {
        f("attentions", self.attentions);
        f("resnets", self.resnets);
    }
};

// A level on the way up: diffusers' UpBlock2D and AttnUpBlock2D. Each residual block also sees what the way down made.
template <class T>
struct UpBlock : nn::Module {
    std::vector<nn::ResBlock<T>> resnets;
    std::vector<nn::Attention<T>> attentions;  // one after each residual block, or none
    std::vector<nn::Upsample<T>> upsamplers;   // one, or none

    // `level` counts from the bottom, the smallest pictures.
    UpBlock(const UnetConfig& config, std::size_t level, Rng& rng) {
        const std::vector<Index> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
        const Index out = widths[level], above = widths[std::min(level + 1, widths.size() - 1)];
        for (Index k = 0; k <= config.layers_per_block; ++k) {
            const Index in = k > 0 ? out : widths[level == 0 ? 0 : level - 1];
            const Index skipped = k == config.layers_per_block ? above : out;
            resnets.push_back(detail::resnet<T>(config, in + skipped, out, rng));
            if (config.up_block_types[level] == "AttnUpBlock2D")
                attentions.push_back(detail::attention<T>(config, out, config.norm_num_groups, rng));
        }
        if (level + 1 < widths.size()) upsamplers.emplace_back(out, out, rng);
    }

    // Takes its part of `made`, what the way down made, from the end.
    Var<T> operator()(Var<T> x, const Var<T>& time, std::vector<Var<T>>& made, bool checkpointing = false) const {
        for (std::size_t k = 0; k < resnets.size(); ++k) {
            x = ops::concat({x, made.back()}, -1);
            made.pop_back();
            x = detail::run(resnets[k], x, time, checkpointing);
            if (!attentions.empty()) x = attentions[k](x);
        }
        for (const auto& upsampler : upsamplers) x = upsampler(x);
        return x;
    }

    static void visit(auto& self, auto&& f) {
        f("resnets", self.resnets);
        f("attentions", self.attentions);
        f("upsamplers", self.upsamplers);
    }
};

}  // namespace genmod::diffusion
