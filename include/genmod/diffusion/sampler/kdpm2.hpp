// DPM-Solver-2 in the setting of Karras et al. 2022 (k-diffusion's dpm_2), with or without churn.
#pragma once

#include <cmath>

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/churn.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// The midpoint rule along sigma: the step goes along the slope at the geometric mean of both sigmas. `to` need not be
// at.to. Asks twice, or once where `to` has no noise.
template <class T, class Predict>
Tensor<T> midpoint_step(const Predict& predict, const Tensor<T>& x, const Step& at, const NoiseLevel& to) {
    const Line line(at);
    const Tensor<T> first = ask<T>(predict, x, at.from).x0;
    const Tensor<T> euler = euler_step(x, first, at.from, to);
    if (to.sigma == 0 || line.from_infinity(at)) return euler;
    const double s = line.place(at.from), end = line.place(to), middle = std::sqrt(s * end);
    const NoiseLevel between = line.level(at, middle);
    const Tensor<T> second = ask<T>(predict, euler_step(x, first, at.from, between), between).x0;
    return corrected(euler, first, second, line.unit(to) * (s - end) / middle);
}

struct Kdpm2 {
    Churn churn = {};

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Throws Error when the step starts without noise, and as Step::between does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const Churned<T> now = churn(x, at, noise);
        return midpoint_step(predict, now.x, now.at, at.to);
    }
};

}  // namespace genmod::diffusion
