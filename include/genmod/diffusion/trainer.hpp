// The training loop's body: loss, gradients, optimiser, average, and a state that resumes to the bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/loss.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/clip_grad.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"

namespace genmod::diffusion {

struct TrainerOptions {
    std::uint64_t seed = 0;
    LossOptions loss = {};
    optim::AdamOptions adam = {};
    optim::CosineLr lr_factor = {.warmup = 100, .total = 10000};  // times adam.lr
    double max_grad_norm = 1;
    optim::EmaOptions ema = {.decay = 0.999};
    Index accumulate = 1;  // parts that a batch is cut into, one after another, to save memory
};

// Trains network(x, t) or network(x, t, labels). All randomness is keyed by (seed, step, sample), so that a run that
// was saved and loaded ends with the same bytes as one that was not interrupted. The objective is what is trained: a
// Schedule (DDPM), FlowMatching or Edm, or anything else with a training_loss() beside it.
template <class T, class Network, class Objective = Schedule>
class Trainer {
public:
    // Throws Error when options do not fit.
    Trainer(Network network, Objective objective, const TrainerOptions& options)
        : options_(options),
          objective_(std::move(objective)),
          network_(std::move(network)),
          adam_(network_, options.adam),
          ema_(network_, options.ema) {
        check(options.accumulate >= 1, "Trainer: cannot cut a batch into ", options.accumulate, " parts");
    }

    // One update from a batch x0 [n, ..., c] and its labels (or none). Returns the loss. Throws Error(non_finite), with
    // the step, when the loss or a gradient is not finite; the weights are unchanged then.
    double step(const Tensor<T>& x0, const std::vector<Index>& labels = {}) {
        Training scope(options_.seed, static_cast<std::uint64_t>(steps_));
        double loss = 0;
        try {
            loss = collect_gradients(x0, labels);
            clip_gradients();
        } catch (...) {
            nn::zero_grad(network_);
            throw;
        }
        adam_.options.lr = options_.adam.lr * options_.lr_factor(steps_);
        adam_.step();
        scope.commit();
        ema_.update(network_);
        ++steps_;
        return loss;
    }

    // Updates so far.
    Index steps() const { return steps_; }

    const Network& network() const { return network_; }

    // The network with averaged weights, which is the one to sample with.
    const Network& average() const { return ema_.model(); }

    // Puts weights, average, optimiser and step into a checkpoint.
    void save(io::Checkpoint& checkpoint) const {
        checkpoint.put_number("trainer.step", static_cast<std::uint64_t>(steps_));
        checkpoint.put_number("trainer.seed", options_.seed);
        nn::put_state(network_, checkpoint, "network.");
        nn::put_state(ema_, checkpoint, "average.");
        nn::put_state(adam_, checkpoint, "adam.");
    }

    // Gets them back. Throws Error(bad_file) when the checkpoint is of another model or damaged, Error(argument) when
    // it was made with another seed.
    void load(io::Checkpoint& checkpoint) {
        const std::uint64_t seed = checkpoint.number("trainer.seed");
        check(seed == options_.seed, "Trainer: the checkpoint was made with seed ", seed, ", not ", options_.seed);
        nn::get_state(network_, checkpoint, "network.");
        nn::get_state(ema_, checkpoint, "average.");
        nn::get_state(adam_, checkpoint, "adam.");
        steps_ = static_cast<Index>(checkpoint.number("trainer.step"));
    }

private:
    // Runs the parts of a batch forward and back; the loss is their mean, weighted by their sizes.
    double collect_gradients(const Tensor<T>& x0, const std::vector<Index>& labels) {
        const Index n = x0.dim(0), part = (n + options_.accumulate - 1) / options_.accumulate;
        double sum = 0;
        for (Index first = 0; first < n; first += part) {
            const Index last = std::min(n, first + part);
            std::vector<Index> own;
            if (!labels.empty()) own.assign(labels.begin() + first, labels.begin() + last);
            const TrainingKey key{options_.seed, static_cast<std::uint64_t>(steps_), first};
            const Var<T> loss = training_loss(network_, objective_, x0.slice(first, last), own, options_.loss, key);
            const double weight = static_cast<double>(last - first) / static_cast<double>(n);
            backward(loss, Tensor<T>::full(loss.shape(), static_cast<T>(weight)));
            sum += weight * static_cast<double>(loss.item());
        }
        return sum;
    }

    void clip_gradients() {
        try {
            optim::clip_grad_norm(network_, options_.max_grad_norm);
        } catch (const Error& error) {
            fail(error.code(), "training: step ", steps_, ": ", error.what());
        }
    }

    TrainerOptions options_;
    Objective objective_;
    Network network_;
    optim::Adam<T> adam_;
    optim::Ema<Network> ema_;
    Index steps_ = 0;
};

}  // namespace genmod::diffusion
