// The training loop's body: loss, gradients, optimiser, average, and a state that resumes to the bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/loss.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "genmod/optim/trainer.hpp"

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
class Trainer : public optim::Trainer<T, Network> {
public:
    // Throws Error when options do not fit.
    Trainer(Network network, Objective objective, const TrainerOptions& options)
        : optim::Trainer<T, Network>(std::move(network), options), options_(options), objective_(std::move(objective)) {
        check(options.accumulate >= 1, "Trainer: cannot cut a batch into ", options.accumulate, " parts");
    }

    // One update from a batch x0 [n, ..., c] and its labels (or none). Returns the loss. Throws Error(non_finite), with
    // the step, when the loss or a gradient is not finite; the weights are unchanged then.
    double step(const Tensor<T>& x0, const std::vector<Index>& labels = {}) {
        return this->update([&](std::uint64_t step) { return collect_gradients(x0, labels, step); });
    }

private:
    // Runs the parts of a batch forward and back; the loss is their mean, weighted by their sizes.
    double collect_gradients(const Tensor<T>& x0, const std::vector<Index>& labels, std::uint64_t step) const {
        const Index n = x0.dim(0), part = (n + options_.accumulate - 1) / options_.accumulate;
        double sum = 0;
        for (Index first = 0; first < n; first += part) {
            const Index last = std::min(n, first + part);
            std::vector<Index> own;
            if (!labels.empty()) own.assign(labels.begin() + first, labels.begin() + last);
            const TrainingKey key{options_.seed, step, first};
            const Var<T> loss =
                training_loss(this->model(), objective_, x0.slice(first, last), own, options_.loss, key);
            const double weight = static_cast<double>(last - first) / static_cast<double>(n);
            backward(loss, Tensor<T>::full(loss.shape(), static_cast<T>(weight)));
            sum += weight * static_cast<double>(loss.item());
        }
        return sum;
    }

    TrainerOptions options_;
    Objective objective_;
};

}  // namespace genmod::diffusion
