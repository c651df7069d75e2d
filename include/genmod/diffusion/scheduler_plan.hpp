// From the settings of one of diffusers' schedulers to what a run needs: the sampler, its levels, how answers are read.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sampler/any.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/diffusion/scheduler_levels.hpp"

namespace genmod::diffusion {

namespace detail {

inline DpmSolverMultistep dpm_multistep_of(const SchedulerConfig& config) {
    return {.solver_order = config.solver_order,
            .algorithm_type = parse_dpm_algorithm(config.algorithm_type),
            .solver_type = parse_dpm_solver_type(config.solver_type),
            .lower_order_final = config.lower_order_final,
            .euler_at_final = config.euler_at_final,
            .diffusers_sde_third_order = true};
}

// diffusers turns lower_order_final on where blocks do not fill the run or it ends without noise; there the last step
// is of order 1, or gives x0, in any case.
inline DpmSolverSinglestep dpm_singlestep_of(const SchedulerConfig& config) {
    return {.solver_order = config.solver_order,
            .algorithm_type = parse_dpm_algorithm(config.algorithm_type),
            .solver_type = parse_dpm_solver_type(config.solver_type),
            .lower_order_final = config.lower_order_final,
            .diffusers_sde_third_order = true};
}

inline UniPc unipc_of(const SchedulerConfig& config) {
    return {.solver_order = config.solver_order,
            .predict_x0 = config.predict_x0,
            .solver_type = parse_unipc_type(config.solver_type),
            .lower_order_final = config.lower_order_final,
            .disable_corrector = config.disable_corrector};
}

inline SaSolver sa_solver_of(const SchedulerConfig& config) {
    return {.predictor_order = config.predictor_order,
            .corrector_order = config.corrector_order,
            .data_prediction = config.algorithm_type == "data_prediction",
            .lower_order_final = config.lower_order_final};
}

}  // namespace detail

// The sampler of a scheduler, with the options that diffusers' step() has by default.
template <class Sampler = AnySampler>
Sampler scheduler_sampler(const SchedulerConfig& config) {
    switch (config.scheduler) {
        case SchedulerClass::ddim:
        case SchedulerClass::ddim_inverse: return {Ddim{}};
        case SchedulerClass::ddpm:
            return {Ddpm{.variance_type = parse_variance_type(config.variance_type.value_or("fixed_small"))}};
        case SchedulerClass::pndm: return {Pndm{.prediction_type = config.denoiser.prediction_type}};
        case SchedulerClass::lms: return {Lms{}};
        case SchedulerClass::euler:
        case SchedulerClass::edm_euler: return {Euler{}};
        case SchedulerClass::heun:
        case SchedulerClass::flow_heun: return {Heun{}};
        case SchedulerClass::euler_ancestral: return {EulerAncestral{.draw_on_last_step = true}};
        case SchedulerClass::dpm_multistep:
        case SchedulerClass::edm_dpm_multistep: return {detail::dpm_multistep_of(config)};
        case SchedulerClass::dpm_singlestep: return {detail::dpm_singlestep_of(config)};
        case SchedulerClass::kdpm2: return {Kdpm2{}};
        case SchedulerClass::kdpm2_ancestral: return {Kdpm2Ancestral{}};
        case SchedulerClass::deis:
            return {Deis{.solver_order = config.solver_order, .lower_order_final = config.lower_order_final}};
        case SchedulerClass::unipc: return {detail::unipc_of(config)};
        case SchedulerClass::dpm_sde: return {DpmppSde{}};
        case SchedulerClass::sa_solver: return {detail::sa_solver_of(config)};
        case SchedulerClass::lcm: return {Lcm{.timestep_scaling = config.timestep_scaling}};
        case SchedulerClass::tcd: return {Tcd{}};
        case SchedulerClass::consistency:
            return {Consistency{.sigma_min = config.sigma_min.value_or(0.002), .s_noise = config.s_noise}};
        case SchedulerClass::flow_euler:
            if (config.stochastic_sampling) return {EulerAncestral{.eta = std::numeric_limits<double>::infinity()}};
            return {Euler{}};
    }
    fail(ErrorCode::internal, "scheduler class: not one of the enumerators");
}

// How the answers of a network that such a scheduler drives are read.
inline DenoiserOptions scheduler_denoiser(const SchedulerConfig& config) {
    DenoiserOptions options = config.denoiser;
    if (config.scheduler == SchedulerClass::tcd) options.clip_sample = options.thresholding = false;  // as in diffusers
    if (config.scheduler != SchedulerClass::consistency) return options;
    options.clip_sample = config.clip_denoised;
    options.sigma_min = config.sigma_min.value_or(0.002);
    return options;
}

// sample(denoiser(network, plan.denoiser), plan.sampler, plan.levels, ...) is the run of diffusers' scheduler.
template <class Sampler>
struct SchedulerPlanOf {
    Sampler sampler;
    Levels levels;
    DenoiserOptions denoiser;
};
using SchedulerPlan = SchedulerPlanOf<AnySampler>;

// Throws Error when the settings do not fit together, or that many steps are not possible.
template <class Sampler = AnySampler>
SchedulerPlanOf<Sampler> scheduler_plan(const SchedulerConfig& config, const StepsWanted& wanted) {
    return {scheduler_sampler<Sampler>(config), scheduler_levels(config, wanted), scheduler_denoiser(config)};
}

}  // namespace genmod::diffusion
