// The measurements that certify() puts together.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/certify/law.hpp"
#include "genmod/diffusion/certify/options.hpp"
#include "genmod/diffusion/certify/report.hpp"
#include "genmod/diffusion/certify/response.hpp"
#include "genmod/diffusion/certify/run.hpp"
#include "genmod/diffusion/exact_flow.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"

namespace genmod::diffusion::detail {

// The Gaussian whose moments are followed, N(0.3, 0.5^2).
inline constexpr double certify_mean = 0.3, certify_variance = 0.25;

inline double total_variance(double variance, const NoiseLevel& at) {
    return at.alpha * at.alpha * variance + at.sigma * at.sigma;
}

// Each step begins where the last one ended, and goes down; the network is told the t of the level; the start has the
// noise of the first level, and the end what was announced.
inline void check_levels(const CertifyOptions& options, Certificate& result) {
    const Levels levels = options.levels(options.law_steps);
    check(!levels.steps.empty(), "certify: the levels have no steps");
    double gap = 0, rise = 0, off = 0;
    for (std::size_t k = 0; k < levels.steps.size(); ++k) {
        const LevelPair& pair = levels.steps[k];
        const NoiseLevel& next = k + 1 < levels.steps.size() ? levels.steps[k + 1].from : pair.to;
        gap = std::max(gap, std::hypot(next.alpha - pair.to.alpha, next.sigma - pair.to.sigma));
        if (!(pair.to.sigma * pair.from.alpha <= pair.from.sigma * pair.to.alpha)) ++rise;
        for (const NoiseLevel& level : {pair.from, pair.to}) {
            if (!options.process || level.t < 0) continue;
            const NoiseLevel truth = options.process(level.t);
            off = std::max(off, std::hypot(truth.alpha - level.alpha, truth.sigma - level.sigma) / truth.sigma);
        }
    }
    const NoiseLevel &first = levels.steps.front().from, &last = levels.steps.back().to;
    auto& out = result.checks;
    out.push_back(near("levels_join", gap, 0, 1e-9, "the largest gap between a step's end and the next one's start"));
    out.push_back(near("levels_fall", rise, 0, 0, "the number of steps to more noise"));
    out.push_back(near("levels_network", off, 0, 1e-3, "the largest difference from what the network expects at t"));
    out.push_back(near("levels_start", levels.start_scale / first.sigma, 1, 0.02, "the start over the first noise"));
    out.push_back(near("levels_end", sigma_ve(last), options.end_sigma, 1e-9, "the noise left at the end"));
}

// The relative error of the variance after step k.
inline double variance_error(const Response& response, const Levels& levels, std::size_t k) {
    const double start = total_variance(certify_variance, levels.steps.front().from);
    return response.variance(k, start) / total_variance(certify_variance, levels.steps[k].to) - 1;
}

// The error of so many steps: see CertifyOptions::order.
CertifyError error_of(const auto& run, const CertifyOptions& options, Index steps) {
    Levels levels = options.order_levels(steps);
    check(levels.steps.size() >= 2, "certify: the levels have too few steps");
    levels.steps.pop_back();
    CertifyError result{.steps = steps};
    if (options.stochastic) {
        const auto law = GaussianMixture::normal(certify_mean, std::sqrt(certify_variance));
        const Response response = response_of(run, network_of(law, options), levels);
        for (std::size_t k = 0; k < levels.steps.size(); ++k)
            result.error = std::max(result.error, std::fabs(variance_error(response, levels, k)));
        result.calls = static_cast<double>(response.calls);
        return result;
    }
    const auto law = GaussianMixture::normal(0, std::sqrt(certify_variance));
    const CertifyNetwork network = network_of(law, options);
    const auto counted = [&](const Tensor<double>& x, const NoiseLevel& level) {
        ++result.calls;
        return network(x, level);
    };
    ProbeNoise silence;
    const NoiseLevel &from = levels.steps.front().from, &to = levels.steps.back().to;
    const auto x = Tensor<double>::full({1, 1}, std::sqrt(total_variance(certify_variance, from)));
    const Tensor<double> end = run(counted, levels, x, silence.listen(), {});
    result.error = std::fabs(end[0] / exact_flow(law, x, from, to)[0] - 1);
    return result;
}

// The larger of the slopes from the last number of steps but one, and but two, to the last one, since an error may
// change sign on its way to 0. Errors of rounding fall no further, and count as falling by `order`.
inline double slope(const std::vector<CertifyError>& errors, double order) {
    const std::size_t n = errors.size();
    check(n >= 3 && errors[n - 1].steps == 2 * errors[n - 2].steps && errors[n - 2].steps == 2 * errors[n - 3].steps,
          "certify: expected at least three numbers of steps, the last three doubling");
    const double last = errors[n - 1].error;
    const double found = std::max(std::log2(errors[n - 2].error / last), std::log2(errors[n - 3].error / last) / 2);
    return last < 1e-10 ? std::max(found, order) : found;
}

void check_order(const auto& run, const CertifyOptions& options, Certificate& result) {
    for (const Index steps : options.step_counts()) result.errors.push_back(error_of(run, options, steps));
    result.order = slope(result.errors, options.order);
    const std::string what = options.stochastic ? "the order of the variance" : "the order of the end point";
    if (options.order > 0) result.checks.push_back(at_least("order", result.order, options.order - 0.25, what));
}

// From errors of n, 2n and 4n steps, what is left of them with infinitely many: the terms in 1/n and 1/n^2 cancel.
inline double limit(double n, double twice, double four_times) { return (8 * four_times - 6 * twice + n) / 3; }

// Mean and variance of Gaussian data, as they change from step to step. The variance must become right with more steps,
// at a middle level and at the end; the mean is right with any number.
void check_moments(const auto& run, const CertifyOptions& options, Certificate& result) {
    const auto law = GaussianMixture::normal(certify_mean, std::sqrt(certify_variance));
    std::vector<double> middle, end;
    double mean = 0, defect = 0, noise = 0;
    const std::vector<Index> counts = options.step_counts();
    for (const Index steps : {counts[counts.size() - 3], counts[counts.size() - 2], counts.back()}) {
        const Levels levels = options.levels(steps);
        const Response response = response_of(run, network_of(law, options), levels);
        const std::size_t last = levels.steps.size() - 1;
        for (std::size_t k = 0; k <= last; ++k) {
            const NoiseLevel& to = levels.steps[k].to;
            const double exact = to.alpha * certify_mean;
            mean = std::max(mean, std::fabs(response.mean(k, levels.steps[0].from.alpha * certify_mean) - exact));
            noise = std::max(noise, response.renewed[k]);
        }
        middle.push_back(variance_error(response, levels, last / 2));
        end.push_back(variance_error(response, levels, last));
        defect = std::max(defect, response.defect);
    }
    auto& out = result.checks;
    if (options.stochastic)
        out.push_back(at_least("noise", noise, 1e-6, "the largest variance that the sampler's noise brings"));
    else
        out.push_back(near("noise", noise, 0, 0, "the largest variance that the sampler's noise brings"));
    if (!(defect < 1e-6)) return;  // moments of more than Gaussians would be needed
    out.push_back(near("mean", mean, 0, 1e-6, "the largest error of a Gaussian's mean on the way"));
    const auto settled = [&](const char* name, const std::vector<double>& e, const char* what) {
        out.push_back(near(name, limit(e[0], e[1], e[2]), 0, std::max(0.01, 0.25 * std::fabs(e[2])), what));
    };
    settled("variance_middle", middle, "the limit of the variance's relative error, half way");
    settled("variance_end", end, "the limit of the variance's relative error, at the end");
}

// On data of no spread each x0 is exact, and a run must end there: what the last level's noise leaves is the fault of
// the last step.
void check_last_step(const auto& run, const CertifyOptions& options, Certificate& result) {
    const Levels levels = options.levels(options.law_steps);
    const Response response = response_of(run, network_of(GaussianMixture::normal(certify_mean, 0), options), levels);
    const LevelPair& pair = levels.steps.back();
    const double start = levels.steps.front().from.sigma, before = sigma_ve(pair.from);
    const double left = std::sqrt(response.variance(levels.steps.size() - 1, start * start));
    result.checks.push_back(
        near("last_step", left / before, options.end_sigma / before, 0.05, "what is left of the last level's noise"));
}

// Samples of a mixture, drawn as users draw them.
Tensor<double> certify_samples(const auto& run, const CertifyOptions& options, const GaussianMixture& law) {
    check(options.samples >= 2 && options.samples % 2 == 0, "certify: ", options.samples,
          " samples; expected an even number");
    std::vector<std::uint64_t> seeds;
    for (Index k = 0; k < options.samples / 2; ++k) seeds.push_back(options.seed + static_cast<std::uint64_t>(k));
    const SeededNoise source(seeds);
    const CertifyNoise noise{[&](const Shape& shape, std::uint64_t step, std::uint32_t draw) {
                                 return source.normals<double>(shape, step, draw);
                             },
                             [&](const Shape& shape, double from, double to, std::uint64_t step, std::uint32_t draw) {
                                 return source.brownian<double>(shape, from, to, step, draw);
                             }};
    const Levels levels = options.levels(options.law_steps);
    const Tensor<double> x = source.start<double>({options.samples / 2, 2, law.dim()});
    return run(network_of(law, options), levels, combine(levels.start_scale, x, 0, x), noise, {})
        .reshape({options.samples, law.dim()});
}

// Mean, variance, shares of the modes, and distance. Beside chance, each may be off by what the number of steps alone
// does to the variance of a Gaussian, up to a fifth.
void check_law(const auto& run, const CertifyOptions& options, Certificate& result) {
    const Levels levels = options.levels(options.law_steps);
    const auto gaussian = GaussianMixture::normal(certify_mean, std::sqrt(certify_variance));
    const Response response = response_of(run, network_of(gaussian, options), levels);
    const double coarse = std::min(0.2, std::fabs(variance_error(response, levels, levels.steps.size() - 1)));
    const GaussianMixture law = certify_law(options.target);
    const LawDistance found = law_distance(law, certify_samples(run, options, law));
    const double z = options.deviations, n = static_cast<double>(options.samples);
    result.law_distance = found.distance;
    auto& out = result.checks;
    out.push_back(near("law_mean", found.mean, 0, z / std::sqrt(n) + coarse / 2,
                       "the samples' mean from the law's, in the law's spread,"));
    out.push_back(near("law_variance", found.variance, 0, z * found.variance_chance + coarse,
                       "the relative error of the samples' variance"));
    out.push_back(near("law_shares", found.share, 0, z * found.share_chance + coarse / 2,
                       "the share of a mode, less its weight,"));
    out.push_back(near("law_distance", found.distance, found.chance.mean,
                       z * found.chance.deviation + coarse * found.spread / 2,
                       "the Wasserstein distance of the samples"));
}

}  // namespace genmod::diffusion::detail
