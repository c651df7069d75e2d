// What must hold between samplers: equal ones are equal, and the way back leads back.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/certify/checks.hpp"
#include "genmod/diffusion/certify/options.hpp"
#include "genmod/diffusion/certify/probe_noise.hpp"
#include "genmod/diffusion/certify/report.hpp"
#include "genmod/diffusion/certify/response.hpp"
#include "genmod/diffusion/certify/run.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/level.hpp"

namespace genmod::diffusion {

namespace detail {

// The largest difference of two runs, after any step, in units of x there: of the answer to each x of Gaussian data, of
// the noise that they bring, and, when they bring none, of samples of a mixture.
double largest_difference(const auto& a, const auto& b, const CertifyOptions& options) {
    const Levels levels = options.levels(options.law_steps);
    const auto law = GaussianMixture::normal(certify_mean, std::sqrt(certify_variance));
    const Response one = response_of(a, network_of(law, options), levels);
    const Response two = response_of(b, network_of(law, options), levels);
    const double start = std::sqrt(total_variance(certify_variance, levels.steps.front().from));
    double most = std::max(one.defect, two.defect);
    for (std::size_t k = 0; k < levels.steps.size(); ++k) {
        const double unit = std::sqrt(total_variance(certify_variance, levels.steps[k].to));
        most = std::max({most, std::fabs(one.offset[k] - two.offset[k]) / unit,
                         std::fabs(one.gain[k] - two.gain[k]) * start / unit,
                         std::fabs(std::sqrt(one.renewed[k]) - std::sqrt(two.renewed[k])) / unit});
    }
    if (one.normals > 0 || two.normals > 0) return most;
    const GaussianMixture mixture = certify_law(options.target);
    const Tensor<double> x = certify_samples(a, options, mixture), y = certify_samples(b, options, mixture);
    for (Index k = 0; k < x.size(); ++k) most = std::max(most, std::fabs(x[k] - y[k]));
    return most;
}

// The relative error of going from little noise to much and back.
CertifyError inversion_error(const auto& run, const CertifyOptions& options, Index steps) {
    Levels down = options.order_levels(steps), up = down;
    check(down.steps.size() >= 2, "certify: the levels have too few steps");
    down.steps.pop_back();
    up.steps.clear();
    for (std::size_t k = down.steps.size(); k > 0; --k)
        up.steps.push_back({down.steps[k - 1].to, down.steps[k - 1].from});
    const CertifyNetwork network = network_of(GaussianMixture::normal(0, std::sqrt(certify_variance)), options);
    const NoiseLevel& first = up.steps.front().from;
    const auto x = Tensor<double>::full({1, 1}, std::sqrt(total_variance(certify_variance, first)));
    ProbeNoise silence;
    const Tensor<double> noise = run(network, up, x, silence.listen(), {});
    const Tensor<double> back = run(network, down, noise, silence.listen(), {});
    return {.steps = steps, .error = std::fabs(back[0] / x[0] - 1)};
}

}  // namespace detail

// Two samplers that should be one: DDIM with eta 0, Euler and DPM-Solver-1; DDIM with eta 1 and DDPM. The same answer
// to each x, and the same variance of their noise, after every step; to rounding.
template <class A, class B>
CertifyCheck certify_same(std::string name, const A& a, const B& b, const CertifyOptions& options = {}) {
    const Threads one(1);
    return detail::near(std::move(name), detail::largest_difference(runs_of(a), runs_of(b), options), 0, 1e-9,
                        "the largest difference after any step");
}

// From little noise up to much and down again with the same sampler, DDIM of eta 0 for one: what is missing at the end
// falls as 1 / steps, or by the claimed order, and is small with the most steps.
template <class Sampler>
CertifyCheck certify_inversion(std::string name, const Sampler& sampler, const CertifyOptions& options = {}) {
    const Threads one(1);
    const CertifyRun run = runs_of(sampler);
    std::vector<CertifyError> errors;
    for (const Index steps : options.step_counts()) errors.push_back(detail::inversion_error(run, options, steps));
    return detail::at_least(std::move(name), detail::slope(errors, options.order), options.order - 0.25,
                            "the order of the error of inverting and sampling, " + detail::digits(errors.back().error) +
                                " at " + std::to_string(errors.back().steps) + " steps,");
}

}  // namespace genmod::diffusion
