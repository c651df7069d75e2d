// DPM-Solver++(2S) with noise renewed in each step (Lu et al. 2022b, algorithm 1; k-diffusion's dpmpp_2s_ancestral).
#pragma once

#include <cmath>

#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// To AncestralSplit's lower level by the x0 of the level midway in log(sigma / alpha) (r = 1/2), then noise. Two
// questions a step; one where it ends without noise, or starts from pure noise, where there is no middle. eta 0 is the
// deterministic solver.
struct Dpmpp2sAncestral {
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
        Tensor<T> x0 = ask<T>(predict, x, at.from).x0;
        if (split.down.sigma > 0 && at.from.alpha > 0) {
            const NoiseLevel middle = at.between(std::sqrt(sigma_ve(at.from) * sigma_ve(split.down)));
            x0 = ask<T>(predict, euler_step(x, x0, at.from, middle), middle).x0;
        }
        const Tensor<T> down = euler_step(x, x0, at.from, split.down);
        if (eta == 0 || at.to.sigma == 0) return down;
        return split.renew(down, s_noise, noise.template normals<T>(x.shape()));
    }
};

}  // namespace genmod::diffusion
