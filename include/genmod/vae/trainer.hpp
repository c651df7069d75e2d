// The training loop's body of autoencoders: loss, gradients, optimiser, average, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "genmod/optim/trainer.hpp"
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
class Trainer : public optim::Trainer<T, Model> {
public:
    // Throws Error when options do not fit.
    Trainer(Model model, const TrainerOptions& options)
        : optim::Trainer<T, Model>(std::move(model), options), options_(options) {}

    // One update from a batch x [n, ...]. Throws Error(non_finite), with the step, when a gradient is not finite; the
    // weights are unchanged then.
    Losses step(const Tensor<T>& x) {
        return this->update([&](std::uint64_t step) {
            const TrainingLoss<T> found = training_loss(this->model(), x, options_.objective, options_.seed, step);
            backward(found.loss);
            return Losses{static_cast<double>(found.loss.item()), found.reconstruction, found.latent};
        });
    }

private:
    TrainerOptions options_;
};

}  // namespace genmod::vae
