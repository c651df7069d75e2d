// Trajectory consistency distillation (Zheng et al. 2024): few steps, with as much noise between them as one likes.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

// Strategic stochastic sampling (algorithm 4): a deterministic move to the level of s = (1 - eta) t', rounded down, and
// noise from there up to t'. eta 0 is DDIM, eta 1 goes through the clean picture at every step.
struct Tcd {
    double eta = 0.3;  // 0..1, the paper's gamma

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Noise is drawn unless eta is 0 or the run ends. Throws Error unless eta is in
    // 0..1, and as Step::at_time() does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        check(eta >= 0 && eta <= 1, "tcd: eta ", eta, " is not in 0..1");
        const Prediction<T> said = ask<T>(predict, x, at.from);
        if (eta == 0 || at.to.t <= 0) return combine(at.to.alpha, said.x0, at.to.sigma, said.eps);
        // As floats, because diffusers rounds there: 0.7 * 90 is 63, in double just below.
        const float s = std::floor(static_cast<float>(1 - eta) * static_cast<float>(at.to.t));
        const NoiseLevel less = at.at_time(static_cast<double>(s));
        const Tensor<T> moved = combine(less.alpha, said.x0, less.sigma, said.eps);
        const double kept = at.to.alpha / less.alpha,
                     rest = at.to.sigma * at.to.sigma - kept * kept * less.sigma * less.sigma;
        return combine(kept, moved, std::sqrt(std::max(0.0, rest)), noise.template normals<T>(x.shape()));
    }
};

// LCM's steps, but for the last one, which ends at the level of t = 0 instead of at the picture itself, as in
// diffusers.
inline Levels tcd_levels(const Schedule& schedule, Index count, const LcmLevelOptions& options = {}) {
    return levels_of_list(schedule, lcm_timesteps(schedule.steps(), count, options), false);
}

}  // namespace genmod::diffusion
