// Euler's method, with or without churn (Karras et al. 2022).
#pragma once

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/churn.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// Algorithm 2 without its second half. Without churn it is DDIM of eta 0, and on the levels of a flow
// x' = x + (sigma' - sigma) (eps - x0).
struct Euler {
    Churn churn = {};

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Throws Error when the step starts without noise, and as Churn does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const Churned<T> now = churn(x, at, noise);
        return euler_step(now.x, ask<T>(predict, now.x, now.at.from).x0, now.at.from, at.to);
    }
};

}  // namespace genmod::diffusion
