// The training loop's body of autoencoders: loss, gradients, optimiser, average, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/clip_grad.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "genmod/vae/objective.hpp"

namespace genmod::vae {

struct TrainerOptions {
    std::uint64_t seed = 0;
    ObjectiveOptions objective = {};
    optim::AdamOptions adam = {};
    optim::CosineLr lr_factor = {.warmup = 0, .total = 10000};  // times adam.lr
    double max_grad_norm = 1000;  // of losses that are sums over pixels: only against steps that go astray
    optim::EmaOptions ema = {.decay = 0.999};
};

// The parts of the last loss, means over the batch, in nats.
struct Losses {
    double loss = 0, reconstruction = 0, latent = 0;
};

// Trains a Vae, or whatever has a training_loss(model, x, options, seed, step). All randomness is keyed by (seed, step,
// sample), so that a run that was saved and loaded ends with the same bytes as one that was not interrupted.
template <class T, class Model>
class Trainer {
public:
    // Throws Error when options do not fit.
    Trainer(Model model, const TrainerOptions& options)
        : options_(options), model_(std::move(model)), adam_(model_, options.adam), ema_(model_, options.ema) {}

    // One update from a batch x [n, ...]. Throws Error(non_finite), with the step, when a gradient is not finite; the
    // weights are unchanged then.
    Losses step(const Tensor<T>& x) {
        Training scope(options_.seed, static_cast<std::uint64_t>(steps_));
        Losses losses;
        try {
            const TrainingLoss<T> found =
                training_loss(model_, x, options_.objective, options_.seed, static_cast<std::uint64_t>(steps_));
            losses = {static_cast<double>(found.loss.item()), found.reconstruction, found.latent};
            backward(found.loss);
            clip_gradients();
        } catch (...) {
            nn::zero_grad(model_);
            throw;
        }
        adam_.options.lr = options_.adam.lr * options_.lr_factor(steps_);
        adam_.step();
        scope.commit();
        ema_.update(model_);
        ++steps_;
        return losses;
    }

    // Updates so far.
    Index steps() const { return steps_; }

    const Model& model() const { return model_; }

    // The model with averaged weights.
    const Model& average() const { return ema_.model(); }

    // Puts weights, average, optimiser and step into a checkpoint.
    void save(io::Checkpoint& checkpoint) const {
        checkpoint.put_number("trainer.step", static_cast<std::uint64_t>(steps_));
        checkpoint.put_number("trainer.seed", options_.seed);
        nn::put_state(model_, checkpoint, "model.");
        nn::put_state(ema_, checkpoint, "average.");
        nn::put_state(adam_, checkpoint, "adam.");
    }

    // Gets them back. Throws Error(bad_file) when the checkpoint is of another model or damaged, Error(argument) when
    // it was made with another seed.
    void load(io::Checkpoint& checkpoint) {
        const std::uint64_t seed = checkpoint.number("trainer.seed");
        check(seed == options_.seed, "Trainer: the checkpoint was made with seed ", seed, ", not ", options_.seed);
        nn::get_state(model_, checkpoint, "model.");
        nn::get_state(ema_, checkpoint, "average.");
        nn::get_state(adam_, checkpoint, "adam.");
        steps_ = static_cast<Index>(checkpoint.number("trainer.step"));
    }

private:
    void clip_gradients() {
        try {
            optim::clip_grad_norm(model_, options_.max_grad_norm);
        } catch (const Error& error) {
            fail(error.code(), "training: step ", steps_, ": ", error.what());
        }
    }

    TrainerOptions options_;
    Model model_;
    optim::Adam<T> adam_;
    optim::Ema<Model> ema_;
    Index steps_ = 0;
};

}  // namespace genmod::vae
