// The settings of diffusers' schedulers: one struct for all classes, with each class's own defaults.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "genmod/core/types.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/scheduler_class.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// Names and meaning are diffusers'. A class reads only the settings that it has there (has_setting()); the defaults
// here are those that most classes share, scheduler_defaults() gives a class's own.
struct SchedulerConfig {
    SchedulerClass scheduler = SchedulerClass::ddim;
    ScheduleOptions schedule = {};
    SpacingOptions spacing = {.timestep_spacing = Spacing::linspace};
    DenoiserOptions denoiser = {.clip_sample = false};  // sigma_data is of the EDM and consistency classes
    bool set_alpha_to_one = true;
    std::optional<std::string> variance_type = {};
    bool skip_prk_steps = false;
    // Which sigmas replace the schedule's:
    bool use_karras_sigmas = false;
    bool use_exponential_sigmas = false;
    bool use_beta_sigmas = false;
    bool use_lu_lambdas = false;
    std::optional<double> sigma_min = {};
    std::optional<double> sigma_max = {};
    double rho = 7;
    std::string sigma_schedule = "karras";
    std::string interpolation_type = "linear";
    std::string timestep_type = "discrete";
    std::string final_sigmas_type = "zero";
    double lambda_min_clipped = -std::numeric_limits<double>::infinity();
    // Solvers:
    Index solver_order = 2;
    std::string algorithm_type = "dpmsolver++";
    std::string solver_type = "midpoint";
    bool lower_order_final = true;
    bool euler_at_final = false;
    bool predict_x0 = true;
    std::vector<Index> disable_corrector = {};
    Index predictor_order = 2;
    Index corrector_order = 2;
    // Distilled models:
    Index original_inference_steps = 50;
    double timestep_scaling = 10;
    double s_noise = 1;
    bool clip_denoised = true;
    // Flow matching:
    bool use_flow_sigmas = false;
    double flow_shift = 1;  // of solvers that can do both
    double shift = 1;       // of the flow classes
    bool use_dynamic_shifting = false;
    std::string time_shift_type = "exponential";
    std::optional<double> shift_terminal = {};
    bool invert_sigmas = false;
    bool stochastic_sampling = false;
    double base_shift = 0.5;
    double max_shift = 1.15;
    Index base_image_seq_len = 256;
    Index max_image_seq_len = 4096;

    // Calls f(name, self.field) for each setting of any class.
    static void visit(auto& self, auto&& f) {
        visit_process(self, f);
        visit_sigmas(self, f);
        visit_solver(self, f);
        visit_flow(self, f);
    }

private:
    static void visit_process(auto& self, auto&& f) {
        f("num_train_timesteps", self.schedule.num_train_timesteps);
        f("beta_start", self.schedule.beta_start);
        f("beta_end", self.schedule.beta_end);
        f("beta_schedule", self.schedule.beta_schedule);
        f("trained_betas", self.schedule.trained_betas);
        f("rescale_betas_zero_snr", self.schedule.rescale_betas_zero_snr);
        f("timestep_spacing", self.spacing.timestep_spacing);
        f("steps_offset", self.spacing.steps_offset);
        f("prediction_type", self.denoiser.prediction_type);
        f("clip_sample", self.denoiser.clip_sample);
        f("clip_sample_range", self.denoiser.clip_sample_range);
        f("thresholding", self.denoiser.thresholding);
        f("dynamic_thresholding_ratio", self.denoiser.dynamic_thresholding_ratio);
        f("sample_max_value", self.denoiser.sample_max_value);
        f("sigma_data", self.denoiser.sigma_data);
        f("set_alpha_to_one", self.set_alpha_to_one);
        f("variance_type", self.variance_type);
        f("skip_prk_steps", self.skip_prk_steps);
    }

    static void visit_sigmas(auto& self, auto&& f) {
        f("use_karras_sigmas", self.use_karras_sigmas);
        f("use_exponential_sigmas", self.use_exponential_sigmas);
        f("use_beta_sigmas", self.use_beta_sigmas);
        f("use_lu_lambdas", self.use_lu_lambdas);
        f("sigma_min", self.sigma_min);
        f("sigma_max", self.sigma_max);
        f("rho", self.rho);
        f("sigma_schedule", self.sigma_schedule);
        f("interpolation_type", self.interpolation_type);
        f("timestep_type", self.timestep_type);
        f("final_sigmas_type", self.final_sigmas_type);
        f("lambda_min_clipped", self.lambda_min_clipped);
    }

