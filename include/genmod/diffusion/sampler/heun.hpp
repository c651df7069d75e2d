// Heun's second-order method, with or without churn (Karras et al. 2022).
#pragma once

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/churn.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// Algorithm 2: Euler's step, then the same step along the mean of the slopes at both of its ends. Two questions a step,
// one where it ends without noise.
struct Heun {
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
        const Tensor<T> first = ask<T>(predict, now.x, now.at.from).x0;
        const Tensor<T> euler = euler_step(now.x, first, now.at.from, at.to);
        const Line line(now.at);
        if (at.to.sigma == 0 || line.from_infinity(now.at)) return euler;
        const double s = line.place(now.at.from), end = line.place(at.to);
        const Tensor<T> second = ask<T>(predict, euler, at.to).x0;
        return corrected(euler, first, second, line.unit(at.to) * (s - end) / (2 * end));
    }
};

}  // namespace genmod::diffusion
