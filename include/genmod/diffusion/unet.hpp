// The U-Net of denoising diffusion models (Ho et al. 2020), built as diffusers' UNet2DModel.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/unet_blocks.hpp"
#include "genmod/diffusion/unet_config.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/embedding.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/ops/arithmetic.hpp"

namespace genmod::diffusion {

// Keys are diffusers' own: its files load by name, and ours load there.
template <class T>
struct Unet : nn::Module {
    UnetConfig config;
    bool checkpointing = false;  // training with less memory: residual blocks are computed again on the way back
    nn::Conv2d<T> conv_in;
    nn::TimestepEmbedding<T> time_embedding;
    std::optional<nn::Embedding<T>> class_table;
    std::optional<nn::TimestepEmbedding<T>> class_times;  // class_embed_type "timestep"
    std::vector<DownBlock<T>> down_blocks;
    std::optional<MidBlock<T>> mid_block;
    std::vector<UpBlock<T>> up_blocks;
    nn::GroupNorm<T> conv_norm_out;
    nn::Conv2d<T> conv_out;

    // Throws Error when the options do not make a network.
    Unet(UnetConfig options, Rng& rng)
        : config(checked(std::move(options))),
          conv_in(config.in_channels, first(), rng, {.padding = 1}),
          time_embedding(first(), detail::time_width(config), rng),
          conv_norm_out(first(), {.groups = config.norm_num_groups, .eps = config.norm_eps}),
          conv_out(first(), config.out_channels, rng, {.padding = 1}) {
        const Index width = detail::time_width(config);
        if (config.class_embed_type)
            class_times.emplace(first(), width, rng);
        else if (config.num_class_embeds)
            class_table.emplace(*config.num_class_embeds, width, rng);
        const std::size_t levels = config.block_out_channels.size();
        for (std::size_t level = 0; level < levels; ++level) down_blocks.emplace_back(config, level, rng);
        if (config.mid_block_type) mid_block.emplace(config, rng);
        for (std::size_t level = 0; level < levels; ++level) up_blocks.emplace_back(config, level, rng);
    }
    Unet(const SmallUnet& small, Rng& rng) : Unet(small_unet(small), rng) {}

    bool takes_labels() const { return class_table.has_value() || class_times.has_value(); }

    // x [n, h, w, in_channels], times t [n], labels (n where the network has classes, else none)
    // -> [n, h, w, out_channels]. Throws Error when they do not fit, or h or w is not a multiple of 2^(levels - 1).
    Var<T> operator()(const Var<T>& x, const Tensor<T>& t, const std::vector<Index>& labels = {}) const {
        check_input(x.shape(), t.shape(), labels.size());
        const Var<T> time = embed(t, labels);
        std::vector<Var<T>> made{conv_in(config.center_input_sample ? centred(x) : x)};
        for (const auto& block : down_blocks)
            for (auto& part : block(made.back(), time, checkpointing)) made.push_back(std::move(part));
        Var<T> h = made.back();
        if (mid_block) h = (*mid_block)(std::move(h), time, checkpointing);
        for (const auto& block : up_blocks) h = block(std::move(h), time, made, checkpointing);
        return conv_out(conv_norm_out.silu(h));
    }

    static void visit(auto& self, auto&& f) {
        f("conv_in", self.conv_in);
        f("time_embedding", self.time_embedding);
        f("class_embedding", self.class_table);
        f("class_embedding", self.class_times);
        f("down_blocks", self.down_blocks);
        f("up_blocks", self.up_blocks);
        f("mid_block", self.mid_block);
        f("conv_norm_out", self.conv_norm_out);
        f("conv_out", self.conv_out);
    }

private:
    static UnetConfig checked(UnetConfig options) {
        check_config(options);
        return options;
    }

    Index first() const { return config.block_out_channels[0]; }

    static Var<T> centred(const Var<T>& x) { return ops::add_scalar(ops::scale(x, 2), -1); }

    void check_input(const Shape& x, const Shape& t, std::size_t labels) const {
        check(x.rank() == 4 && x.dim(3) == config.in_channels && x.dim(0) >= 1, "U-Net: expected pictures [n, h, w, ",
              config.in_channels, "], found ", x);
        check(t == Shape{x.dim(0)}, "U-Net: times ", t, " for pictures ", x);
        const Index factor = Index{1} << (down_blocks.size() - 1);
        check(x.dim(1) >= 1 && x.dim(2) >= 1 && x.dim(1) % factor == 0 && x.dim(2) % factor == 0,
              "U-Net: height and width of ", x, " are not multiples of ", factor, ", as ", down_blocks.size(),
              " levels need");
        check(static_cast<Index>(labels) == (takes_labels() ? x.dim(0) : 0), "U-Net: ", labels, " labels for ",
              takes_labels() ? x.dim(0) : 0);
    }

    Tensor<T> sinusoids(const Tensor<T>& t) const {
        return nn::sinusoid_embedding(t, first(),
                                      {.flip_sin_to_cos = config.flip_sin_to_cos, .freq_shift = config.freq_shift});
    }

    Var<T> embed(const Tensor<T>& t, const std::vector<Index>& labels) const {
        const Var<T> time = time_embedding(sinusoids(t));
        if (class_table) return ops::add(time, (*class_table)(labels));
        if (!class_times) return time;
        Tensor<T> values(t.shape());
        for (Index k = 0; k < t.size(); ++k) values[k] = static_cast<T>(labels[static_cast<std::size_t>(k)]);
        return ops::add(time, (*class_times)(sinusoids(values)));
    }
};

}  // namespace genmod::diffusion
