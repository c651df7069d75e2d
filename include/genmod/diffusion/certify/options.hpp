// What is asked of a sampler, on which levels, and of which network.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/certify/run.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/exact_flow.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_lists.hpp"
#include "genmod/diffusion/sigma_table.hpp"

namespace genmod::diffusion {

// How signal and noise share x: alpha^2 + sigma^2 = 1, alpha = 1, or alpha + sigma = 1.
enum class Frame { variance_preserving, variance_exploding, flow };

// The level of this noise at signal 1.
inline NoiseLevel level_in(Frame frame, double sigma, double t) {
    if (frame == Frame::variance_preserving) return vp_level(sigma, t);
    if (frame == Frame::variance_exploding) return {1, sigma, t};
    return {1 / (1 + sigma), sigma / (1 + sigma), t};
}

// `steps` steps even in sigma^(1/7) (Karras et al. 2022) from sigma 14.61 to `smallest`, at least 0.01, and one more
// from there to no noise. t belongs to the DDPM schedule, linear from 1e-4 to 0.02. Throws Error unless steps is
// positive.
inline Levels certify_levels(Frame frame, Index steps, double smallest = 0.01) {
    check(steps >= 1, "certify: ", steps, " steps; expected at least one");
    static const SigmaTable table{Schedule()};
    const auto at = [frame](double sigma) { return level_in(frame, sigma, table.step(sigma)); };
    std::vector<NoiseLevel> stations;
    for (const double sigma : karras_sigmas(steps + 1, {smallest, 14.61})) stations.push_back(at(sigma));
    stations.push_back({});
    Levels levels = levels_through(stations);
    levels.between = at;
    levels.at_time = [frame](double t) { return level_in(frame, table.sigma(t, true), t); };
    levels.start_scale = levels.steps.front().from.sigma;
    return levels;
}

// What the network has learnt: the mean of x0 at each x, or, for consistency models (Song et al. 2023; LCM, TCD), where
// the probability-flow ODE ends.
enum class CertifyTarget { mean, flow_end };

struct CertifyOptions {
    // The order that the sampler claims: of the end point's error against the exact solution of the ODE; if it is
    // stochastic, of the relative error of the variance, the worst on the way. 0 claims nothing.
    double order = 1;
    bool stochastic = false;
    CertifyTarget target = CertifyTarget::mean;
    // The levels of a run of so many steps (or one more, to the end), for everything but the order.
    std::function<Levels(Index count)> levels = [](Index count) {
        return certify_levels(Frame::variance_preserving, count);
    };
    // The same for the order; the last step is left out, since few methods keep their order in it. Those of section 4
    // of Karras et al. 2022, from sigma 14.61 to 0.1.
    std::function<Levels(Index count)> order_levels = [](Index count) {
        return certify_levels(Frame::variance_preserving, count, 0.1);
    };
    // The level that the network was trained to expect at t. Empty: whatever level it is asked about.
    std::function<NoiseLevel(double t)> process = certify_levels(Frame::variance_preserving, 1).at_time;
    double end_sigma = 0;  // the noise, at signal 1, that the levels leave at the end
    // For the order, rising, the last three doubling. Empty: 10, 20, ... 640, or to 160 for stochastic samplers.
    std::vector<Index> steps = {};
    Index law_steps = 40;    // for the samples
    Index samples = 1024;    // points; even
    std::uint64_t seed = 0;  // of the first picture
    // How many standard deviations a measurement from samples may be off by chance: at 5, a right sampler is refused
    // with one seed of several thousand.
    double deviations = 5;

    std::vector<Index> step_counts() const {
        if (!steps.empty()) return steps;
        return stochastic ? std::vector<Index>{10, 20, 40, 80, 160} : std::vector<Index>{10, 20, 40, 80, 160, 320, 640};
    }
};

// Options for levels in a frame.
inline CertifyOptions certify_in(Frame frame) {
    return {.levels = [frame](Index steps) { return certify_levels(frame, steps); },
            .order_levels = [frame](Index steps) { return certify_levels(frame, steps, 0.1); },
            .process = certify_levels(frame, 1).at_time};
}

// The mixture that samples are drawn from: three modes in the plane, or two on the line, where the flow is known.
inline GaussianMixture certify_law(CertifyTarget target) {
    if (target == CertifyTarget::flow_end) return GaussianMixture({{{-1}, {0.04}, 0.3}, {{0.8}, {0.09}, 0.7}});
    return GaussianMixture(
        {{{-1.5, 0}, {0.09, 0.04}, 0.5}, {{1.2, 1}, {0.1, 0.05, 0.05, 0.08}, 0.3}, {{0.6, -1.2}, {0.05, 0.15}, 0.2}});
}

namespace detail {

// The network of a law. Asked about a level, it looks at t, as networks do, and the x0 that goes with its answer is
// computed from the level.
inline CertifyNetwork network_of(const GaussianMixture& law, const CertifyOptions& options) {
    return [law, process = options.process, target = options.target](const Tensor<double>& x, const NoiseLevel& level) {
        const NoiseLevel truth = process && level.t >= 0 ? process(level.t) : level;
        Prediction<double> said = law(x, truth);
        if (target == CertifyTarget::flow_end) {
            said.x0 = exact_flow(law, x, truth, {});
            if (truth.sigma > 0) said.eps = eps_from_x0(x, said.x0, truth);
        }
        if (process && level.alpha > 0) said.x0 = combine(1 / level.alpha, x, -level.sigma / level.alpha, said.eps);
        return said;
    };
}

}  // namespace detail

}  // namespace genmod::diffusion
