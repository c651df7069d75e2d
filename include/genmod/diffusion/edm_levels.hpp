// The levels of EDM and of consistency models: x = x0 + sigma eps, the network is told log(sigma) / 4.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_lists.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// The defaults are those of diffusers' EDM schedulers (Karras et al. 2022, table 1).
struct EdmLevelOptions {
    double sigma_min = 0.002;
    double sigma_max = 80;
    double rho = 7;
    SigmaSchedule schedule = SigmaSchedule::karras;  // or exponential
    FinalSigma final_sigma = FinalSigma::zero;       // or repeat
    double time_scale = 1;                           // of what the network is told: 1000 for consistency models
};

// The level of EDM at this sigma. (Consistency models add 1e-44 before the logarithm, which changes nothing here.)
inline NoiseLevel edm_level(double sigma, double time_scale = 1) {
    return {1, sigma, time_scale * 0.25 * std::log(sigma)};
}

namespace detail {

inline Levels edm_levels_through(const std::vector<NoiseLevel>& levels, double time_scale, bool repeat) {
    Levels result = levels_through(levels, repeat);
    result.between = [time_scale](double sigma) { return edm_level(sigma, time_scale); };
    result.at_time = [time_scale](double t) { return edm_level(std::exp(4 * t / time_scale), time_scale); };
    return result;
}

}  // namespace detail

// The user's own sigmas, finite and strictly falling; the last one is where the run ends, 0 for no noise. The start is
// sigma times normals.
inline Levels edm_levels_of_sigmas(const std::vector<double>& sigmas, double time_scale = 1) {
    std::vector<NoiseLevel> levels;
    for (const double sigma : sigmas) {
        check(is_finite(sigma) && sigma >= 0, "levels: sigma ", sigma, " is not a finite number from 0");
        levels.push_back(sigma > 0 ? edm_level(sigma, time_scale) : NoiseLevel{});
    }
    Levels result = detail::edm_levels_through(levels, time_scale, false);
    result.start_scale = sigmas.front();
    return result;
}

// `count` steps as diffusers' EDM schedulers take them; they start from sqrt(sigma_max^2 + 1) times normals.
inline Levels edm_levels(Index count, const EdmLevelOptions& options = {}) {
    std::vector<NoiseLevel> levels;
    for (const double sigma :
         scheduled_sigmas(options.schedule, count, {options.sigma_min, options.sigma_max}, options.rho))
        levels.push_back(edm_level(sigma, options.time_scale));
    levels.push_back(options.final_sigma == FinalSigma::zero ? NoiseLevel{} : levels.back());
    Levels result = detail::edm_levels_through(levels, options.time_scale, options.final_sigma != FinalSigma::zero);
    result.start_scale = std::sqrt(options.sigma_max * options.sigma_max + 1);
    return result;
}

// The sigmas of a consistency model distilled on `train_steps` of Karras's, at the user's own steps (0 has the least
// noise), strictly falling; the last step ends at sigma_min (Song et al. 2023, algorithm 1).
inline Levels consistency_levels_of_timesteps(const std::vector<Index>& timesteps, Index train_steps = 40,
                                              const EdmLevelOptions& options = {.time_scale = 1000}) {
    const auto all = karras_sigmas(train_steps, {options.sigma_min, options.sigma_max}, options.rho);
    std::vector<NoiseLevel> levels;
    for (std::size_t left = timesteps.size(); left > 0; --left) {
        const Index k = timesteps[left - 1];
        check(k >= 0 && k < train_steps, "consistency: step ", k, " is not in 0..", train_steps - 1);
        levels.push_back(edm_level(all[static_cast<std::size_t>(k)], options.time_scale));
    }
    check(!levels.empty(), "consistency: the list of steps is empty");
    const bool smallest_already = levels.back().sigma <= options.sigma_min * (1 + 1e-9);
    levels.push_back(smallest_already ? levels.back() : edm_level(options.sigma_min, options.time_scale));
    Levels result = detail::edm_levels_through(levels, options.time_scale, true);
    result.start_scale = options.sigma_max;
    return result;
}

// `count` steps as diffusers' CMStochasticIterativeScheduler takes them. Throws Error unless 1 <= count <= train_steps.
inline Levels consistency_levels(Index count, Index train_steps = 40,
                                 const EdmLevelOptions& options = {.time_scale = 1000}) {
    return consistency_levels_of_timesteps(timesteps(train_steps, count), train_steps, options);
}

}  // namespace genmod::diffusion
