// The models that compare_models compares, of like size: about 42,000 weights for points, 350,000 for pictures.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/contestant.hpp"
#include "genmod/autograd/dual.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/data/toy.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/flows/glow.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/shape.hpp"

namespace examples {

using genmod::Rng;

// The batch of a step.
using Batch = std::function<Tensor<float>(Index step)>;

// A family, and how to begin with it.
struct Contender {
    std::string name;
    std::function<std::unique_ptr<Contestant>(Index steps, std::uint64_t seed)> make;
};

// Eight Gaussians on a circle, of the size that suits noise of deviation 1.
inline Tensor<float> toy_points(Index count, Rng& rng) {
    Tensor<float> points = genmod::data::eight_gaussians<float>(count, rng);
    for (float& number : points) number *= 0.5f;
    return points;
}

// eps(x, t) of points: x, waves of it (with which a small network sees fine detail) and those of t go through an MLP.
struct PlaneNet : genmod::nn::Module {
    genmod::nn::Mlp<float> mlp;

    explicit PlaneNet(Rng& rng) : mlp(2 + 16 + 32, 2, rng, {.hidden = {128, 128, 128}}) {}

    Var<float> operator()(const Var<float>& x, const Tensor<float>& t) const {
        namespace ops = genmod::ops;
        std::vector<Var<float>> parts{x};
        for (double frequency = 1; frequency <= 8; frequency *= 2) {
            const Var<float> angle = ops::scale(x, frequency);
            parts.push_back(ops::sin(angle));
            parts.push_back(ops::cos(angle));
        }
        parts.emplace_back(genmod::nn::sinusoid_embedding(t, 32));
        return mlp(ops::concat(parts, 1));
    }

    static void visit(auto& self, auto&& f) { f("mlp", self.mlp); }
};

// A critic of points: one number for each.
struct PointCritic : genmod::nn::Module {
    genmod::nn::Mlp<float> mlp;

    explicit PointCritic(Rng& rng)
        : mlp(2, 1, rng, {.hidden = {128, 128}, .activation = genmod::nn::Activation::leaky_relu}) {}

    template <class Value>
    Value operator()(const Value& x) const {
        return genmod::ops::reshape(mlp(x), Shape{x.dim(0)});
    }

    static void visit(auto& self, auto&& f) { f("mlp", self.mlp); }
};

inline std::vector<Contender> point_contenders() {
    namespace gan = genmod::gan;
    const auto vae = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        return std::make_unique<VaeContestant>(
            genmod::vae::VaeConfig{.sample = {2},
                                   .latent = 2,
                                   .architecture = genmod::vae::Architecture::fully_connected,
                                   .widths = {144, 144},
                                   .activation = genmod::nn::Activation::silu,
                                   .likelihood = genmod::vae::Likelihood::gaussian,
                                   .deviation = 0.3,
                                   .learn_deviation = true},
            Budget{.steps = steps, .seed = seed, .lr = 2e-3});
    };
    const auto flow = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        auto model = genmod::flows::real_nvp<float>(2, rng, {.couplings = 8, .network = {.hidden = {72, 72}}});
        return std::make_unique<FlowContestant<decltype(model)>>(std::move(model), toy_points(512, rng),
                                                                 Budget{.steps = steps, .seed = seed, .lr = 2e-3});
    };
    const auto adversarial = [](Index /*steps*/, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        genmod::nn::Mlp<float> generator(8, 2, rng,
                                         {.hidden = {144, 144}, .activation = genmod::nn::Activation::leaky_relu});
        return std::make_unique<GanContestant<genmod::nn::Mlp<float>, PointCritic>>(
            std::move(generator), PointCritic(rng), 8,
            gan::TrainerOptions{.seed = seed,
                                .loss = gan::LossKind::wasserstein,
                                .gradient_penalty = 1,
                                .critic_steps = 3,
                                .generator = {.lr = 5e-4, .beta1 = 0.5},
                                .discriminator = {.lr = 1e-3, .beta1 = 0.5},
                                .ema = {.decay = 0.99}});
    };
    const auto diffusion = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        return std::make_unique<DiffusionContestant<PlaneNet>>(PlaneNet(rng), Shape{2},
                                                               Budget{.steps = steps, .seed = seed, .lr = 2e-3});
    };
    return {{"VAE", vae}, {"flow (RealNVP)", flow}, {"GAN (WGAN-GP)", adversarial}, {"diffusion", diffusion}};
}

// `first` starts what depends on data.
inline std::vector<Contender> picture_contenders(const Tensor<float>& first) {
    namespace gan = genmod::gan;
    namespace diffusion = genmod::diffusion;
    const auto vae = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        return std::make_unique<VaeContestant>(genmod::vae::VaeConfig{.latent = 32,
                                                                      .widths = {32, 64},
                                                                      .likelihood = genmod::vae::Likelihood::gaussian,
                                                                      .deviation = 0.3,
                                                                      .learn_deviation = true},
                                               Budget{.steps = steps, .seed = seed, .per_unit = 127.5, .lr = 2e-3});
    };
    const auto flow = [first](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        auto model = genmod::flows::glow<float>({28, 28, 1}, rng, {.levels = 2, .steps = 6, .hidden = 128});
        return std::make_unique<FlowContestant<decltype(model)>>(
            std::move(model), first, Budget{.steps = steps, .seed = seed, .per_unit = 127.5, .lr = 1e-3});
    };
    const auto adversarial = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        const gan::DcganConfig config{.latent = 96, .width = 32};
        gan::Generator<float> generator(config, rng);
        gan::Discriminator<float> discriminator(config, rng);
        return std::make_unique<GanContestant<gan::Generator<float>, gan::Discriminator<float>>>(
            std::move(generator), std::move(discriminator), config.latent,
            gan::TrainerOptions{.seed = seed, .real_label = 0.9, .ema = {.decay = Budget{.steps = steps}.decay()}});
    };
    const auto denoising = [](Index steps, std::uint64_t seed) -> std::unique_ptr<Contestant> {
        Rng rng(seed, genmod::Purpose::weights);
        diffusion::Unet<float> network({.in_channels = 1,
                                        .out_channels = 1,
                                        .down_block_types = {"DownBlock2D", "DownBlock2D", "DownBlock2D"},
                                        .up_block_types = {"UpBlock2D", "UpBlock2D", "UpBlock2D"},
                                        .block_out_channels = {16, 32, 44},
                                        .layers_per_block = 1,
                                        .attention_head_dim = 4,
                                        .norm_num_groups = 4},
                                       rng);
        return std::make_unique<DiffusionContestant<diffusion::Unet<float>>>(
            std::move(network), Shape{28, 28, 1}, Budget{.steps = steps, .seed = seed, .per_unit = 127.5, .lr = 2e-3});
    };
    return {{"VAE", vae}, {"flow (Glow)", flow}, {"GAN (DCGAN)", adversarial}, {"diffusion (DDPM)", denoising}};
}

}  // namespace examples
