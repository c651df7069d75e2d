// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/update.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::optim {

struct AdamOptions {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
    bool decoupled = false;  // AdamW: decay shrinks the weights instead of adding to the gradients
};

namespace detail {

// base^exponent by squaring: the same bits on every machine.
inline double integer_power(double base, Index exponent) {
    double result = 1;
    for (; exponent > 0; exponent /= 2, base *= base)
        if (exponent % 2 == 1) result *= base;
    return result;
}

}  // namespace detail

// torch.optim.Adam and, with decoupled decay, AdamW. The options may be changed between steps.
template <class T>
class Adam : public nn::Module {
public:
    AdamOptions options;

    // Takes the trained leaves of a model, whose numbers it will change. Throws Error when the options are out of
    // range.
    template <class Model>
    explicit Adam(const Model& model, const AdamOptions& o = {}) : options(o) {
        check(o.lr >= 0 && o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1 && o.eps >= 0 &&
                  o.weight_decay >= 0,
              "Adam: lr, eps and weight_decay are at least 0, the betas in [0, 1)");
        nn::for_each_leaf(model, [&](const std::string& key, const auto& leaf, nn::Layout layout) {
            if constexpr (requires { leaf.requires_grad(); })
                if (leaf.requires_grad())
                    slots_.push_back(
                        {key, leaf, layout, Tensor<T>::zeros(leaf.shape()), Tensor<T>::zeros(leaf.shape())});
        });
        check(!slots_.empty(), "Adam: the model has no trained parameters");
        steps_ = Tensor<Index>::zeros({static_cast<Index>(slots_.size())});
    }

    // One step along the collected gradients, which are used up: they are empty afterwards. Parameters without a
    // gradient stay, and so do their counts of steps.
    void step() {
        for (std::size_t k = 0; k < slots_.size(); ++k) {
            Slot& slot = slots_[k];
            if (slot.weight.grad().empty()) continue;
            const Index t = ++steps_[static_cast<Index>(k)];
            kernels::adam_update<T>(slot.weight.size(), coefficients(t), slot.weight.grad().data(),
                                    slot.weight.value().data(), slot.exp_avg.data(), slot.exp_avg_sq.data());
            slot.weight.zero_grad();
        }
    }

    static void visit(auto& self, auto&& f) {
        for (auto& slot : self.slots_) {
            f("exp_avg." + slot.key, slot.exp_avg, slot.layout);
            f("exp_avg_sq." + slot.key, slot.exp_avg_sq, slot.layout);
        }
        f("step", self.steps_);
    }

private:
    struct Slot {
        std::string key;
        Var<T> weight;
        nn::Layout layout;
        Tensor<T> exp_avg, exp_avg_sq;
    };

    kernels::AdamStep<T> coefficients(Index t) const {
        const AdamOptions& o = options;
        const double correction1 = 1 - detail::integer_power(o.beta1, t);
        const double correction2 = 1 - detail::integer_power(o.beta2, t);
        return {.rate1 = static_cast<T>(1 - o.beta1),
                .beta2 = static_cast<T>(o.beta2),
                .rate2 = static_cast<T>(1 - o.beta2),
                .eps = static_cast<T>(o.eps),
                .step_size = static_cast<T>(o.lr / correction1),
                .root_scale = static_cast<T>(1 / std::sqrt(correction2)),
                .weight_decay = static_cast<T>(o.decoupled ? 0 : o.weight_decay),
                .keep = static_cast<T>(o.decoupled ? 1 - o.lr * o.weight_decay : 1)};
    }

    std::vector<Slot> slots_;
    Tensor<Index> steps_;  // [slots]
};

}  // namespace genmod::optim
