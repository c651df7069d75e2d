// The noise levels that a scheduler of diffusers visits.
#pragma once

#include <cmath>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "genmod/diffusion/sampler/tcd.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/diffusion/scheduler_sigmas.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

namespace detail {

inline std::vector<Index> whole_steps(const std::vector<double>& timesteps) {
    std::vector<Index> result;
    for (const double t : timesteps) {
        check(t >= 0 && t < 1e9 && t == std::floor(t), "timesteps: ", t, " is not a whole step");
        result.push_back(static_cast<Index>(t));
    }
    return result;
}

inline Levels flow_class_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    check(wanted.timesteps.empty(), "scheduler: a flow takes sigmas of one's own, not timesteps");
    check(!config.use_dynamic_shifting || wanted.mu, "scheduler: use_dynamic_shifting needs mu");
    const FlowLevelOptions options = flow_options(config, wanted, config.shift);
    return wanted.sigmas.empty() ? flow_levels(wanted.steps, options) : flow_levels_of_sigmas(wanted.sigmas, options);
}

inline Levels edm_class_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    EdmLevelOptions options{.rho = config.rho};
    options.sigma_min = config.sigma_min.value_or(options.sigma_min);
    options.sigma_max = config.sigma_max.value_or(options.sigma_max);
    if (config.scheduler == SchedulerClass::consistency) {
        check(wanted.sigmas.empty(), "scheduler: ", config.scheduler, " takes no sigmas of one's own");
        options.time_scale = 1000;
        const Index train_steps = config.schedule.num_train_timesteps;
        if (wanted.timesteps.empty()) return consistency_levels(wanted.steps, train_steps, options);
        return consistency_levels_of_timesteps(whole_steps(wanted.timesteps), train_steps, options);
    }
    check(wanted.timesteps.empty(), "scheduler: ", config.scheduler, " takes no timesteps of one's own");
    if (!wanted.sigmas.empty()) return edm_levels_of_sigmas(wanted.sigmas);
    if (config.sigma_schedule == "exponential") options.schedule = SigmaSchedule::exponential;
    if (config.final_sigmas_type == "sigma_min") options.final_sigma = FinalSigma::repeat;
    return edm_levels(wanted.steps, options);
}

// The classes that move between whole training steps.
inline Levels whole_step_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    const Schedule schedule(config.schedule);
    const LevelOptions options{config.spacing, config.set_alpha_to_one};
    const LcmLevelOptions distilled{.original_inference_steps = config.original_inference_steps};
    check(wanted.sigmas.empty(), "scheduler: ", config.scheduler, " takes no sigmas of one's own");
    if (!wanted.timesteps.empty()) {
        const bool takes = config.scheduler != SchedulerClass::pndm && config.scheduler != SchedulerClass::ddim_inverse;
        check(takes, "scheduler: ", config.scheduler, " takes no timesteps of one's own");
        const bool picture = config.scheduler != SchedulerClass::tcd &&
                             (config.scheduler != SchedulerClass::ddim || config.set_alpha_to_one);
        return levels_of_list(schedule, whole_steps(wanted.timesteps), picture);
    }
    switch (config.scheduler) {
        case SchedulerClass::ddim: return ddim_levels(schedule, wanted.steps, options);
        case SchedulerClass::ddpm: return ddpm_levels(schedule, wanted.steps, config.spacing);
        case SchedulerClass::pndm:
            return pndm_levels(schedule, wanted.steps,
                               {config.spacing, config.set_alpha_to_one, config.skip_prk_steps});
        case SchedulerClass::lcm: return lcm_levels(schedule, wanted.steps, distilled);
        case SchedulerClass::tcd: return tcd_levels(schedule, wanted.steps, distilled);
        default: break;
    }
    check(config.spacing.timestep_spacing != Spacing::linspace, "scheduler: ", config.scheduler, " has no linspace");
    return ddim_inverse_levels(schedule, wanted.steps, options);
}

}  // namespace detail

// What diffusers' set_timesteps() chooses. Throws Error when that many steps, or such lists, are not possible.
inline Levels scheduler_levels(const SchedulerConfig& config, const StepsWanted& wanted) {
    check(wanted.timesteps.empty() || wanted.sigmas.empty(), "scheduler: timesteps and sigmas are both given");
    check(wanted.steps == 0 || (wanted.timesteps.empty() && wanted.sigmas.empty()),
          "scheduler: a number of steps and a list are both given");
    switch (config.scheduler) {
        case SchedulerClass::edm_euler:
        case SchedulerClass::edm_dpm_multistep:
        case SchedulerClass::consistency: return detail::edm_class_levels(config, wanted);
        case SchedulerClass::flow_euler:
        case SchedulerClass::flow_heun: return detail::flow_class_levels(config, wanted);
        default: break;
    }
    if (is_multistep_family(config.scheduler) && config.use_flow_sigmas)
        return detail::solver_flow_levels(config, wanted);
    if (is_multistep_family(config.scheduler) || is_euler_family(config.scheduler))
        return detail::sigma_type_levels(config, wanted);
    return detail::whole_step_levels(config, wanted);
}

}  // namespace genmod::diffusion
