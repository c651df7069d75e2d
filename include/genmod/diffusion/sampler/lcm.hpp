// Latent consistency models (Luo et al. 2023): pictures in one to eight steps from a network distilled for it.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

// The consistency function f = c_skip x + c_out x0 (eq. 9), noised again to the next level: x' = alpha' f + sigma' z.
// With u = timestep_scaling * t, c_skip = d^2 / (u^2 + d^2) and c_out = u / sqrt(u^2 + d^2), so that f = x at t = 0.
struct Lcm {
    double timestep_scaling = 10;
    double sigma_data = 0.5;  // d

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Noise is drawn where the step ends with some.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const double u = timestep_scaling * at.from.t, root = std::hypot(u, sigma_data);
        const double c_skip = sigma_data * sigma_data / (root * root), c_out = u / root;
        const Tensor<T> clean = combine(c_skip, x, c_out, ask<T>(predict, x, at.from).x0);
        if (at.to.sigma == 0) return clean;
        return combine(at.to.alpha, clean, at.to.sigma, noise.template normals<T>(x.shape()));
    }
};

struct LcmLevelOptions {
    Index original_inference_steps = 50;  // steps of the solver that the network was distilled with
    double strength = 1;                  // how far up to start, 0..1; an image to start from is noised to that level
};

// `count` of the steps k - 1, 2k - 1, ..., k = T div original_inference_steps, that a network was distilled on, the
// noisiest first: diffusers' choice. Throws Error unless that many are left at this strength.
inline std::vector<Index> lcm_timesteps(Index train_steps, Index count, const LcmLevelOptions& options = {}) {
    const Index original = options.original_inference_steps;
    check(original >= 1 && original <= train_steps, "lcm: original_inference_steps ", original, " is not in 1..",
          train_steps);
    check(is_finite(options.strength) && options.strength > 0 && options.strength <= 1, "lcm: strength ",
          options.strength, " is not above 0 and at most 1");
    const auto kept = static_cast<Index>(static_cast<double>(original) * options.strength);
    check(count >= 1 && count <= kept, "lcm: asked for ", count, " of ", kept, " steps (", original, " at strength ",
          options.strength, ")");
    const double stride = static_cast<double>(kept) / static_cast<double>(count);
    std::vector<Index> steps;
    for (Index k = 0; k < count; ++k) {
        const auto passed = static_cast<Index>(static_cast<double>(k) * stride);
        steps.push_back((kept - passed) * (train_steps / original) - 1);
    }
    return steps;
}

// From each of lcm_timesteps() to the next one, and from the last to the picture.
inline Levels lcm_levels(const Schedule& schedule, Index count, const LcmLevelOptions& options = {}) {
    return levels_of_list(schedule, lcm_timesteps(schedule.steps(), count, options));
}

}  // namespace genmod::diffusion
