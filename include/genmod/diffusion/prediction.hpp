// What a network says about a noisy picture, in the one currency that every sampler takes.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// What the network was trained to predict: the noise, the clean picture, v = alpha * eps - sigma * x0 (Salimans and Ho
// 2022), or the velocity eps - x0 of flow matching (Lipman et al. 2023; Liu et al. 2023). The names are diffusers'.
enum class PredictionType { epsilon, sample, v_prediction, flow_prediction };

inline std::string to_string(PredictionType type) {
    switch (type) {
        case PredictionType::epsilon: return "epsilon";
        case PredictionType::sample: return "sample";
        case PredictionType::v_prediction: return "v_prediction";
        case PredictionType::flow_prediction: return "flow_prediction";
    }
    return "unknown";
}

// The type of that name. Throws Error for an unknown one.
inline PredictionType parse_prediction_type(std::string_view name) {
    for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction,
                            PredictionType::flow_prediction})
        if (to_string(type) == name) return type;
    fail(ErrorCode::argument, "prediction type: unknown name \"", name,
         "\"; known are epsilon, sample, v_prediction, flow_prediction");
}

// All tensors have the shape of x.
template <class T>
struct Prediction {
    Tensor<T> x0;        // clipped, where the denoiser clips
    Tensor<T> eps;       // as the network said it
    Tensor<T> variance;  // raw extra channels; empty unless the network has them
    Tensor<T> gradient;  // scale * grad log p(y | x) of a guiding classifier; empty without one
};

// x0 and eps from what the network said at this level. Throws Error where that says nothing about the other one: an
// epsilon at alpha 0 (pure noise), a sample at sigma 0 (no noise).
template <class T>
Prediction<T> to_prediction(PredictionType type, const Tensor<T>& said, const Tensor<T>& x, const NoiseLevel& level) {
    const double alpha = level.alpha, sigma = level.sigma;
    switch (type) {
        case PredictionType::epsilon:
            check(alpha != 0, "prediction: epsilon tells nothing about x0 at pure noise (t ", level.t,
                  "); a schedule of zero terminal SNR needs v_prediction");
            return {.x0 = combine(1 / alpha, x, -sigma / alpha, said), .eps = said, .variance = {}, .gradient = {}};
        case PredictionType::sample:
            check(sigma != 0, "prediction: a sample tells nothing about the noise where there is none (t ", level.t,
                  ")");
            return {.x0 = said, .eps = combine(1 / sigma, x, -alpha / sigma, said), .variance = {}, .gradient = {}};
        case PredictionType::v_prediction:
            return {.x0 = combine(alpha, x, -sigma, said),
                    .eps = combine(alpha, said, sigma, x),
                    .variance = {},
                    .gradient = {}};
        case PredictionType::flow_prediction: {
            // x = alpha x0 + sigma eps and said = eps - x0; on a flow's levels alpha + sigma is 1.
            const double whole = alpha + sigma;
            return {.x0 = combine(1 / whole, x, -sigma / whole, said),
                    .eps = combine(1 / whole, x, alpha / whole, said),
                    .variance = {},
                    .gradient = {}};
        }
    }
    fail(ErrorCode::internal, "prediction type: not one of the enumerators");
}

// The noise that leads from this x0 to x.
template <class T>
Tensor<T> eps_from_x0(const Tensor<T>& x, const Tensor<T>& x0, const NoiseLevel& level) {
    check(level.sigma != 0, "prediction: no noise to tell from x0 at t ", level.t);
    return combine(1 / level.sigma, x, -level.alpha / level.sigma, x0);
}

// Moves the prediction along the classifier's gradient (Dhariwal and Nichol 2021, algorithm 2):
// eps - sigma * gradient, and the x0 that belongs to it, not clipped again.
template <class T>
Prediction<T> with_gradient_in_eps(Prediction<T> prediction, const Tensor<T>& x, const NoiseLevel& level) {
    if (prediction.gradient.empty()) return prediction;
    check(level.alpha != 0, "prediction: classifier guidance cannot start from pure noise (t ", level.t, ")");
    prediction.eps = combine(1, eps_from_x0(x, prediction.x0, level), -level.sigma, prediction.gradient);
    prediction.x0 = combine(1 / level.alpha, x, -level.sigma / level.alpha, prediction.eps);
    prediction.gradient = {};
    return prediction;
}

// What samplers start from: x0 and eps at a level, with the gradient of a guiding classifier in both.
template <class T, class Predict>
Prediction<T> ask(const Predict& predict, const Tensor<T>& x, const NoiseLevel& level) {
    return with_gradient_in_eps<T>(predict(x, level), x, level);
}

}  // namespace genmod::diffusion
