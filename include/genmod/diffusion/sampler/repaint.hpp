// Inpainting with an unconditional network by going back and forth (RePaint: Lugmayr et al. 2022).
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/inpaint.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

// Algorithm 1, with DDIM's step in the place of DDPM's, as in diffusers: a step down moves x, and puts the original
// with fresh noise where it is kept; a step up adds noise. Each takes one draw.
template <class T>
struct RePaint {
    Tensor<T> original;  // of the shape of x
    Tensor<T> mask;      // see blend(): 1 is repainted, 0 keeps the original (diffusers has it the other way here)
    double eta = 0;      // 0..1, of DDIM

    // Nothing to remember between steps.
    template <class U>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction; not asked on the way up. Throws Error unless eta is in 0..1 and shapes fit.
    template <std::same_as<T> U, class Predict, class Noise>
    Tensor<U> step(const Predict& predict, const Tensor<U>& x, const Step& at, State<U>& /*state*/,
                   Noise& noise) const {
        check(eta >= 0 && eta <= 1, "repaint: eta ", eta, " is not in 0..1");
        const NoiseLevel &from = at.from, &to = at.to;
        const Tensor<U> z = noise.template normals<U>(x.shape());
        if (sigma_ve(to) > sigma_ve(from)) {
            const double kept = to.alpha / from.alpha,
                         rest = to.sigma * to.sigma - kept * kept * from.sigma * from.sigma;
            return combine(kept, x, std::sqrt(std::max(0.0, rest)), z);
        }
        const Prediction<U> said = ask<U>(predict, x, from);
        const double std = Ddim{.eta = eta}.noise_std(from, to);
        const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - std * std));
        const Tensor<U> moved = combine(1, combine(to.alpha, said.x0, direction, said.eps), std, z);
        return blend(mask, moved, combine(to.alpha, original, to.sigma, z));
    }
};

struct RepaintLevelOptions {
    Index jump_length = 10;    // steps up at a time
    Index jump_n_sample = 10;  // how often each stretch is gone down
};

// Down in `count` steps of T div count, and at every jump_length-th level jump_n_sample - 1 times up again by
// jump_length steps (figure 9 of the paper), as in diffusers. But where T div count is above 1, diffusers' steps up add
// the noise of other training steps than were gone down; here they lead back to the level. Throws Error as timesteps()
// does, and unless the options are at least 1 and the way has at most ten million steps.
inline Levels repaint_levels(const Schedule& schedule, Index count, const RepaintLevelOptions& options = {}) {
    const Index length = options.jump_length, times = options.jump_n_sample;
    check(length >= 1 && times >= 1 && times <= 1000000, "repaint: jump_length ", length, " and jump_n_sample ", times,
          " are not in 1..1000000");
    check(count <= 5000000 / times, "repaint: ", count, " steps are too many to go ", times, " times");
    const Levels down = ddim_levels(schedule, count);
    const auto pair = [&](Index t) { return down.steps[static_cast<std::size_t>(count - 1 - t)]; };
    std::vector<Index> jumps(static_cast<std::size_t>(count), 0);
    for (Index t = 0; t < count - length; t += length) jumps[static_cast<std::size_t>(t)] = times - 1;
    Levels levels = levels_between(schedule);
    for (Index t = count - 1; t >= 0; --t) {
        levels.steps.push_back(pair(t));
        Index& left = jumps[static_cast<std::size_t>(t)];
        if (left == 0) continue;
        --left;
        for (Index k = 0; k < length; ++k, ++t) levels.steps.push_back({pair(t).to, pair(t).from});
    }
    return levels;
}

}  // namespace genmod::diffusion
