// Denoising diffusion implicit models (Song et al. 2021).
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

// Eq. 12 and 16: x' = alpha' x0 + sqrt(sigma'^2 - s^2) eps + s z with
// s = eta * (sigma' / sigma) * sqrt(1 - alpha^2 / alpha'^2). eta 0 is deterministic, eta 1 is DDPM. On levels that rise
// (ddim_inverse_levels) and with eta 0 it finds the noise of a picture.
struct Ddim {
    double eta = 0;                         // 0..1
    bool use_clipped_model_output = false;  // take eps from the clipped x0, as GLIDE does

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // The standard deviation of the noise that a step adds.
    double noise_std(const NoiseLevel& from, const NoiseLevel& to) const {
        if (eta == 0) return 0;
        const double ratio = from.alpha / to.alpha;
        const double beta = from.sigma * from.sigma - ratio * ratio * to.sigma * to.sigma;  // 1 - ratio^2
        return eta * to.sigma / from.sigma * std::sqrt(std::max(0.0, beta));
    }

    // predict(x, level) -> Prediction. Throws Error unless eta is in 0..1 and, if it is not 0, the step goes down.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const NoiseLevel &from = at.from, &to = at.to;
        check(eta >= 0 && eta <= 1, "ddim: eta ", eta, " is not in 0..1");
        check(eta == 0 || from.alpha <= to.alpha, "ddim: eta ", eta, " on a step to more noise; inversion needs eta 0");
        Prediction<T> said = ask<T>(predict, x, from);
        if (use_clipped_model_output) said.eps = eps_from_x0(x, said.x0, from);
        const double std = noise_std(from, to);
        const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - std * std));
        Tensor<T> next = combine(to.alpha, said.x0, direction, said.eps);
        if (eta > 0) next = combine(1, next, std, noise.template normals<T>(x.shape()));
        return next;
    }
};

}  // namespace genmod::diffusion
