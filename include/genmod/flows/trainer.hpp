// Training a flow by maximum likelihood: one step, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/clip_grad.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"

namespace genmod::flows {

struct TrainerOptions {
    std::uint64_t seed = 0;
    optim::AdamOptions adam = {};
    optim::CosineLr lr_factor = {.warmup = 0, .total = 10000};  // times adam.lr
    double max_grad_norm = 5;                                   // of the loss in nats per number
    optim::EmaOptions ema = {.decay = 0.999};
};

// Trains whatever has a log_prob(x: Var [n, ...]) -> Var [n]. All randomness is keyed by (seed, step, sample), so that
// a run that was saved and loaded ends with the same bytes as one that was not interrupted.
template <class T, class Model>
class Trainer {
public:
    // Throws Error when options do not fit.
    Trainer(Model model, const TrainerOptions& options)
        : options_(options), model_(std::move(model)), adam_(model_, options.adam), ema_(model_, options.ema) {}

    // Starts what depends on data, before the first step.
    void initialize(const Tensor<T>& x) {
        model_.initialize(x);
        ema_ = optim::Ema<Model>(model_, options_.ema);
    }

    // One update from a batch x [n, ...]. Returns the mean of -log p in nats. Throws Error(non_finite), with the step,
    // when the loss or a gradient is not finite; the weights are unchanged then.
    double step(const Tensor<T>& x) {
        Training scope(options_.seed, static_cast<std::uint64_t>(steps_));
        double nats = 0;
        try {
            const Var<T> loss = ops::negate(ops::mean(model_.log_prob(Var<T>(x))));
            nats = static_cast<double>(loss.item());
            if (!is_finite(nats)) fail(ErrorCode::non_finite, "the loss is not finite");
            const auto numbers = static_cast<double>(x.size() / x.dim(0));
            backward(ops::scale(loss, 1 / numbers));
            optim::clip_grad_norm(model_, options_.max_grad_norm);
        } catch (const Error& error) {
            nn::zero_grad(model_);
            if (error.code() != ErrorCode::non_finite) throw;
            fail(ErrorCode::non_finite, "training: step ", steps_, ": ", error.what());
        }
        adam_.options.lr = options_.adam.lr * options_.lr_factor(steps_);
        adam_.step();
        scope.commit();
        ema_.update(model_);
        ++steps_;
        return nats;
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
    TrainerOptions options_;
    Model model_;
    optim::Adam<T> adam_;
    optim::Ema<Model> ema_;
    Index steps_ = 0;
};

}  // namespace genmod::flows
