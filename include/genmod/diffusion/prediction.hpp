// What a network says about a noisy picture, in the one currency that every sampler takes.
#pragma once

#include <algorithm>
#include <cmath>
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

// How to ask a network at a level, and how to read its answer: it sees input * x, and then
// x0 = x0_x * x + x0_said * said, eps = eps_x * x + eps_said * said.
struct Reading {
    double x0_x, x0_said;
    double eps_x, eps_said;
    double input = 1;
};

// The preconditioning of Karras et al. 2022, table 1: x0 = c_skip x + c_out said for data of deviation sigma_data, in
// any frame. A v_prediction network says the negative, as in diffusers. With sigma_min that of consistency models (Song
// et al. 2023, appendix C), where x0 is x at sigma_min. Throws Error for other types, and at pure noise.
inline Reading edm_reading(PredictionType type, const NoiseLevel& level, double sigma_data, double sigma_min = 0) {
    check(type == PredictionType::epsilon || type == PredictionType::v_prediction, "prediction: ", type,
          " is not known of preconditioned networks, only epsilon and v_prediction");
    check(level.alpha != 0, "prediction: a preconditioned network cannot be asked at pure noise");
    const double sigma = sigma_ve(level), above = std::max(0.0, sigma - sigma_min), data = sigma_data * sigma_data;
    const double c_in = 1 / std::sqrt(sigma * sigma + data), sign = type == PredictionType::epsilon ? 1 : -1;
    const double variance = above * above + data, part = sigma_min == 0 ? 1 : above > 0 ? above / sigma : 0;
    return {.x0_x = data / variance / level.alpha,
            .x0_said = sign * above * sigma_data * c_in,
            .eps_x = part * above / variance / level.alpha,
            .eps_said = -sign * part * sigma_data * c_in,
            .input = c_in / level.alpha};
}

// Throws Error where the answer says nothing about the other one: an epsilon at alpha 0 (pure noise), a sample at
// sigma 0 (no noise). sigma_data 0: a network without preconditioning.
inline Reading reading(PredictionType type, const NoiseLevel& level, double sigma_data = 0, double sigma_min = 0) {
    const double alpha = level.alpha, sigma = level.sigma, whole = alpha + sigma;
    if (sigma_data != 0) return edm_reading(type, level, sigma_data, sigma_min);
    switch (type) {
        case PredictionType::epsilon:
            check(alpha != 0, "prediction: epsilon tells nothing about x0 at pure noise (t ", level.t,
                  "); a schedule of zero terminal SNR needs v_prediction");
            return {.x0_x = 1 / alpha, .x0_said = -sigma / alpha, .eps_x = 0, .eps_said = 1};
        case PredictionType::sample:
            check(sigma != 0, "prediction: a sample tells nothing about the noise where there is none (t ", level.t,
                  ")");
            return {.x0_x = 0, .x0_said = 1, .eps_x = 1 / sigma, .eps_said = -alpha / sigma};
        case PredictionType::v_prediction: return {.x0_x = alpha, .x0_said = -sigma, .eps_x = sigma, .eps_said = alpha};
        case PredictionType::flow_prediction:
            // x = alpha x0 + sigma eps and said = eps - x0; on a flow's levels alpha + sigma is 1.
            return {.x0_x = 1 / whole, .x0_said = -sigma / whole, .eps_x = 1 / whole, .eps_said = alpha / whole};
    }
    fail(ErrorCode::internal, "prediction type: not one of the enumerators");
}

// x0 and eps from what the network said about x.
template <class T>
Prediction<T> to_prediction(const Reading& way, const Tensor<T>& said, const Tensor<T>& x) {
    const auto read = [&](double from_x, double from_said) {
        return from_x == 0 && from_said == 1 ? said : combine(from_x, x, from_said, said);
    };
    return {.x0 = read(way.x0_x, way.x0_said), .eps = read(way.eps_x, way.eps_said), .variance = {}, .gradient = {}};
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
