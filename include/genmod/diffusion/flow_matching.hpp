// Training by flow matching on straight lines (Lipman et al. 2023; Liu et al. 2023; Esser et al. 2024).
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/regression.hpp"
#include "genmod/diffusion/training_inputs.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::diffusion {

// How often training meets each sigma of 0..1: alike, by a normal through the logistic function, or by the density that
// mode_scale gives more weight in the middle (Esser et al. 2024, eq. 19 and 20).
enum class FlowDensity { uniform, logit_normal, mode };

// What Trainer trains: x = (1 - sigma) x0 + sigma noise, and the network says the velocity noise - x0. Sample with
// PredictionType::flow_prediction on flow_levels(). Names and defaults are those of diffusers' training.
struct FlowMatching {
    FlowDensity density = FlowDensity::uniform;
    double logit_mean = 0;  // of logit_normal
    double logit_std = 1;
    double mode_scale = 1.29;  // of mode; -1..2 / (pi - 2)
    double shift = 1;          // moves sigmas towards noise, for larger pictures (shift_sigma())
    Index train_steps = 1000;  // the network is told train_steps * sigma

    // Of the options, kind and min_snr_gamma belong to schedules; the prediction type is flow_prediction anyway.
    void check_options(const LossOptions& options) const {
        detail::check_regression(options, "flow matching");
        check(options.prediction_type == PredictionType::epsilon ||  // the default
                  options.prediction_type == PredictionType::flow_prediction,
              "flow matching: trains flow_prediction, not ", options.prediction_type);
        check(train_steps > 0 && logit_std >= 0 && mode_scale >= -1 && mode_scale <= 1.7519,
              "flow matching: train_steps ", train_steps, ", logit_std ", logit_std, " or mode_scale ", mode_scale,
              " is out of range");
        check(is_finite(shift) && shift > 0, "flow matching: shift ", shift, " is not positive");
    }

    // The sigma of sample k of a training step.
    template <class Key = TrainingKey>
    double draw_sigma(const Key& key, Index k) const {
        return shift_sigma(unshifted(key, k), shift);
    }

    RegressionWeights weights(double sigma, const LossOptions& /*options*/) const {
        return {.seen_x0 = 1 - sigma,
                .seen_noise = sigma,
                .target_x0 = -1,
                .target_noise = 1,
                .time = static_cast<double>(train_steps) * sigma};
    }

private:
    template <class Key>
    double unshifted(const Key& key, Index k) const {
        if (density == FlowDensity::logit_normal)
            return detail::exactly(kernels::Unary::sigmoid,
                                   logit_mean + logit_std * detail::sample_normal(key, Purpose::timestep, k));
        const double u = detail::sample_uniform(key, Purpose::timestep, k);
        if (density == FlowDensity::uniform) return u;
        const double cosine = genmod::detail::exact_cos_sin(u / 4)[0];  // of pi u / 2
        return 1 - u - mode_scale * (cosine * cosine - 1 + u);
    }
};

}  // namespace genmod::diffusion
