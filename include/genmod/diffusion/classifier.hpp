// A classifier of noisy pictures, for guidance: the way down of a U-Net, averaged over the picture (Dhariwal and Nichol
// 2021, section 4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/loss.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/unet_blocks.hpp"
#include "genmod/diffusion/unet_config.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::diffusion {

struct ClassifierConfig {
    Index size = 28;  // height and width, which attention goes by
    Index channels = 1;
    Index classes = 10;
    Index width = 32;                      // channels of the first level
    std::vector<Index> mults = {1, 2, 4};  // times width: one level for each, each half the size of the one before
    Index layers = 1;                      // residual blocks of a level
    std::vector<Index> attention = {};     // sizes of the levels that have attention
    double dropout = 0;
};

// x [n, h, w, channels], t [n] -> logits [n, classes].
template <class T>
struct NoisyClassifier : nn::Module {
    UnetConfig config;
    nn::Conv2d<T> conv_in;
    nn::TimestepEmbedding<T> time_embedding;
    std::vector<DownBlock<T>> down_blocks;
    nn::GroupNorm<T> norm_out;
    nn::Linear<T> out;

    // Throws Error when the options do not make a network.
    NoisyClassifier(const ClassifierConfig& options, Rng& rng)
        : config(checked(options)),
          conv_in(config.in_channels, first(), rng, {.padding = 1}),
          time_embedding(first(), detail::time_width(config), rng),
          norm_out(last(), {.groups = config.norm_num_groups, .eps = config.norm_eps}),
          out(last(), options.classes, rng) {
        for (std::size_t level = 0; level < config.block_out_channels.size(); ++level)
            down_blocks.emplace_back(config, level, rng);
    }

    // Throws Error when x and t do not fit.
    Var<T> operator()(const Var<T>& x, const Tensor<T>& t) const {
        check(x.rank() == 4 && x.dim(3) == config.in_channels && t.shape() == Shape{x.dim(0)}, "classifier: pictures ",
              x.shape(), " and times ", t.shape(), " do not fit ", config.in_channels, " channels");
        const Var<T> time =
            time_embedding(nn::sinusoid_embedding(t, first(), {.flip_sin_to_cos = true, .freq_shift = 0}));
        Var<T> h = conv_in(x);
        for (const auto& block : down_blocks) h = block(h, time).back();
        return out(ops::mean(norm_out.silu(h), {1, 2}));
    }

    static void visit(auto& self, auto&& f) {
        f("conv_in", self.conv_in);
        f("time_embedding", self.time_embedding);
        f("down_blocks", self.down_blocks);
        f("norm_out", self.norm_out);
        f("out", self.out);
    }

private:
    static UnetConfig checked(const ClassifierConfig& options) {
        check(options.classes >= 2, "classifier: cannot tell ", options.classes, " classes");
        UnetConfig config = small_unet({.size = options.size,
                                        .channels = options.channels,
                                        .width = options.width,
                                        .mults = options.mults,
                                        .layers = options.layers,
                                        .attention = options.attention,
                                        .dropout = options.dropout});
        check_config(config);
        return config;
    }

    Index first() const { return config.block_out_channels.front(); }
    Index last() const { return config.block_out_channels.back(); }
};

// The cross entropy of a classifier on pictures x0 noised at random times, each sample's drawn by (seed, step, sample).
// Throws Error(non_finite), with the step, when it is NaN or infinite.
template <class T, class Classifier>
Var<T> classifier_loss(const Classifier& classifier, const Schedule& schedule, const Tensor<T>& x0,
                       const std::vector<Index>& labels, const TrainingKey& key) {
    const TrainingInputs<T> inputs = draw_training_inputs(schedule, x0, labels, LossOptions{}, key);
    const Var<T> loss = ops::cross_entropy_loss(classifier(Var<T>(inputs.noisy), inputs.times()), labels);
    if (!is_finite(loss.item()))
        fail(ErrorCode::non_finite, "training: the classifier's loss of step ", key.step, " is NaN or infinite");
    return loss;
}

}  // namespace genmod::diffusion
