// Stochastic gradient descent.
#pragma once

#include <string>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/update.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::optim {

struct SgdOptions {
    double lr = 1e-2;
    double momentum = 0;
    double weight_decay = 0;
    bool nesterov = false;
};

// torch.optim.SGD with dampening 0. The options may be changed between steps.
template <class T>
class Sgd : public nn::Module {
public:
    SgdOptions options;

    // Takes the trained leaves of a model, whose numbers it will change. Throws Error when the options are out of
    // range.
    template <class Model>
    explicit Sgd(const Model& model, const SgdOptions& o = {}) : options(o) {
        check(o.lr >= 0 && o.momentum >= 0 && o.weight_decay >= 0 && (!o.nesterov || o.momentum > 0),
              "Sgd: lr, momentum and weight_decay are at least 0, and nesterov needs momentum");
        nn::for_each_leaf(model, [&](const std::string& key, const auto& leaf, nn::Layout layout) {
            if constexpr (requires { leaf.requires_grad(); })
                if (leaf.requires_grad()) slots_.push_back({key, leaf, layout, {}});
        });
        check(!slots_.empty(), "Sgd: the model has no trained parameters");
        if (o.momentum > 0)
            for (Slot& slot : slots_) slot.momentum = Tensor<T>::zeros(slot.weight.shape());
        started_ = Tensor<Index>::zeros({static_cast<Index>(slots_.size())});
    }

    // One step along the collected gradients, which are used up: they are empty afterwards. Parameters without a
    // gradient stay.
    void step() {
        for (std::size_t k = 0; k < slots_.size(); ++k) {
            Slot& slot = slots_[k];
            if (slot.weight.grad().empty()) continue;
            Index& started = started_[static_cast<Index>(k)];
            kernels::sgd_update<T>(slot.weight.size(),
                                   {.lr = static_cast<T>(options.lr),
                                    .momentum = static_cast<T>(options.momentum),
                                    .weight_decay = static_cast<T>(options.weight_decay),
                                    .nesterov = options.nesterov,
                                    .first = started == 0},
                                   slot.weight.grad().data(), slot.weight.value().data(), slot.momentum.data());
            started = 1;
            slot.weight.zero_grad();
        }
    }

    static void visit(auto& self, auto&& f) {
        for (auto& slot : self.slots_) f("momentum." + slot.key, slot.momentum, slot.layout);
        f("started", self.started_);
    }

private:
    struct Slot {
        std::string key;
        Var<T> weight;
        nn::Layout layout;
        Tensor<T> momentum;  // empty when there is none
    };
    std::vector<Slot> slots_;
    Tensor<Index> started_;  // [slots]
};

}  // namespace genmod::optim
