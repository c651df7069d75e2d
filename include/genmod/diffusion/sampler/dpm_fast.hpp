// DPM-Solver-fast: as many questions as one likes, in steps of the third order (Lu et al. 2022; k-diffusion's
// dpm_fast).
#pragma once

#include <cmath>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/dpm_step.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// nfe questions in nfe / 3 + 1 steps between noisy levels, which should lie evenly in log(alpha / sigma): all of the
// third order but the last one or two, which take what is left. A step to no noise after them gives x0 with one
// question more.
struct DpmFast {
    Index nfe = 20;
    double eta = 0;
    double s_noise = 1;

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    Index steps() const { return nfe / 3 + 1; }

    // The order of step `index`: 3, 3, ..., and at last 2 and 1, or 1, or 2.
    Index order(Index index) const {
        const Index left = steps() - index;
        if (nfe % 3 == 0) return left > 2 ? 3 : left;
        return left > 1 ? 3 : nfe % 3;
    }

    // predict(x, level) -> Prediction. Throws Error unless the levels have as many noisy steps as nfe asks for and
    // start with some signal, and as AncestralSplit and Step::between do.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        if (at.to.sigma == 0) return euler_step(x, ask<T>(predict, x, at.from).x0, at.from, at.to);
        check_dpm_step(at);
        const AncestralSplit split({1, sigma_ve(at.from)}, {1, sigma_ve(at.to)}, eta, last_sigma(at));
        DpmStep<T, Predict> from(predict, at, combine(1 / at.from.alpha, x, 0, x), half_log_snr(at.from));
        const double end = half_log_snr(split.down);
        Tensor<T> y;
        switch (order(at.index)) {
            case 1: y = from.first(end); break;
            case 2: y = from.first_and_second(end).high; break;
            default: y = from.second_and_third(end).high; break;
        }
        if (eta > 0) y = split.renew(y, s_noise, noise.template normals<T>(x.shape()));
        return combine(at.to.alpha, y, 0, y);
    }

private:
    // Of the last level that has noise.
    double last_sigma(const Step& at) const {
        check(at.way != nullptr, "dpm fast: a step of no run");
        const LevelPair& last = at.way->steps.back();
        const Index noisy = at.total - (last.to.sigma == 0 ? 1 : 0);
        check(nfe >= 1 && noisy == steps(), "dpm fast: ", nfe, " questions need ", steps(),
              " steps between noisy levels, found ", noisy);
        return sigma_ve(last.to.sigma == 0 ? last.from : last.to);
    }
};

}  // namespace genmod::diffusion
