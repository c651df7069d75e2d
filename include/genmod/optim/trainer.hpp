// What the trainers of models share: Adam, averaged weights, guarded updates, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

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

namespace genmod::optim {

// The base of a trainer, which adds a step() that says what is trained.
template <class T, class Model>
class Trainer {
public:
    // Takes seed, adam, lr_factor (a CosineLr, times adam.lr), max_grad_norm and ema from the options of a trainer.
    // Throws Error when they do not fit.
    template <class Options>
    Trainer(Model model, const Options& options)
        : seed_(options.seed),
          lr_(options.adam.lr),
          lr_factor_(options.lr_factor),
          max_grad_norm_(options.max_grad_norm),
          model_(std::move(model)),
          adam_(model_, options.adam),
          ema_(model_, options.ema) {}

    // Updates so far.
    Index steps() const { return steps_; }

    const Model& model() const { return model_; }

    // The model with averaged weights.
    const Model& average() const { return ema_.model(); }

    // Puts weights, average, optimiser and step into a checkpoint.
    void save(io::Checkpoint& checkpoint) const {
        checkpoint.put_number("trainer.step", static_cast<std::uint64_t>(steps_));
        checkpoint.put_number("trainer.seed", seed_);
        nn::put_state(model_, checkpoint, "model.");
        nn::put_state(ema_, checkpoint, "average.");
        nn::put_state(adam_, checkpoint, "adam.");
    }

    // Gets them back. Throws Error(bad_file) when the checkpoint is of another model or damaged, Error(argument) when
    // it was made with another seed.
    void load(io::Checkpoint& checkpoint) {
        const std::uint64_t seed = checkpoint.number("trainer.seed");
        check(seed == seed_, "Trainer: the checkpoint was made with seed ", seed, ", not ", seed_);
        nn::get_state(model_, checkpoint, "model.");
        nn::get_state(ema_, checkpoint, "average.");
        nn::get_state(adam_, checkpoint, "adam.");
        steps_ = static_cast<Index>(checkpoint.number("trainer.step"));
    }

protected:
    // One update: gradients(step), which runs backward, then clipping, Adam and averaging. Returns what gradients()
    // did. When it throws, or a gradient is not finite (Error(non_finite), with the step), the weights are unchanged.
    template <class Gradients>
    auto update(Gradients&& gradients) {
        Training scope(seed_, static_cast<std::uint64_t>(steps_));
        const auto result = [&] {
            try {
                const auto losses = gradients(static_cast<std::uint64_t>(steps_));
                clip();
                return losses;
            } catch (...) {
                nn::zero_grad(model_);
                throw;
            }
        }();
        adam_.options.lr = lr_ * lr_factor_(steps_);
        adam_.step();
        scope.commit();
        ema_.update(model_);
        ++steps_;
        return result;
    }

    // Starts what depends on data, before the first update.
    void initialize_model(const Tensor<T>& x) {
        model_.initialize(x);
        ema_ = Ema<Model>(model_, ema_.options);
    }

private:
    void clip() {
        try {
            clip_grad_norm(model_, max_grad_norm_);
        } catch (const Error& error) {
            fail(error.code(), "training: step ", steps_, ": ", error.what());
        }
    }

    std::uint64_t seed_;
    double lr_;
    CosineLr lr_factor_;
    double max_grad_norm_;
    Model model_;
    Adam<T> adam_;
    Ema<Model> ema_;
    Index steps_ = 0;
};

}  // namespace genmod::optim
