// Training a flow by maximum likelihood: one step, and a state that resumes to the bit.
#pragma once

#include <cstdint>
#include <utility>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "genmod/optim/trainer.hpp"

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
class Trainer : public optim::Trainer<T, Model> {
public:
    // Throws Error when options do not fit.
    Trainer(Model model, const TrainerOptions& options) : optim::Trainer<T, Model>(std::move(model), options) {}

    // Starts what depends on data, before the first step.
    void initialize(const Tensor<T>& x) { this->initialize_model(x); }

    // One update from a batch x [n, ...]. Returns the mean of -log p in nats. Throws Error(non_finite), with the step,
    // when the loss or a gradient is not finite; the weights are unchanged then.
    double step(const Tensor<T>& x) {
        return this->update([&](std::uint64_t step) {
            try {
                const Var<T> loss = ops::negate(ops::mean(this->model().log_prob(Var<T>(x))));
                const auto nats = static_cast<double>(loss.item());
                if (!is_finite(nats)) fail(ErrorCode::non_finite, "the loss is not finite");
                backward(ops::scale(loss, static_cast<double>(x.dim(0)) / static_cast<double>(x.size())));
                return nats;
            } catch (const Error& error) {
                if (error.code() != ErrorCode::non_finite) throw;
                fail(ErrorCode::non_finite, "training: step ", step, ": ", error.what());
            }
        });
    }
};

}  // namespace genmod::flows
