// The variational bound on the likelihood, step by step, in bits per dimension (Ho et al. 2020, eq. 5; Nichol and
// Dhariwal 2021, section 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/loss_terms.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

struct BoundOptions {
    PredictionType prediction_type = PredictionType::epsilon;
    VarianceType variance_type = VarianceType::learned_range;
    bool stop_mean = false;  // no gradient through the mean, only through the variance (the hybrid loss)
};

namespace detail {

// A number and its derivatives with respect to the model's mean and log variance.
struct BoundTerm {
    double value = 0, by_mean = 0, by_log_variance = 0;
};

// KL(N(mean1, exp(log_variance1)) || N(mean2, exp(log_variance2))) in nats; derivatives by the second pair.
inline BoundTerm normal_kl(double mean1, double log_variance1, double mean2, double log_variance2) {
    const double ratio = std::exp(log_variance1 - log_variance2), precision = std::exp(-log_variance2);
    const double difference = mean1 - mean2, square = difference * difference * precision;
    return {0.5 * (-1 + log_variance2 - log_variance1 + ratio + square), -difference * precision,
            0.5 * (1 - ratio - square)};
}

// The approximation of the normal's cumulative distribution that Improved DDPM uses, and its derivative.
struct NormalCdf {
    double value, slope;
    explicit NormalCdf(double x) {
        constexpr double root = 0.7978845608028654;  // sqrt(2 / pi)
        const double tanh = std::tanh(root * (x + 0.044715 * x * x * x));
        value = 0.5 * (1 + tanh);
        slope = 0.5 * (1 - tanh * tanh) * root * (1 + 3 * 0.044715 * x * x);
    }
};

// -log of the probability that N(mean, exp(log_variance)) gives to the byte x0 stands for: the bin of half-width 1/255
// around it, open towards the outside at both ends of [-1, 1] (Ho et al. 2020, eq. 13). In nats.
inline BoundTerm byte_likelihood(double x0, double mean, double log_variance) {
    const double inverse = std::exp(-0.5 * log_variance);
    const double upper = inverse * (x0 - mean + 1.0 / 255), lower = inverse * (x0 - mean - 1.0 / 255);
    const NormalCdf high(upper), low(lower);
    const bool first = x0<-0.999, last = x0> 0.999;
    const double above = last ? 1 : high.value, below = first ? 0 : low.value;
    const double high_slope = last ? 0 : high.slope, low_slope = first ? 0 : low.slope;
    const double probability = above - below;
    if (!(probability > 1e-12)) return {-std::log(1e-12), 0, 0};
    return {-std::log(probability), inverse * (high_slope - low_slope) / probability,
            0.5 * (upper * high_slope - lower * low_slope) / probability};
}

// What one training step t fixes: mean = mean_x * x_t + mean_said * said, and the range of the log variance.
struct BoundStep {
    Index t;
    Posterior posterior;
    double true_log_variance, low, high, mean_x = 0, mean_said = 0;

    BoundStep(const Schedule& schedule, Index step, const BoundOptions& options)
        : t(step), posterior(level(schedule, step), level_or_end(schedule, step - 1, true)) {
        check(schedule.steps() >= 2, "bound: needs at least two steps");
        // At t = 0 the posterior has no variance: its logarithm is taken from t = 1.
        const Posterior clipped(level(schedule, std::max<Index>(t, 1)), level(schedule, std::max<Index>(t, 1) - 1));
        true_log_variance = std::log(clipped.small);
        low = high = true_log_variance;
        if (options.variance_type == VarianceType::learned_range) high = std::log(posterior.large);
        if (options.variance_type == VarianceType::fixed_large ||
            options.variance_type == VarianceType::fixed_large_log)
            low = high = t == 0 ? true_log_variance : std::log(posterior.large);
        const Reading way = reading(options.prediction_type, level(schedule, t));
        mean_x = posterior.x_weight + posterior.x0_weight * way.x0_x;
        mean_said = posterior.x0_weight * way.x0_said;
    }
};

inline BoundTerm bound_term(const BoundStep& step, double x0, double xt, double said, double mix) {
    const double log_variance = mix * step.high + (1 - mix) * step.low;
    const double mean = step.mean_x * xt + step.mean_said * said;
    if (step.t == 0) return byte_likelihood(x0, mean, log_variance);
    const double true_mean = step.posterior.x0_weight * x0 + step.posterior.x_weight * xt;
    return normal_kl(true_mean, step.true_log_variance, mean, log_variance);
}

}  // namespace detail

