// The noise levels of diffusers' sigma-type and multistep schedulers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_table.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// What set_timesteps() is asked for: a number of steps, or a list of one's own instead.
struct StepsWanted {
    Index steps = 0;
    std::vector<double> timesteps = {};  // falling, within the training steps; the run ends as the scheduler's would
    std::vector<double> sigmas = {};  // falling, the end included; of flows the end is not, and they are still shifted
    std::optional<double> mu = {};    // of use_dynamic_shifting
};

namespace detail {

inline SigmaSchedule sigma_schedule_of(const SchedulerConfig& config) {
    if (config.use_karras_sigmas) return SigmaSchedule::karras;
    if (config.use_lu_lambdas) return SigmaSchedule::lu;
    if (config.use_exponential_sigmas) return SigmaSchedule::exponential;
    return config.use_beta_sigmas ? SigmaSchedule::beta : SigmaSchedule::table;
}

// KDPM2 and the multistep solvers tell the network whole steps where karras's sigmas lie; the latter always.
inline StepRounding rounding_of(const SchedulerConfig& config, SigmaSchedule list) {
    const bool kdpm2 = config.scheduler == SchedulerClass::kdpm2 || config.scheduler == SchedulerClass::kdpm2_ancestral;
    if (kdpm2 && list == SigmaSchedule::karras) return StepRounding::nearest;
    if (!is_multistep_family(config.scheduler)) return StepRounding::none;
    const bool dense = config.scheduler == SchedulerClass::dpm_multistep &&
                       config.schedule.beta_schedule == BetaSchedule::squaredcos_cap_v2;
    const bool nearest = (list == SigmaSchedule::karras || list == SigmaSchedule::lu) && !dense;
    return nearest ? StepRounding::nearest : StepRounding::down;
}

inline FinalSigma final_sigma_of(const SchedulerConfig& config, bool replaced) {
    const bool never_zero = config.scheduler == SchedulerClass::deis || config.scheduler == SchedulerClass::sa_solver;
    if (!never_zero && config.final_sigmas_type == "zero") return FinalSigma::zero;
    const bool repeats = never_zero || config.scheduler == SchedulerClass::unipc;
    return repeats && replaced ? FinalSigma::repeat : FinalSigma::sigma_min;
}

// How many of the noisiest training steps have a log signal-to-noise ratio below lambda_min_clipped.
inline Index cut_of(const SchedulerConfig& config, const SigmaTable& table) {
    if (!has_setting(config.scheduler, "lambda_min_clipped")) return 0;
    return static_cast<Index>(std::count_if(table.logs.begin(), table.logs.end(),
                                            [&](double log_sigma) { return -log_sigma < config.lambda_min_clipped; }));
}

inline SigmaLevelOptions sigma_options(const SchedulerConfig& config, const SigmaTable& table) {
    const SigmaSchedule list = sigma_schedule_of(config);
    const bool multistep = is_multistep_family(config.scheduler);
    SigmaLevelOptions options{.spacing = config.spacing,
                              .multistep = multistep,
                              .cut = cut_of(config, table),
                              .schedule = list,
                              .rounding = rounding_of(config, list),
                              .final_sigma = final_sigma_of(config, list != SigmaSchedule::table),
                              .unit_start = multistep || config.spacing.timestep_spacing == Spacing::leading};
    // These two look at the whole configuration for the ends of the other lists only.
    const bool own_karras = list == SigmaSchedule::karras &&
                            (config.scheduler == SchedulerClass::lms || config.scheduler == SchedulerClass::dpm_sde);
    if (list == SigmaSchedule::lu || own_karras) return options;
    options.sigma_min = config.sigma_min;
    options.sigma_max = config.sigma_max;
    if (config.interpolation_type == "log_linear") {
        options.sigma_min = config.sigma_min.value_or(table.smallest());
        options.sigma_max = config.sigma_max.value_or(table.largest());
    }
    return options;
}

// Euler's interpolation_type log_linear: sigmas even in their logarithm between the ends of the table, at the steps of
// the spacing whatever their sigmas are. As in diffusers the run ends at the smallest sigma.
inline Levels log_linear_levels(const Schedule& schedule, Index count, const SigmaLevelOptions& options) {
    const SigmaTable table(schedule);
    const auto steps = real_timesteps(schedule.steps(), count, options.spacing);
    const auto sigmas = exponential_sigmas(count + 1, {table.smallest(), table.largest()});
    std::vector<NoiseLevel> levels;
    for (std::size_t k = 0; k < steps.size(); ++k) levels.push_back(vp_level(sigmas[k], steps[k]));
    levels.push_back(vp_level(sigmas.back(), 0));
    Levels result = vp_levels_through(schedule, levels);
    if (options.unit_start) result.start_scale = 1;
    return result;
}

// The network is told log(sigma) / 4 instead of a step.
inline Levels told_continuously(Levels levels) {
    const auto tell = [](NoiseLevel level) {
        if (level.sigma > 0) level.t = 0.25 * std::log(sigma_ve(level));
        return level;
    };
    for (LevelPair& pair : levels.steps) pair = {tell(pair.from), tell(pair.to)};
    levels.between = [tell](double sigma) { return tell(vp_level(sigma, 0)); };
    levels.at_time = [](double t) { return vp_level(std::exp(4 * t), t); };
    return levels;
}

inline Levels sigma_type_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    const Schedule schedule(config.schedule);
    const SigmaLevelOptions options = sigma_options(config, SigmaTable(schedule));
    Levels levels;
    if (!wanted.sigmas.empty()) {
        levels = levels_of_sigmas(schedule, wanted.sigmas);
        if (options.unit_start) levels.start_scale = 1;
    } else if (!wanted.timesteps.empty()) {
        levels = levels_of_timesteps(schedule, wanted.timesteps, options);
    } else if (config.interpolation_type == "log_linear" && options.schedule == SigmaSchedule::table) {
        levels = log_linear_levels(schedule, wanted.steps, options);
    } else {
        levels = sigma_levels(schedule, wanted.steps, options);
    }
    const bool continuous =
        config.timestep_type == "continuous" && config.denoiser.prediction_type == PredictionType::v_prediction;
    return continuous ? told_continuously(levels) : levels;
}

