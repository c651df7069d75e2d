// The scheduler classes of diffusers whose configurations are read here, and which settings each of them has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::diffusion {

// DDIM to EDM Euler load each other's configurations (diffusers' KarrasDiffusionSchedulers); the rest stand alone.
enum class SchedulerClass {
    ddim,
    ddpm,
    pndm,
    lms,
    euler,
    heun,
    euler_ancestral,
    dpm_multistep,
    dpm_singlestep,
    kdpm2,
    kdpm2_ancestral,
    deis,
    unipc,
    dpm_sde,
    edm_euler,
    edm_dpm_multistep,
    ddim_inverse,
    sa_solver,
    lcm,
    tcd,
    consistency,
    flow_euler,
    flow_heun
};

namespace detail {

struct SchedulerClassRow {
    SchedulerClass scheduler;
    const char* name;
    std::string keys;  // the constructor's settings, each with a space on both sides
};

// The constructors share groups of settings.
inline std::vector<SchedulerClassRow> scheduler_class_rows() {
    const std::string base = " num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type ";
    const std::string spacing = " timestep_spacing steps_offset ", zero = " rescale_betas_zero_snr ";
    const std::string threshold = " thresholding dynamic_thresholding_ratio sample_max_value ";
    const std::string clip = " clip_sample clip_sample_range ", one = " set_alpha_to_one ";
    const std::string sigmas = " use_karras_sigmas use_exponential_sigmas use_beta_sigmas ";
    const std::string flow = " use_flow_sigmas flow_shift ", dynamic = " use_dynamic_shifting time_shift_type ";
    const std::string edm = " sigma_min sigma_max sigma_data rho num_train_timesteps ";
    const std::string edm_kind = edm + " sigma_schedule prediction_type final_sigmas_type ";
    const std::string solver = " solver_order solver_type lower_order_final ", last = " final_sigmas_type ";
    const std::string dpm = base + threshold + sigmas + flow + dynamic + solver + last +
                            " algorithm_type variance_type "
                            " lambda_min_clipped ";
    const std::string distilled =
        base + spacing + threshold + clip + one + zero + " original_inference_steps timestep_scaling ";
    return {
        {SchedulerClass::ddim, "DDIMScheduler", base + spacing + threshold + clip + one + zero},
        {SchedulerClass::ddpm, "DDPMScheduler", base + spacing + threshold + clip + zero + " variance_type "},
        {SchedulerClass::pndm, "PNDMScheduler", base + spacing + one + " skip_prk_steps "},
        {SchedulerClass::lms, "LMSDiscreteScheduler", base + spacing + sigmas},
        {SchedulerClass::euler, "EulerDiscreteScheduler",
         base + spacing + sigmas + zero + last + " interpolation_type timestep_type sigma_min sigma_max "},
        {SchedulerClass::heun, "HeunDiscreteScheduler", base + spacing + sigmas + clip},
        {SchedulerClass::euler_ancestral, "EulerAncestralDiscreteScheduler", base + spacing + zero},
        {SchedulerClass::dpm_multistep, "DPMSolverMultistepScheduler",
         dpm + spacing + zero + " euler_at_final use_lu_lambdas "},
        {SchedulerClass::dpm_singlestep, "DPMSolverSinglestepScheduler", dpm},
        {SchedulerClass::kdpm2, "KDPM2DiscreteScheduler", base + spacing + sigmas},
        {SchedulerClass::kdpm2_ancestral, "KDPM2AncestralDiscreteScheduler", base + spacing + sigmas},
        {SchedulerClass::deis, "DEISMultistepScheduler",
         base + spacing + threshold + sigmas + flow + dynamic + solver + " algorithm_type "},
        {SchedulerClass::unipc, "UniPCMultistepScheduler",
         base + spacing + threshold + sigmas + flow + dynamic + solver + last + zero +
             " predict_x0 disable_corrector solver_p sigma_min sigma_max shift_terminal "},
        {SchedulerClass::dpm_sde, "DPMSolverSDEScheduler", base + spacing + sigmas + " noise_sampler_seed "},
        {SchedulerClass::edm_euler, "EDMEulerScheduler", edm_kind},
        {SchedulerClass::edm_dpm_multistep, "EDMDPMSolverMultistepScheduler",
         edm_kind + threshold + solver + " algorithm_type euler_at_final "},
        {SchedulerClass::ddim_inverse, "DDIMInverseScheduler", base + spacing + clip + one + zero},
        {SchedulerClass::sa_solver, "SASolverScheduler",
         base + spacing + threshold + sigmas + flow +
             " predictor_order corrector_order tau_func algorithm_type lower_order_final lambda_min_clipped "
             " variance_type "},
        {SchedulerClass::lcm, "LCMScheduler", distilled},
        {SchedulerClass::tcd, "TCDScheduler", distilled},
        {SchedulerClass::consistency, "CMStochasticIterativeScheduler", edm + " s_noise clip_denoised "},
        {SchedulerClass::flow_euler, "FlowMatchEulerDiscreteScheduler",
         sigmas + dynamic +
             " num_train_timesteps shift shift_terminal invert_sigmas stochastic_sampling base_shift "
             " max_shift base_image_seq_len max_image_seq_len "},
        {SchedulerClass::flow_heun, "FlowMatchHeunDiscreteScheduler", " num_train_timesteps shift "},
    };
}

inline const SchedulerClassRow& class_row(SchedulerClass scheduler) {
    static const std::vector<SchedulerClassRow> rows = scheduler_class_rows();
    for (const SchedulerClassRow& row : rows)
        if (row.scheduler == scheduler) return row;
    fail(ErrorCode::internal, "scheduler class: not one of the enumerators");
}

}  // namespace detail

