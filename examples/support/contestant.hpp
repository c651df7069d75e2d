// One interface over the families of generative models, for comparing them: VAE, flow, GAN and diffusion.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/likelihood.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "genmod/flows/trainer.hpp"
#include "genmod/gan/trainer.hpp"
#include "genmod/metrics/likelihood.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "genmod/vae/likelihood.hpp"
#include "genmod/vae/trainer.hpp"

namespace examples {

using genmod::Index;
using genmod::Shape;
using genmod::Tensor;
using genmod::Var;
using genmod::metrics::LogLikelihood;

struct Variant {
    std::string name;
    Tensor<float> samples;
};

// A model in training, and what can be asked of it. Samples are [n, ...].
struct Contestant {
    virtual ~Contestant() = default;
    virtual Index parameters() const = 0;  // all that are trained
    virtual void step(const Tensor<float>& x) = 0;
    virtual Tensor<float> sample(Index n, std::uint64_t seed) const = 0;
    // log p(x), of families that have one.
    virtual std::optional<LogLikelihood> likelihood(const Tensor<float>&) const { return {}; }
    // Latents of samples, of families that find them.
    virtual std::optional<Tensor<float>> encode(const Tensor<float>&) const { return {}; }
    // `n` latents that are drawn, and samples from latents.
    virtual Tensor<float> latents(Index n, std::uint64_t seed) const = 0;
    virtual Tensor<float> decode(const Tensor<float>& z) const = 0;
    // Samples that come about otherwise than by sample(), which show what its samples lack; `x` [n, ...] are new data.
    virtual std::vector<Variant> variants(const Tensor<float>& x, std::uint64_t seed) const = 0;
};

// Numbers of a training run that all families share.
struct Budget {
    Index steps = 1000;
    std::uint64_t seed = 0;
    double per_unit = 1;  // steps per unit of the data's grid; 1: none
    double lr = 1e-3;

    genmod::optim::CosineLr lr_factor() const { return {.warmup = steps < 1000 ? steps / 10 : 100, .total = steps}; }
    // The average reaches over a tenth of the run.
    double decay() const { return 1 - 10.0 / static_cast<double>(steps < 100 ? 100 : steps); }
};

class VaeContestant : public Contestant {
public:
    VaeContestant(const genmod::vae::VaeConfig& config, const Budget& budget)
        : per_unit_(budget.per_unit), trainer_(start(config, budget), options(budget)) {}

    Index parameters() const override { return genmod::nn::count(trainer_.model()); }
    void step(const Tensor<float>& x) override { trainer_.step(x); }

    // Pictures are means; points have the noise of p(x | z).
    Tensor<float> sample(Index n, std::uint64_t seed) const override {
        const Tensor<float> mean = trainer_.average().sample(n, seed);
        if (mean.rank() > 2) return mean;
        const double deviation = std::exp(static_cast<double>(trainer_.average().log_deviation.value()[0]));
        const auto noise = genmod::nn::sample_normals<float>(mean.shape(), seed + (std::uint64_t{1} << 32));
        return genmod::diffusion::combine(1, mean, deviation, noise);
    }

    std::optional<LogLikelihood> likelihood(const Tensor<float>& x) const override {
        const auto found = genmod::vae::importance_sampled(trainer_.average(), x, {.draws = 200});
        return LogLikelihood{.kind = genmod::metrics::LikelihoodKind::estimate,
                             .nats = found.nats,
                             .dims = x.size() / x.dim(0),
                             .per_unit = per_unit_};
    }
    std::optional<Tensor<float>> encode(const Tensor<float>& x) const override {
        const genmod::NoGrad off;
        return trainer_.average().encode(x).mean.value();
    }
    Tensor<float> latents(Index n, std::uint64_t seed) const override {
        return genmod::nn::sample_normals<float>({n, trainer_.average().config.latent}, seed);
    }
    Tensor<float> decode(const Tensor<float>& z) const override {
        const genmod::NoGrad off;
        return trainer_.average().expected(trainer_.average().decode(z));
    }
    std::vector<Variant> variants(const Tensor<float>& x, std::uint64_t) const override {
        return {{"new pictures, encoded and decoded", decode(*encode(x))}};
    }

private:
    static genmod::vae::Vae<float> start(const genmod::vae::VaeConfig& config, const Budget& budget) {
        genmod::Rng rng(budget.seed, genmod::Purpose::weights);
        return {config, rng};
    }
    static genmod::vae::TrainerOptions options(const Budget& budget) {
        return {.seed = budget.seed,
                .objective = {.beta_warmup = budget.steps / 10},
                .adam = {.lr = budget.lr},
                .lr_factor = budget.lr_factor(),
                .ema = {.decay = budget.decay()}};
    }

