// Training as Karras et al. 2022 ("Elucidating the design space of diffusion-based generative models", table 1).
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/regression.hpp"
#include "genmod/diffusion/training_inputs.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::diffusion {

// What Trainer trains: a network F in D(x; sigma) = c_skip x + c_out F(c_in x, log(sigma) / 4) that removes the noise
// from x = x0 + sigma noise, with log(sigma) drawn from N(p_mean, p_std^2). Their loss, weighted by
// (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 = 1 / c_out^2, is the plain squared error of F. Sample with
// denoiser(F, {.sigma_data = ...}) on edm_levels(). As in diffusers, a network of v_prediction says -F.
struct Edm {
    double sigma_data = 0.5;  // the deviation of the data
    double p_mean = -1.2;
    double p_std = 1.2;

    // Of the options, kind and min_snr_gamma belong to schedules; prediction types are epsilon and v_prediction.
    void check_options(const LossOptions& options) const {
        detail::check_regression(options, "edm");
        check(sigma_data > 0 && p_std >= 0, "edm: sigma_data ", sigma_data, " and p_std ", p_std, " must be positive");
    }

    // The sigma of sample k of a training step.
    template <class Key = TrainingKey>
    double draw_sigma(const Key& key, Index k) const {
        return detail::exactly(kernels::Unary::exp, p_mean + p_std * detail::sample_normal(key, Purpose::timestep, k));
    }

    template <class Options = LossOptions>
    RegressionWeights weights(double sigma, const Options& options) const {
        const Reading way = edm_reading(options.prediction_type, {1, sigma}, sigma_data);
        // F solves x0 = c_skip (x0 + sigma noise) + c_out F.
        return {.seen_x0 = way.input,
                .seen_noise = way.input * sigma,
                .target_x0 = (1 - way.x0_x) / way.x0_said,
                .target_noise = -way.x0_x * sigma / way.x0_said,
                .time = detail::exactly(kernels::Unary::log, sigma) / 4};
    }
};

}  // namespace genmod::diffusion
