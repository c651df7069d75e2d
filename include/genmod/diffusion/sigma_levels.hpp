// Runs through given sigmas: the way of k-diffusion's samplers and of the schedulers that diffusers made of them.
#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/sigma_lists.hpp"
#include "genmod/diffusion/sigma_table.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// Where the sigmas between the first and the last come from: the schedule's own at evenly spaced steps, or a list that
// replaces them. lu has the sigmas of exponential; diffusers rounds its steps otherwise.
enum class SigmaSchedule { table, karras, exponential, polyexponential, beta, lu, kl_optimal };

// What a run's last step ends in: no noise, the schedule's smallest sigma, or the sigma it began with (a step that does
// nothing, as diffusers' DEIS and SA-Solver take one).
enum class FinalSigma { zero, sigma_min, repeat };

// What the network is told for a step that is not whole.
enum class StepRounding { none, nearest, down };

// Throws Error unless each level has less noise than the one before; the last one may have as much when `repeat`.
inline void check_falling(const std::vector<NoiseLevel>& levels, bool repeat = false) {
    check(levels.size() >= 2, "levels: a way down has at least two levels, found ", levels.size());
    for (std::size_t k = 0; k < levels.size(); ++k) {
        const NoiseLevel& level = levels[k];
        check(is_finite(level.alpha) && is_finite(level.sigma) && is_finite(level.t) && level.alpha >= 0 &&
                  level.sigma >= 0 && level.alpha + level.sigma > 0,
              "levels: level ", k, " (alpha ", level.alpha, ", sigma ", level.sigma, ", t ", level.t, ") is none");
        if (k == 0) continue;
        const double before = levels[k - 1].sigma * level.alpha, after = level.sigma * levels[k - 1].alpha;
        check(after < before || (repeat && k + 1 == levels.size() && after == before), "levels: step ", k,
              " does not go down: from sigma ", sigma_ve(levels[k - 1]), " to ", sigma_ve(level));
    }
}

// From each level to the next. Throws Error as check_falling() does.
inline Levels levels_through(const std::vector<NoiseLevel>& levels, bool repeat = false) {
    check_falling(levels, repeat);
    Levels result;
    for (std::size_t k = 0; k + 1 < levels.size(); ++k) result.steps.push_back({levels[k], levels[k + 1]});
    return result;
}

namespace detail {

// A step that is whole but for rounding errors counts as whole. (diffusers rounds 998.9999999 down to 998, by luck of
// its float tables: at the first step of exponential and beta sigmas on Stable Diffusion's schedule.)
inline double rounded_step(double t, StepRounding rounding) {
    if (rounding == StepRounding::none) return t;
    if (rounding == StepRounding::nearest) return static_cast<double>(round_half_even(t));
    return std::floor(t + 1e-6);
}

inline Levels vp_levels_through(const Schedule& schedule, const std::vector<NoiseLevel>& levels, bool repeat = false) {
    Levels result = levels_between(schedule);
    result.steps = levels_through(levels, repeat).steps;
    result.start_scale = levels.front().sigma;  // sigma times noise at signal 1
    return result;
}

}  // namespace detail

// The user's own sigmas, at signal 1, finite and strictly falling; the last one is where the run ends, 0 for no noise.
// The network is told the steps that have these sigmas, fractions included. Throws Error when they do not fall.
inline Levels levels_of_sigmas(const Schedule& schedule, const std::vector<double>& sigmas) {
    const SigmaTable table(schedule);
    std::vector<NoiseLevel> levels;
    for (const double sigma : sigmas) {
        check(is_finite(sigma) && sigma >= 0, "levels: sigma ", sigma, " is not a finite number from 0");
        levels.push_back(sigma > 0 ? table.level(sigma) : NoiseLevel{});
    }
    return detail::vp_levels_through(schedule, levels);
}

// `count` sigmas between the ends of a range; rho is karras's and polyexponential's. Throws Error as the lists do.
inline std::vector<double> scheduled_sigmas(SigmaSchedule schedule, Index count, const SigmaRange& range,
                                            double rho = 7) {
    switch (schedule) {
        case SigmaSchedule::karras: return karras_sigmas(count, range, rho);
        case SigmaSchedule::polyexponential: return polyexponential_sigmas(count, range, rho);
        case SigmaSchedule::exponential:
        case SigmaSchedule::lu: return exponential_sigmas(count, range);
        case SigmaSchedule::beta: return beta_sigmas(count, range);
        case SigmaSchedule::kl_optimal: return kl_optimal_sigmas(count, range);
        case SigmaSchedule::table: break;
    }
    fail(ErrorCode::argument, "sigmas: the schedule's own sigmas are no list between two ends");
}