    double per_unit_;
    genmod::vae::Trainer<float, genmod::vae::Vae<float>> trainer_;
};

template <class Model>
class FlowContestant : public Contestant {
public:
    // `first` starts what depends on data.
    FlowContestant(Model model, const Tensor<float>& first, const Budget& budget)
        : per_unit_(budget.per_unit),
          trainer_(std::move(model), {.seed = budget.seed,
                                      .adam = {.lr = budget.lr},
                                      .lr_factor = budget.lr_factor(),
                                      .ema = {.decay = budget.decay()}}) {
        trainer_.initialize(first);
    }

    Index parameters() const override { return genmod::nn::count(trainer_.model()); }
    void step(const Tensor<float>& x) override { trainer_.step(x); }
    // Pictures come from a base of deviation 0.7, as Glow's do.
    Tensor<float> sample(Index n, std::uint64_t seed) const override {
        return trainer_.average().sample(n, seed, per_unit_ == 1 ? 1 : 0.7);
    }
    std::optional<LogLikelihood> likelihood(const Tensor<float>& x) const override {
        const genmod::NoGrad off;
        using genmod::metrics::LikelihoodKind;
        LogLikelihood found{.kind = per_unit_ == 1 ? LikelihoodKind::exact : LikelihoodKind::bound,
                            .nats = {},
                            .dims = x.size() / x.dim(0),
                            .per_unit = per_unit_};
        for (Index first = 0; first < x.dim(0); first += 250) {
            const Var<float> part(x.slice(first, first + 250 < x.dim(0) ? first + 250 : x.dim(0)));
            const Tensor<float> nats = trainer_.average().log_prob(part).value();
            found.nats.insert(found.nats.end(), nats.begin(), nats.end());
        }
        return found;
    }
    std::optional<Tensor<float>> encode(const Tensor<float>& x) const override {
        const genmod::NoGrad off;
        return trainer_.average().transform.forward(Var<float>(x)).y.value();
    }
    Tensor<float> latents(Index n, std::uint64_t seed) const override {
        return genmod::nn::sample_normals<float>(trainer_.average().latent.inserted(0, n), seed);
    }
    Tensor<float> decode(const Tensor<float>& z) const override {
        const genmod::NoGrad off;
        return trainer_.average().transform.inverse(Var<float>(z)).y.value();
    }
    std::vector<Variant> variants(const Tensor<float>& x, std::uint64_t seed) const override {
        return {{"from the whole base, deviation 1", trainer_.average().sample(x.dim(0), seed)}};
    }

private:
    double per_unit_;
    genmod::flows::Trainer<float, Model> trainer_;
};

template <class Generator, class Discriminator>
class GanContestant : public Contestant {
public:
    GanContestant(Generator generator, Discriminator discriminator, Index latent,
                  const genmod::gan::TrainerOptions& options)
        : latent_(latent), trainer_(std::move(generator), std::move(discriminator), latent, options) {}