// diffusers' name of the class.
inline std::string to_string(SchedulerClass scheduler) { return detail::class_row(scheduler).name; }

// The class of that name in diffusers; the "Parallel" variants are what they are without. Throws Error for one that is
// not known here.
inline SchedulerClass parse_scheduler_class(std::string_view name) {
    if (name == "DDIMParallelScheduler") return SchedulerClass::ddim;
    if (name == "DDPMParallelScheduler") return SchedulerClass::ddpm;
    std::string known;
    for (const auto& row : detail::scheduler_class_rows()) {
        if (row.name == name) return row.scheduler;
        known += (known.empty() ? "" : ", ") + std::string(row.name);
    }
    fail(ErrorCode::argument, "scheduler class: unknown name ", io::detail::in_quotes(name), "; known are ", known);
}

// Whether a class has a setting of that name.
inline bool has_setting(SchedulerClass scheduler, std::string_view key) {
    const bool one_word = key.find(' ') == std::string_view::npos;
    return one_word && detail::class_row(scheduler).keys.find(" " + std::string(key) + " ") != std::string::npos;
}

// Whether the class solves along sigmas at signal 1 (and so starts from sigma times noise, where the spacing says so).
inline bool is_euler_family(SchedulerClass scheduler) {
    switch (scheduler) {
        case SchedulerClass::lms:
        case SchedulerClass::euler:
        case SchedulerClass::heun:
        case SchedulerClass::euler_ancestral:
        case SchedulerClass::kdpm2:
        case SchedulerClass::kdpm2_ancestral:
        case SchedulerClass::dpm_sde: return true;
        default: return false;
    }
}

// Whether the class has the multistep solvers' lists of steps.
inline bool is_multistep_family(SchedulerClass scheduler) {
    switch (scheduler) {
        case SchedulerClass::dpm_multistep:
        case SchedulerClass::dpm_singlestep:
        case SchedulerClass::deis:
        case SchedulerClass::unipc:
        case SchedulerClass::sa_solver: return true;
        default: return false;
    }
}

}  // namespace genmod::diffusion