    static void visit_solver(auto& self, auto&& f) {
        f("solver_order", self.solver_order);
        f("algorithm_type", self.algorithm_type);
        f("solver_type", self.solver_type);
        f("lower_order_final", self.lower_order_final);
        f("euler_at_final", self.euler_at_final);
        f("predict_x0", self.predict_x0);
        f("disable_corrector", self.disable_corrector);
        f("predictor_order", self.predictor_order);
        f("corrector_order", self.corrector_order);
        f("original_inference_steps", self.original_inference_steps);
        f("timestep_scaling", self.timestep_scaling);
        f("s_noise", self.s_noise);
        f("clip_denoised", self.clip_denoised);
    }

    static void visit_flow(auto& self, auto&& f) {
        f("use_flow_sigmas", self.use_flow_sigmas);
        f("flow_shift", self.flow_shift);
        f("shift", self.shift);
        f("use_dynamic_shifting", self.use_dynamic_shifting);
        f("time_shift_type", self.time_shift_type);
        f("shift_terminal", self.shift_terminal);
        f("invert_sigmas", self.invert_sigmas);
        f("stochastic_sampling", self.stochastic_sampling);
        f("base_shift", self.base_shift);
        f("max_shift", self.max_shift);
        f("base_image_seq_len", self.base_image_seq_len);
        f("max_image_seq_len", self.max_image_seq_len);
    }
};

namespace detail {

// EDM's and the consistency models' own constants.
inline void set_edm_defaults(SchedulerConfig& config) {
    config.sigma_min = 0.002;
    config.sigma_max = 80;
    config.denoiser.sigma_data = 0.5;
}

}  // namespace detail

// What a class of diffusers does when its configuration says nothing.
inline SchedulerConfig scheduler_defaults(SchedulerClass scheduler) {
    SchedulerConfig config{.scheduler = scheduler};
    const auto later_betas = [&](BetaSchedule schedule) {
        config.schedule = {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = schedule};
    };
    switch (scheduler) {
        case SchedulerClass::ddpm: config.variance_type = "fixed_small"; [[fallthrough]];
        case SchedulerClass::ddim:
        case SchedulerClass::ddim_inverse:
            config.spacing.timestep_spacing = Spacing::leading;
            config.denoiser.clip_sample = true;
            break;
        case SchedulerClass::pndm:
            config.spacing.timestep_spacing = Spacing::leading;
            config.set_alpha_to_one = false;
            break;
        case SchedulerClass::heun:
        case SchedulerClass::kdpm2:
        case SchedulerClass::kdpm2_ancestral:
        case SchedulerClass::dpm_sde: later_betas(BetaSchedule::linear); break;
        case SchedulerClass::lcm:
        case SchedulerClass::tcd:
            later_betas(BetaSchedule::scaled_linear);
            config.spacing.timestep_spacing = Spacing::leading;
            break;
        case SchedulerClass::dpm_singlestep: config.lower_order_final = false; break;
        case SchedulerClass::deis:
            config.algorithm_type = "deis";
            config.solver_type = "logrho";
            break;
        case SchedulerClass::unipc: config.solver_type = "bh2"; break;
        case SchedulerClass::sa_solver: config.algorithm_type = "data_prediction"; break;
        case SchedulerClass::consistency: config.schedule.num_train_timesteps = 40; [[fallthrough]];
        case SchedulerClass::edm_euler:
        case SchedulerClass::edm_dpm_multistep: detail::set_edm_defaults(config); break;
        case SchedulerClass::lms:
        case SchedulerClass::euler:
        case SchedulerClass::euler_ancestral:
        case SchedulerClass::dpm_multistep: break;
        case SchedulerClass::flow_euler:
        case SchedulerClass::flow_heun: config.denoiser.prediction_type = PredictionType::flow_prediction; break;
    }
    return config;
}

}  // namespace genmod::diffusion