    Index parameters() const override {
        return genmod::nn::count(trainer_.generator()) + genmod::nn::count(trainer_.discriminator());
    }
    void step(const Tensor<float>& x) override { trainer_.step(x); }
    Tensor<float> sample(Index n, std::uint64_t seed) const override { return decode(latents(n, seed)); }
    Tensor<float> latents(Index n, std::uint64_t seed) const override {
        return genmod::nn::sample_normals<float>({n, latent_}, seed);
    }
    Tensor<float> decode(const Tensor<float>& z) const override {
        const genmod::NoGrad off;
        return trainer_.average()(Var<float>(z)).value();
    }
    std::vector<Variant> variants(const Tensor<float>& x, std::uint64_t seed) const override {
        const genmod::NoGrad off;
        const Tensor<float> z = latents(x.dim(0), seed);
        const auto nearer = [&](double deviation) { return decode(genmod::diffusion::combine(deviation, z, 0, z)); };
        return {{"by the last weights, not their average", trainer_.generator()(Var<float>(z)).value()},
                {"from latents of deviation 0.75", nearer(0.75)},
                {"from latents of deviation 0.5", nearer(0.5)}};
    }

private:
    Index latent_;
    genmod::gan::Trainer<float, Generator, Discriminator> trainer_;
};

// Trained by v-prediction. Samples by DPM-Solver++(2M) on Karras levels, 20 steps; DDIM, 50 steps, leads to latents and
// back.
template <class Network>
class DiffusionContestant : public Contestant {
public:
    // `sample` is the shape of one sample.
    DiffusionContestant(Network network, const Shape& sample, const Budget& budget)
        : sample_(sample),
          per_unit_(budget.per_unit),
          schedule_({.beta_schedule = genmod::diffusion::BetaSchedule::squaredcos_cap_v2}),
          trainer_(std::move(network), schedule_,
                   {.seed = budget.seed,
                    .loss = {.prediction_type = type},
                    .adam = {.lr = budget.lr},
                    .lr_factor = budget.lr_factor(),
                    .ema = {.decay = budget.decay()}}) {}

    Index parameters() const override { return genmod::nn::count(trainer_.model()); }
    void step(const Tensor<float>& x) override { trainer_.step(x); }

    Tensor<float> sample(Index n, std::uint64_t seed) const override {
        if (sample_.rank() == 1) return decode(latents(n, seed));
        const auto levels = genmod::diffusion::sigma_levels(
            schedule_, 20, {.multistep = true, .schedule = genmod::diffusion::SigmaSchedule::karras});
        return genmod::diffusion::sample(predict(true), genmod::diffusion::DpmSolverMultistep{}, levels,
                                         {.shape = sample_.inserted(0, n), .seed = seed});
    }
    std::optional<LogLikelihood> likelihood(const Tensor<float>& x) const override {
        const bool points = sample_.rank() == 1;
        const auto network = [this](const Var<float>& at, const Tensor<float>& t) { return trainer_.average()(at, t); };
        auto found =
            genmod::diffusion::log_likelihood(network, points ? x : x.slice(0, x.dim(0) < 16 ? x.dim(0) : 16), levels(),
                                              {.prediction_type = type,
                                               .trace = points ? genmod::nn::Trace::exact : genmod::nn::Trace::signs,
                                               .per_unit = per_unit_,
                                               .ode = {.atol = 1e-3, .rtol = 1e-3}});
        return LogLikelihood{
            .kind = points ? genmod::metrics::LikelihoodKind::exact : genmod::metrics::LikelihoodKind::estimate,
            .nats = std::move(found.nats),
            .dims = sample_.size(),
            .per_unit = per_unit_};
    }
    std::optional<Tensor<float>> encode(const Tensor<float>& x) const override {
        return genmod::diffusion::sample(predict(false), genmod::diffusion::Ddim{},
                                         genmod::diffusion::ddim_inverse_levels(schedule_, 50), {.start = x});
    }
    Tensor<float> latents(Index n, std::uint64_t seed) const override {
        return genmod::nn::sample_normals<float>(sample_.inserted(0, n), seed);
    }
    Tensor<float> decode(const Tensor<float>& z) const override {
        return genmod::diffusion::sample(predict(false), genmod::diffusion::Ddim{}, levels(), {.start = z});
    }
    std::vector<Variant> variants(const Tensor<float>& x, std::uint64_t seed) const override {
        const auto ddpm_levels = genmod::diffusion::ddpm_levels(schedule_, 50);
        return {{"by DDPM, 50 steps", genmod::diffusion::sample(predict(true), genmod::diffusion::Ddpm{}, ddpm_levels,
                                                                {.shape = x.shape(), .seed = seed})}};
    }

private:
    static constexpr auto type = genmod::diffusion::PredictionType::v_prediction;

    genmod::diffusion::Levels levels() const { return genmod::diffusion::ddim_levels(schedule_, 50); }

    auto predict(bool clip) const {
        return genmod::diffusion::denoiser(
            [this](const Tensor<float>& x, const Tensor<float>& t) { return trainer_.average()(Var<float>(x), t); },
            {.prediction_type = type, .clip_sample = clip});
    }

    Shape sample_;
    double per_unit_;
    genmod::diffusion::Schedule schedule_;
    genmod::diffusion::Trainer<float, Network> trainer_;
};

}  // namespace examples
