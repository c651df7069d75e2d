// Classifier-free guidance that is not the same at all noise levels.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// `weight` where the noise at signal 1 is in low..high, no guidance elsewhere (Kynkaanniemi et al. 2024).
inline GuidanceWeight guidance_between(double weight, double sigma_low, double sigma_high) {
    check(sigma_low >= 0 && sigma_low <= sigma_high, "guidance: from sigma ", sigma_low, " to ", sigma_high,
          " is no interval");
    return [=](const NoiseLevel& level) {
        const double sigma = sigma_ve(level);
        return sigma >= sigma_low && sigma <= sigma_high ? weight : 1.0;
    };
}

// weight(step, total) for each step 0..total-1 of a run on these levels. A question between two levels counts to the
// step that leads through it, one at the end of a step to the next. Throws Error when the levels rise.
inline GuidanceWeight guidance_by_step(const Levels& levels, std::function<double(Index step, Index total)> weight) {
    std::vector<double> sigmas;
    for (const LevelPair& pair : levels.steps) {
        sigmas.push_back(sigma_ve(pair.from));
        check(sigmas.size() < 2 || sigmas.back() <= sigmas[sigmas.size() - 2], "guidance: the levels rise at step ",
              sigmas.size() - 1, ", so they do not tell steps apart");
    }
    check(!sigmas.empty(), "guidance: no levels");
    return [sigmas = std::move(sigmas), weight = std::move(weight)](const NoiseLevel& level) {
        std::size_t step = 0;
        while (step + 1 < sigmas.size() && sigma_ve(level) <= sigmas[step + 1]) ++step;
        return weight(static_cast<Index>(step), static_cast<Index>(sigmas.size()));
    };
}

// `weight` in the steps k of `total` with start <= k / total < stop, no guidance in the others: (0, 0.6) cuts it off
// after 60 % of the steps.
inline GuidanceWeight guidance_in_steps(const Levels& levels, double weight, double start, double stop) {
    check(start >= 0 && start <= stop && stop <= 1, "guidance: from ", start, " to ", stop, " is no part of 0..1");
    return guidance_by_step(levels, [=](Index step, Index total) {
        const double place = static_cast<double>(step) / static_cast<double>(total);
        return place >= start && place < stop ? weight : 1.0;
    });
}

}  // namespace genmod::diffusion
