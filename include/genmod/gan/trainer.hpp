// The training loop's body of a GAN: two networks, two optimisers, an average, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/gan/gradient_penalty.hpp"
#include "genmod/gan/loss.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/clip_grad.hpp"
#include "genmod/optim/ema.hpp"

namespace genmod::gan {

struct TrainerOptions {
    std::uint64_t seed = 0;
    LossKind loss = LossKind::non_saturating;
    double real_label = 1;        // below 1: one-sided label smoothing, of non_saturating
    double gradient_penalty = 0;  // its weight: 10 for WGAN-GP
    Index critic_steps = 1;       // steps of the discriminator for one of the generator: 5 for WGAN-GP
    optim::AdamOptions generator = {.lr = 2e-4, .beta1 = 0.5};
    optim::AdamOptions discriminator = {.lr = 2e-4, .beta1 = 0.5};
    optim::EmaOptions ema = {.decay = 0.999};
};

struct Losses {
    double discriminator = 0;  // without the penalty
    double generator = 0;      // 0 in a step that leaves the generator as it is
    double penalty = 0;        // without its weight
};

// Trains generator(z [n, latent]) against discriminator(x) -> [n]. All randomness is keyed by (seed, step, sample), so
// that a run that was saved and loaded ends with the same bytes as one that was not interrupted.
template <class T, class G, class D>
class Trainer {
public:
    // Throws Error when options do not fit.
    Trainer(G generator, D discriminator, Index latent, const TrainerOptions& options)
        : options_(options),
          latent_(latent),
          generator_(std::move(generator)),
          discriminator_(std::move(discriminator)),
          generator_adam_(generator_, options.generator),
          discriminator_adam_(discriminator_, options.discriminator),
          ema_(generator_, options.ema) {
        check(options.critic_steps >= 1 && options.gradient_penalty >= 0 && latent >= 1, "GAN: ", options.critic_steps,
              " steps of the critic, a penalty of weight ", options.gradient_penalty, " and latents of ", latent,
              " numbers do not fit");
    }

    // One update of the discriminator from real samples [n, ...], and, in every critic_steps-th step, one of the
    // generator, which answers to the updated discriminator with the same made samples. Throws Error(non_finite), with
    // the step, when a gradient is not finite; that network is unchanged then.
    Losses step(const Tensor<T>& real) {
        check(real.rank() >= 1, "GAN: expected a batch of samples, found shape ", real.shape());
        const auto z = nn::step_normals<T>({real.dim(0), latent_}, options_.seed, static_cast<std::uint64_t>(steps_));
        return step(real, z);
    }

    // The same from latents z [n, latent] of one's own.
    Losses step(const Tensor<T>& real, const Tensor<T>& z) {
        const auto step = static_cast<std::uint64_t>(steps_);
        const bool both = (steps_ + 1) % options_.critic_steps == 0;
        Training scope(options_.seed, step);
        const Var<T> made = make(z, both);
        Losses losses;
        update_discriminator(real, made.value(), step, losses);
        if (both) update_generator(made, losses);
        scope.commit();
        if (both) ema_.update(generator_);
        ++steps_;
        return losses;
    }

    // Updates of the discriminator so far.
    Index steps() const { return steps_; }

    const G& generator() const { return generator_; }
    const D& discriminator() const { return discriminator_; }

    // The generator with averaged weights (Yazici et al. 2019), the one to sample with.
    const G& average() const { return ema_.model(); }

    // Puts weights, average, optimisers and step into a checkpoint.
    void save(io::Checkpoint& checkpoint) const {
        checkpoint.put_number("trainer.step", static_cast<std::uint64_t>(steps_));
        checkpoint.put_number("trainer.seed", options_.seed);
        nn::put_state(generator_, checkpoint, "generator.");
        nn::put_state(discriminator_, checkpoint, "discriminator.");
        nn::put_state(ema_, checkpoint, "average.");
        nn::put_state(generator_adam_, checkpoint, "generator_adam.");
        nn::put_state(discriminator_adam_, checkpoint, "discriminator_adam.");
    }

    // Gets them back. Throws Error(bad_file) when the checkpoint is of another model or damaged, Error(argument) when
    // it was made with another seed.
    void load(io::Checkpoint& checkpoint) {
        const std::uint64_t seed = checkpoint.number("trainer.seed");
        check(seed == options_.seed, "Trainer: the checkpoint was made with seed ", seed, ", not ", options_.seed);
        nn::get_state(generator_, checkpoint, "generator.");
        nn::get_state(discriminator_, checkpoint, "discriminator.");
        nn::get_state(ema_, checkpoint, "average.");
        nn::get_state(generator_adam_, checkpoint, "generator_adam.");
        nn::get_state(discriminator_adam_, checkpoint, "discriminator_adam.");
        steps_ = static_cast<Index>(checkpoint.number("trainer.step"));
    }

private:
    // Made samples, with the way back to the generator if it is to learn from them.
    Var<T> make(const Tensor<T>& z, bool learn) const {
        if (learn) return generator_(Var<T>(z));
        const NoGrad off;
        return generator_(Var<T>(z));
    }

    void update_discriminator(const Tensor<T>& real, const Tensor<T>& made, std::uint64_t step, Losses& losses) {
        const Var<T> of_real = discriminator_(Var<T>(real));
        const Var<T> of_made = discriminator_(Var<T>(made));
        Var<T> loss = discriminator_loss(options_.loss, of_real, of_made, options_.real_label);
        losses.discriminator = static_cast<double>(loss.item());
        if (options_.gradient_penalty > 0) {
            const Var<T> penalty = gradient_penalty(discriminator_, between(real, made, options_.seed, step));
            losses.penalty = static_cast<double>(penalty.item());
            loss = ops::add(loss, ops::scale(penalty, options_.gradient_penalty));
        }
        backward(loss);
        finish(discriminator_, discriminator_adam_, "discriminator");
    }

    // The loss goes back to the made samples through the discriminator, whose own gradients nobody needs, and from
    // there through the generator.
    void update_generator(const Var<T>& made, Losses& losses) {
        const auto leaf = Var<T>::parameter(made.value());
        const Var<T> loss = generator_loss(options_.loss, discriminator_(leaf));
        losses.generator = static_cast<double>(loss.item());
        backward(made, grad(loss, {leaf}, Tensor<T>::full(loss.shape(), T(1)))[0]);
        finish(generator_, generator_adam_, "generator");
    }

    template <class Model>
    void finish(Model& model, optim::Adam<T>& adam, const char* name) {
        try {
            optim::grad_norm(model);
        } catch (const Error& error) {
            nn::zero_grad(model);
            fail(error.code(), "training: step ", steps_, ", ", name, ": ", error.what());
        }
        adam.step();
    }

    TrainerOptions options_;
    Index latent_;
    G generator_;
    D discriminator_;
    optim::Adam<T> generator_adam_;
    optim::Adam<T> discriminator_adam_;
    optim::Ema<G> ema_;
    Index steps_ = 0;
};

}  // namespace genmod::gan
