// The stochastic single-step DPM-Solver++ (k-diffusion's dpmpp_sde; diffusers' DPMSolverSDEScheduler).
#pragma once

#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// Both halves of a step are ancestral: to a level between (at r of the way in log(sigma / alpha)), which is asked too,
// and with what both said to the end. Their noise is what one Brownian motion gains on either way. Two questions a
// step; one where it ends without noise, or starts from pure noise, where there is nothing between.
struct DpmppSde {
    double eta = 1;
    double s_noise = 1;
    double r = 0.5;

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Throws Error unless r is in (0, 1) and the step starts with noise, and as
    // AncestralSplit and Step::between do.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        check(r > 0 && r < 1, "dpmpp_sde: r ", r, " is not between 0 and 1");
        Tensor<T> x0 = ask<T>(predict, x, at.from).x0;
        if (at.to.sigma > 0 && at.from.alpha > 0) {
            const double begin = std::log(sigma_ve(at.from)), end = std::log(sigma_ve(at.to));
            const NoiseLevel middle = at.between(std::exp(begin + r * (end - begin)));
            const Tensor<T> second = ask<T>(predict, ancestral(x, x0, at.from, middle, noise), middle).x0;
            x0 = combine(1 - 1 / (2 * r), x0, 1 / (2 * r), second);
        }
        return ancestral(x, x0, at.from, at.to, noise);
    }

private:
    template <class T, class Noise>
    Tensor<T> ancestral(const Tensor<T>& x, const Tensor<T>& x0, const NoiseLevel& from, const NoiseLevel& to,
                        Noise& noise) const {
        const AncestralSplit split(from, to, eta);
        const Tensor<T> down = euler_step(x, x0, from, split.down);
        if (split.up == 0) return down;
        return split.renew(down, s_noise, noise.template brownian<T>(x.shape(), sigma_ve(from), sigma_ve(to)));
    }
};

}  // namespace genmod::diffusion
