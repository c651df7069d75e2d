// Euler's method with noise renewed in each step ("Euler a" of k-diffusion).
#pragma once

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// Euler to AncestralSplit's lower level, then noise. eta infinity is x' = alpha' x0 + sigma' z: what diffusers' flow
// matching calls stochastic_sampling.
struct EulerAncestral {
    double eta = 1;
    double s_noise = 1;
    bool draw_on_last_step = false;  // though nothing is added, as diffusers does: it moves a shared generator

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Throws Error when the step starts without noise, and as AncestralSplit does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const AncestralSplit split(at.from, at.to, eta);
        const Tensor<T> down = euler_step(x, ask<T>(predict, x, at.from).x0, at.from, split.down);
        if (eta == 0 || (at.to.sigma == 0 && !draw_on_last_step)) return down;
        return split.renew(down, s_noise, noise.template normals<T>(x.shape()));
    }
};

}  // namespace genmod::diffusion
