// DPM-Solver-2 with noise renewed in each step (k-diffusion's dpm_2_ancestral).
#pragma once

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/kdpm2.hpp"

namespace genmod::diffusion {

// midpoint_step() to AncestralSplit's lower level, then noise.
struct Kdpm2Ancestral {
    double eta = 1;
    double s_noise = 1;

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Throws Error when the step starts without noise, and as AncestralSplit and
    // Step::between do.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const AncestralSplit split(at.from, at.to, eta);
        const Tensor<T> down = midpoint_step(predict, x, at, split.down);
        if (eta == 0 || at.to.sigma == 0) return down;
        return split.renew(down, s_noise, noise.template normals<T>(x.shape()));
    }
};

}  // namespace genmod::diffusion
