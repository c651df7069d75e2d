// Multistep sampling of consistency models (Song et al. 2023).
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

// Algorithm 1: the network's picture, noised again to the next level: x' = x0 + sqrt(sigma'^2 - sigma_min^2) z on
// consistency_levels(). Ask the network through denoiser({.sigma_data = 0.5, .sigma_min = 0.002}).
struct Consistency {
    double sigma_min = 0.002;  // a picture with this much noise counts as clean
    double s_noise = 1;

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Noise is drawn where the step ends with some.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const Tensor<T> x0 = ask<T>(predict, x, at.from).x0;
        const double clean = at.to.alpha * sigma_min;
        const double variance = (at.to.sigma - clean) * (at.to.sigma + clean);
        if (!(variance > 0)) return combine(at.to.alpha, x0, 0, x0);
        return combine(at.to.alpha, x0, s_noise * std::sqrt(variance), noise.template normals<T>(x.shape()));
    }
};

}  // namespace genmod::diffusion