inline FlowLevelOptions flow_options(const SchedulerConfig& config, const StepsWanted& wanted, double shift) {
    FlowLevelOptions options{
        .train_steps = config.schedule.num_train_timesteps,
        .shift = shift,
        .time_shift_type = config.time_shift_type == "linear" ? TimeShift::linear : TimeShift::exponential,
        .schedule = sigma_schedule_of(config),
        .sigma_min = config.sigma_min,
        .sigma_max = config.sigma_max};
    if (config.shift_terminal.value_or(0) > 0) options.shift_terminal = config.shift_terminal;
    if (config.use_dynamic_shifting) options.mu = wanted.mu;
    return options;
}

// UniPC's karras sigmas of a flow: those at signal 1, of the table's range, as a flow's.
inline Levels unipc_karras_flow(const SchedulerConfig& config, Index count) {
    const SigmaTable table{Schedule(config.schedule)};
    const auto total = static_cast<double>(config.schedule.num_train_timesteps);
    std::vector<NoiseLevel> levels;
    for (const double sigma : karras_sigmas(
             count, {config.sigma_min.value_or(table.smallest()), config.sigma_max.value_or(table.largest())}))
        levels.push_back(flow_level(sigma / (sigma + 1), std::floor(sigma / (sigma + 1) * total)));
    levels.push_back(config.final_sigmas_type == "zero" ? NoiseLevel{} : levels.back());
    return flow_levels_through(levels, config.schedule.num_train_timesteps, config.final_sigmas_type != "zero");
}

// The multistep solvers with use_flow_sigmas. Only UniPC has the time shifts of the flow classes.
inline Levels solver_flow_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    check(wanted.timesteps.empty() && wanted.sigmas.empty(), "scheduler: ", config.scheduler,
          " takes no list of one's own on a flow");
    const bool unipc = config.scheduler == SchedulerClass::unipc;
    if (config.use_karras_sigmas) return unipc_karras_flow(config, wanted.steps);
    FlowLevelOptions options = flow_options(config, wanted, config.flow_shift);
    if (!unipc && options.mu) {
        options.shift = std::exp(*options.mu);
        options.mu.reset();
    }
    const bool never_zero = config.scheduler == SchedulerClass::deis || config.scheduler == SchedulerClass::sa_solver;
    const bool zero = !never_zero && config.final_sigmas_type == "zero";
    options.final_sigma = zero ? FinalSigma::zero : FinalSigma::repeat;
    Levels levels = multistep_flow_levels(wanted.steps, unipc ? FlowList::unipc : FlowList::dpm_solver, options);
    if (zero || never_zero || unipc) return levels;
    // DPM-Solver ends at the smallest sigma of the table, also on a flow.
    LevelPair& last = levels.steps.back();
    last.to = flow_level(SigmaTable(Schedule(config.schedule)).smallest(), 0);
    check_falling({last.from, last.to});
    return levels;
}

}  // namespace detail

}  // namespace genmod::diffusion