// The bound's term of step t[k] for each sample k: KL(q(x' | x_t, x0) || p(x' | x_t)), or at t = 0 the negative log
// likelihood of the bytes; in bits per dimension. Pictures x0 and x_t [n, ..., c]; output [n, ..., c], or with 2c
// channels for learned_range. Throws Error when shapes do not fit or the variance type is `learned`.
template <class T>
LossTerms<T> bound_terms(const Schedule& schedule, const Tensor<T>& x0, const Tensor<T>& xt,
                         const std::vector<Index>& t, const Tensor<T>& output, const BoundOptions& options = {}) {
    const bool learned = options.variance_type == VarianceType::learned_range;
    const Index n = x0.dim(0), c = x0.dim(-1), all = output.dim(-1);
    check(options.variance_type != VarianceType::learned, "bound: a variance as it is has no bound; use learned_range");
    check(x0.shape() == xt.shape() && static_cast<Index>(t.size()) == n && output.shape().with(-1, c) == x0.shape() &&
              (all == 2 * c || (all == c && !learned)),
          "bound: pictures ", x0.shape(), " and ", xt.shape(), ", ", t.size(), " steps and output ", output.shape(),
          " do not fit");
    LossTerms<T> terms{std::vector<double>(t.size()), Tensor<T>::zeros(output.shape())};
    const Index pixels = x0.size() / (n * c);
    parallel_for(n, [&](Index k) {
        const detail::BoundStep step(schedule, t[static_cast<std::size_t>(k)], options);
        const double scale = 1 / (static_cast<double>(pixels * c) * std::log(2.0));
        double sum = 0;
        for (Index pixel = k * pixels; pixel < (k + 1) * pixels; ++pixel)
            for (Index i = 0; i < c; ++i) {
                const Index at = pixel * c + i, from = pixel * all + i;
                const double mix = learned ? 0.5 * (static_cast<double>(output[from + c]) + 1) : 0;
                const auto term = detail::bound_term(step, static_cast<double>(x0[at]), static_cast<double>(xt[at]),
                                                     static_cast<double>(output[from]), mix);
                sum += term.value;
                if (!options.stop_mean) terms.slopes[from] = static_cast<T>(scale * term.by_mean * step.mean_said);
                if (learned)
                    terms.slopes[from + c] =
                        static_cast<T>(scale * term.by_log_variance * 0.5 * (step.high - step.low));
            }
        terms.values[static_cast<std::size_t>(k)] = scale * sum;
    });
    return terms;
}

// What the bound adds for the last step: KL(q(x_T | x0) || N(0, 1)) in bits per dimension, one for each sample.
template <class T>
std::vector<double> prior_bits(const Schedule& schedule, const Tensor<T>& x0) {
    const NoiseLevel last = level(schedule, schedule.steps() - 1);
    const Index n = x0.dim(0), size = x0.size() / n;
    std::vector<double> bits;
    for (Index k = 0; k < n; ++k) {
        double sum = 0;
        for (Index i = k * size; i < (k + 1) * size; ++i)
            sum += detail::normal_kl(last.alpha * static_cast<double>(x0[i]), 2 * std::log(last.sigma), 0, 0).value;
        bits.push_back(sum / (static_cast<double>(size) * std::log(2.0)));
    }
    return bits;
}

}  // namespace genmod::diffusion
