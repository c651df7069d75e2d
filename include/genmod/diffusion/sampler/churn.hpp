// Noise added before a step (Karras et al. 2022, algorithm 2).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// x at a noisier level, and the step that starts from there.
template <class T>
struct Churned {
    Tensor<T> x;
    Step at;
};

// Where sigma (at signal 1) is in s_tmin..s_tmax, it first rises to sigma (1 + min(s_churn / steps, sqrt(2) - 1)), and
// the network is asked there. diffusers asks it before the noise is added, about less noise than the step then removes;
// this is the paper's order, and k-diffusion's. Pure noise cannot rise.
struct Churn {
    double s_churn = 0;
    double s_tmin = 0;
    double s_tmax = std::numeric_limits<double>::infinity();
    double s_noise = 1;
    bool draw_always = false;  // also where nothing is added, as k-diffusion does: it moves a shared generator

    double gamma(const Step& at) const {
        const double sigma = sigma_ve(at.from);
        if (at.from.alpha == 0 || sigma < s_tmin || sigma > s_tmax) return 0;
        return std::min(s_churn / static_cast<double>(at.total), std::sqrt(2.0) - 1);
    }

    // Throws Error when s_churn or s_noise is negative, and as Step::between does.
    template <class T, class Noise>
    Churned<T> operator()(const Tensor<T>& x, const Step& at, Noise& noise) const {
        check(s_churn >= 0 && s_noise >= 0, "churn: s_churn ", s_churn, " and s_noise ", s_noise,
              "; expected at least 0");
        const double rise = gamma(at), sigma = sigma_ve(at.from);
        if (rise == 0) {
            if (draw_always) noise.template normals<T>(x.shape());
            return {x, at};
        }
        Step raised = at;
        raised.from = at.between(sigma * (1 + rise));
        const double std = s_noise * sigma * std::sqrt(rise * (2 + rise)), alpha = raised.from.alpha;
        return {combine(alpha / at.from.alpha, x, alpha * std, noise.template normals<T>(x.shape())), raised};
    }
};

}  // namespace genmod::diffusion