// The defaults are those of diffusers' EulerDiscreteScheduler.
struct SigmaLevelOptions {
    SpacingOptions spacing = {.timestep_spacing = Spacing::linspace};
    bool multistep = false;  // the list of steps, and the ends of a replacement, of the multistep solvers
    Index cut = 0;           // of a multistep list: how many of the noisiest training steps are not used
    SigmaSchedule schedule = SigmaSchedule::table;
    double rho = 7;
    bool log_linear = false;  // between two steps of the table, log(sigma) is linear (k-diffusion), not sigma
    std::optional<double> sigma_min = {};  // ends of a replacement; without one, the ends of what it replaces
    std::optional<double> sigma_max = {};
    StepRounding rounding = StepRounding::none;  // of a replacement's steps
    FinalSigma final_sigma = FinalSigma::zero;
    bool unit_start = false;  // begin with plain normals, at any sigma
};

namespace detail {

inline std::vector<NoiseLevel> replaced_levels(const SigmaTable& table, Index count, const SigmaRange& ends,
                                               const SigmaLevelOptions& options) {
    const SigmaRange range{options.sigma_min.value_or(ends.smallest), options.sigma_max.value_or(ends.largest)};
    std::vector<NoiseLevel> levels;
    for (const double sigma : scheduled_sigmas(options.schedule, count, range, options.rho))
        levels.push_back(vp_level(sigma, rounded_step(table.step(sigma), options.rounding)));
    return levels;
}

// The level that the run ends at. The smallest sigma again is the level it was found at, without rounding errors.
inline NoiseLevel final_level(const SigmaTable& table, const NoiseLevel& last, FinalSigma final_sigma) {
    if (final_sigma == FinalSigma::zero) return {};
    const bool smallest_already = sigma_ve(last) <= table.smallest() * (1 + 1e-9);
    if (final_sigma == FinalSigma::repeat || smallest_already) return last;
    return vp_level(table.smallest(), 0);
}

inline Levels sigma_levels_at(const Schedule& schedule, const std::vector<double>& steps, Index count,
                              const SigmaLevelOptions& options) {
    const SigmaTable table(schedule);
    std::vector<NoiseLevel> levels;
    for (const double t : steps) {
        check(t >= 0 && t <= static_cast<double>(schedule.steps() - 1), "levels: step ", t, " is not in 0..",
              schedule.steps() - 1);
        levels.push_back(vp_level(table.sigma(t, options.log_linear), t));
    }
    check(!levels.empty(), "levels: the list of steps is empty");
    if (options.schedule != SigmaSchedule::table) {
        const SigmaRange spaced{sigma_ve(levels.back()), sigma_ve(levels.front())};
        const SigmaRange whole{table.smallest(), table.largest()};
        levels = replaced_levels(table, count, options.multistep ? whole : spaced, options);
    }
    levels.push_back(final_level(table, levels.back(), options.final_sigma));
    Levels result = vp_levels_through(schedule, levels, options.final_sigma != FinalSigma::zero);
    if (options.unit_start) result.start_scale = 1;
    return result;
}

}  // namespace detail

// `count` steps on a schedule, as the sigma-type schedulers of diffusers choose them: the Euler family (Euler, Euler
// ancestral, Heun, LMS, KDPM2, DPM++ SDE) and, with `multistep`, DPM-Solver, DEIS, UniPC and SA-Solver. Throws Error
// for what does not fall.
inline Levels sigma_levels(const Schedule& schedule, Index count, const SigmaLevelOptions& options = {}) {
    if (!options.multistep)
        return detail::sigma_levels_at(schedule, real_timesteps(schedule.steps(), count, options.spacing), count,
                                       options);
    const auto steps = multistep_timesteps(schedule.steps(), count, options.spacing, options.cut);
    return detail::sigma_levels_at(schedule, {steps.begin(), steps.end()}, count, options);
}

// The user's own steps, whole or not, strictly falling within 0..T-1, instead of a spacing. Throws Error when they are
// not, or when other sigmas would replace theirs.
inline Levels levels_of_timesteps(const Schedule& schedule, const std::vector<double>& timesteps,
                                  const SigmaLevelOptions& options = {}) {
    check(options.schedule == SigmaSchedule::table, "levels: steps of one's own keep the schedule's sigmas");
    return detail::sigma_levels_at(schedule, timesteps, static_cast<Index>(timesteps.size()), options);
}

}  // namespace genmod::diffusion
