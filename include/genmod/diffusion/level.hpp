// The noise levels that a sampler moves between.
#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/sigma_table.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// One move of sampling.
struct LevelPair {
    NoiseLevel from;
    NoiseLevel to;
    std::vector<NoiseLevel> inner = {};  // levels within a step of several questions, as its sampler reads them (PNDM)
};

// The way of a sampling run.
struct Levels {
    std::vector<LevelPair> steps = {};
    double start_scale = 1;  // the x of the first level is this times standard normals
    // The level of a sigma (at signal 1) that no step names, for samplers that ask between two levels.
    std::function<NoiseLevel(double sigma)> between = {};
    // The level of a training step t that no step names, for samplers that ask at a time.
    std::function<NoiseLevel(double t)> at_time = {};
};

// A step of a run, as a sampler sees it.
struct Step {
    NoiseLevel from;
    NoiseLevel to;
    Index index = 0;  // 0..total-1
    Index total = 1;
    const Levels* way = nullptr;

    // The level where the noise is `sigma` at signal 1. Throws Error when the levels were made without `between`.
    NoiseLevel between(double sigma) const {
        check(way != nullptr && way->between, "sampling: this sampler asks between the levels, and these levels do ",
              "not say what the network is told there (Levels::between)");
        return way->between(sigma);
    }

    // The level of training step t. Throws Error when the levels were made without `at_time`.
    NoiseLevel at_time(double t) const {
        check(way != nullptr && way->at_time,
              "sampling: this sampler asks for the level of a training step, and these ",
              "levels do not know it (Levels::at_time)");
        return way->at_time(t);
    }

    // What LevelPair::inner says about this step.
    const std::vector<NoiseLevel>& inner() const {
        static const std::vector<NoiseLevel> none;
        return way == nullptr ? none : way->steps[static_cast<std::size_t>(index)].inner;
    }
};

struct LevelOptions {
    SpacingOptions spacing = {};
    bool set_alpha_to_one = true;  // what lies below t = 0: no noise at all, or the noise of t = 0 (Stable Diffusion)
};

// The level of training step t. Throws Error unless t is in 0..T-1.
inline NoiseLevel level(const Schedule& schedule, Index t) {
    const double alpha_bar = schedule.alpha_bar(t);
    return {std::sqrt(alpha_bar), std::sqrt(1 - alpha_bar), static_cast<double>(t)};
}

namespace detail {

// The level of step t, where negative ones stand for the end of sampling.
inline NoiseLevel level_or_end(const Schedule& schedule, Index t, bool set_alpha_to_one) {
    if (t >= 0) return level(schedule, t);
    if (set_alpha_to_one) return {};
    NoiseLevel end = level(schedule, 0);
    end.t = -1;
    return end;
}

}  // namespace detail

// No steps yet, but what lies between them.
inline Levels levels_between(const Schedule& schedule) {
    return {.between = [table = SigmaTable(schedule)](double sigma) { return table.level(sigma); },
            .at_time = [table = SigmaTable(schedule)](double t) { return vp_level(table.sigma(t), t); }};
}

// From each entry of a falling list to the next one, and from the last to the end: DDPM's steps, and DDIM's on a list
// of one's own. Throws Error when the list is empty, rises, or leaves 0..T-1.
inline Levels levels_of_list(const Schedule& schedule, const std::vector<Index>& steps, bool set_alpha_to_one = true) {
    check(!steps.empty(), "levels: the list of steps is empty");
    Levels levels = levels_between(schedule);
    for (std::size_t k = 0; k < steps.size(); ++k) {
        const Index next = k + 1 < steps.size() ? steps[k + 1] : -1;
        check(next <= steps[k], "levels: the list of steps rises from ", steps[k], " to ", next);
        levels.steps.push_back({level(schedule, steps[k]), detail::level_or_end(schedule, next, set_alpha_to_one)});
    }
    return levels;
}

// `count` steps for ancestral sampling (DDPM), each to the next entry of the list, the last one to no noise.
inline Levels ddpm_levels(const Schedule& schedule, Index count, const SpacingOptions& spacing = {}) {
    return levels_of_list(schedule, timesteps(schedule.steps(), count, spacing));
}

// `count` steps as diffusers' DDIM takes them: from t to t - T div count, whatever the spacing says. The quadratic
// sub-sequence has no fixed stride: there each step goes to the next entry of the list.
inline Levels ddim_levels(const Schedule& schedule, Index count, const LevelOptions& options = {}) {
    const auto steps = timesteps(schedule.steps(), count, options.spacing);
    if (options.spacing.timestep_spacing == Spacing::quadratic)
        return levels_of_list(schedule, steps, options.set_alpha_to_one);
    Levels levels = levels_between(schedule);
    for (const Index t : steps) {
        const Index next = t - schedule.steps() / count;
        levels.steps.push_back({level(schedule, t), detail::level_or_end(schedule, next, options.set_alpha_to_one)});
    }
    return levels;
}

// The way up, from a picture to its noise (DDIM inversion, as diffusers' DDIMInverse): at t - T div count the network
// is asked about t, and the step ends at t.
inline Levels ddim_inverse_levels(const Schedule& schedule, Index count, const LevelOptions& options = {}) {
    const Levels down = ddim_levels(schedule, count, options);
    Levels levels = levels_between(schedule);
    for (std::size_t k = down.steps.size(); k > 0; --k) {
        const LevelPair& pair = down.steps[k - 1];
        levels.steps.push_back({{pair.to.alpha, pair.to.sigma, pair.from.t}, pair.from});
    }
    return levels;
}

}  // namespace genmod::diffusion
