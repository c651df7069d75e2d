// Ancestral sampling of denoising diffusion probabilistic models (Ho et al. 2020).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

// The variance of a step: the posterior's (small) or beta (large), the same through logarithms (which clamp nothing
// further), the network's own (learned), or the network's mix of both logarithms (learned_range; Nichol and Dhariwal
// 2021, eq. 15). diffusers' fixed_large_log takes the root of a negative logarithm and gives NaN; here it is what the
// name says, exp(log(beta) / 2).
enum class VarianceType { fixed_small, fixed_small_log, fixed_large, fixed_large_log, learned, learned_range };

inline std::string to_string(VarianceType type) {
    switch (type) {
        case VarianceType::fixed_small: return "fixed_small";
        case VarianceType::fixed_small_log: return "fixed_small_log";
        case VarianceType::fixed_large: return "fixed_large";
        case VarianceType::fixed_large_log: return "fixed_large_log";
        case VarianceType::learned: return "learned";
        case VarianceType::learned_range: return "learned_range";
    }
    return "unknown";
}

// The type of that name. Throws Error for an unknown one.
inline VarianceType parse_variance_type(std::string_view name) {
    for (const auto type : {VarianceType::fixed_small, VarianceType::fixed_small_log, VarianceType::fixed_large,
                            VarianceType::fixed_large_log, VarianceType::learned, VarianceType::learned_range})
        if (to_string(type) == name) return type;
    fail(ErrorCode::argument, "variance type: unknown name \"", name,
         "\"; known are fixed_small, fixed_small_log, fixed_large, fixed_large_log, learned, learned_range");
}

// The Gaussian q(x' | x, x0) = N(x0_weight * x0 + x_weight * x, small) of a step (Ho et al. 2020, eq. 6 and 7). Their
// beta of the step is large = 1 - alpha^2 / alpha'^2, written without its cancellation.
struct Posterior {
    double x0_weight = 0;
    double x_weight = 0;
    double small = 0;  // at least 1e-20, so that it has a logarithm
    double large = 0;

    Posterior(const NoiseLevel& from, const NoiseLevel& to) {
        const double root = from.alpha / to.alpha;
        const double noise = from.sigma * from.sigma, noise_after = to.sigma * to.sigma;
        large = noise - root * root * noise_after;
        x0_weight = to.alpha * large / noise;
        x_weight = root * noise_after / noise;
        small = std::max(noise_after / noise * large, 1e-20);
    }
};

struct Ddpm {
    VarianceType variance_type = VarianceType::fixed_small;

    // Nothing to remember between steps.
    template <class T>
    struct State {
        static void visit(auto& /*self*/, auto&& /*f*/) {}
    };

    // predict(x, level) -> Prediction. Noise is drawn unless the network was told t = 0. Throws Error when the step
    // does not go down, or a learned variance is asked of a network that has none.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& /*state*/,
                   Noise& noise) const {
        const NoiseLevel &from = at.from, &to = at.to;
        check(from.alpha <= to.alpha && from.sigma > 0, "ddpm: a step from t ", from.t, " to t ", to.t,
              " does not remove noise");
        const Posterior posterior(from, to);
        const Prediction<T> said = predict(x, from);
        Tensor<T> next = combine(posterior.x0_weight, said.x0, posterior.x_weight, x);
        if (from.t <= 0 && said.gradient.empty()) return next;
        const Tensor<T> variance = this->variance(posterior, said);
        // Dhariwal and Nichol 2021, algorithm 1: the mean moves by variance * gradient.
        if (!said.gradient.empty()) next = combine(1, next, 1, times(said.gradient, variance));
        if (from.t <= 0) return next;
        return combine(1, next, 1, times(noise.template normals<T>(x.shape()), root(variance)));
    }

private:
    // One number, or one for each of x.
    template <class T>
    Tensor<T> variance(const Posterior& posterior, const Prediction<T>& said) const {
        switch (variance_type) {
            case VarianceType::fixed_small:
            case VarianceType::fixed_small_log: return Tensor<T>::full({1}, static_cast<T>(posterior.small));
            case VarianceType::fixed_large:
            case VarianceType::fixed_large_log: return Tensor<T>::full({1}, static_cast<T>(posterior.large));
            case VarianceType::learned: break;
            case VarianceType::learned_range: break;
        }
        check(!said.variance.empty(), "ddpm: variance type ", variance_type,
              " needs a network with twice the channels");
        if (variance_type == VarianceType::learned) return said.variance;
        const double low = std::log(posterior.small), high = std::log(std::max(posterior.large, 1e-20));
        return zip(said.variance, said.variance, [low, high](T raw, T, Index) {
            const double part = (static_cast<double>(raw) + 1) / 2;
            return static_cast<T>(std::exp(part * high + (1 - part) * low));
        });
    }

    template <class T>
    static Tensor<T> root(const Tensor<T>& variance) {
        return zip(variance, variance, [](T value, T, Index) { return std::sqrt(value); });
    }

    // x times one number, or number by number.
    template <class T>
    static Tensor<T> times(const Tensor<T>& x, const Tensor<T>& factor) {
        if (factor.size() == 1) return combine(static_cast<double>(factor[0]), x, 0, x);
        return zip(x, factor, [](T a, T b, Index) { return a * b; });
    }
};

}  // namespace genmod::diffusion
