// Exponential moving averages of a model's weights, with the decay rules of diffusers' EMAModel.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/update.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::optim {

struct EmaOptions {
    double decay = 0.9999;
    double min_decay = 0;
    Index update_after = 0;  // updates that only copy
    bool warmup = false;     // decay 1 - (1 + s / inv_gamma)^-power instead of (1 + s) / (10 + s)
    double inv_gamma = 1;
    double power = 2.0 / 3.0;
};

// The decay of update number `update` (1, 2, ...): with s = update - update_after - 1, 0 where s <= 0, else the rule
// above within [min_decay, decay].
inline double ema_decay(Index update, const EmaOptions& options) {
    const auto s = static_cast<double>(std::max<Index>(0, update - options.update_after - 1));
    if (s <= 0) return 0;
    const double rising = options.warmup ? 1 - std::pow(1 + s / options.inv_gamma, -options.power) : (1 + s) / (10 + s);
    return std::max(std::min(rising, options.decay), options.min_decay);
}

// An averaged copy of a model. Parameters are averaged, tensors that are only saved are copied.
template <class Model>
class Ema : public nn::Module {
public:
    EmaOptions options;

    // Throws Error unless the decays are in [0, 1].
    explicit Ema(const Model& model, const EmaOptions& o = {})
        : options(o), model_(nn::clone(model)), updates_(Tensor<Index>::zeros({1})) {
        check(o.decay >= 0 && o.decay <= 1 && o.min_decay >= 0 && o.min_decay <= 1 && o.inv_gamma > 0,
              "Ema: the decays are in [0, 1] and inv_gamma is positive");
    }

    const Model& model() const { return model_; }

    // How many updates there were.
    Index updates() const { return updates_[0]; }

    // average += (1 - decay) * (weight - average). Throws Error when `model` is not built like the first one.
    void update(const Model& model) {
        const double rate = 1 - ema_decay(++updates_[0], options);
        nn::for_each_pair(model_, model, [&]<class Leaf>(const std::string&, Leaf& average, const Leaf& leaf) {
            if constexpr (requires { leaf.requires_grad(); }) {
                using T = typename Leaf::value_type;
                if (leaf.requires_grad())
                    kernels::average_update(leaf.size(), static_cast<T>(rate), leaf.data(), average.value().data());
                else
                    average.value().assign(leaf.value());
            } else {
                average.assign(leaf);
            }
        });
    }

    static void visit(auto& self, auto&& f) {
        f("", self.model_);
        f("ema_updates", self.updates_);
    }

private:
    Model model_;
    Tensor<Index> updates_;  // [1]
};

}  // namespace genmod::optim
