// The levels of flow matching: x = (1 - sigma) x0 + sigma eps, the network is told sigma * T.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_lists.hpp"

namespace genmod::diffusion {

// Moves sigma in (0, 1] towards noise, for larger pictures (Esser et al. 2024, eq. 23).
inline double shift_sigma(double sigma, double shift) { return shift * sigma / (1 + (shift - 1) * sigma); }

// The shift that depends on the picture: factor / (factor + 1 / sigma - 1), where the factor is exp(mu) or mu itself.
enum class TimeShift { exponential, linear };
inline double time_shift(double sigma, double mu, TimeShift type) {
    const double factor = type == TimeShift::exponential ? std::exp(mu) : mu;
    return factor / (factor + (1 / sigma - 1));
}

// The mu of a picture of `tokens` patches, on the line through (base_tokens, base_shift) and (max_tokens, max_shift),
// as FLUX has it. Throws Error when the two points are one.
inline double flow_mu(Index tokens, double base_shift = 0.5, double max_shift = 1.15, Index base_tokens = 256,
                      Index max_tokens = 4096) {
    check(base_tokens != max_tokens, "flow: base and largest picture both have ", base_tokens, " tokens");
    const double slope = (max_shift - base_shift) / static_cast<double>(max_tokens - base_tokens);
    return base_shift + slope * static_cast<double>(tokens - base_tokens);
}

// The defaults are those of diffusers' FlowMatchEulerDiscreteScheduler.
struct FlowLevelOptions {
    Index train_steps = 1000;  // T
    double shift = 1;
    std::optional<double> mu = {};  // instead of the shift
    TimeShift time_shift_type = TimeShift::exponential;
    std::optional<double> shift_terminal = {};      // stretches the list so that its last sigma is this
    SigmaSchedule schedule = SigmaSchedule::table;  // or a list between the ends of the shifted one
    std::optional<double> sigma_min = {};           // ends of that list
    std::optional<double> sigma_max = {};
    FinalSigma final_sigma = FinalSigma::zero;  // of multistep_flow_levels, zero or repeat
};

// The level of a flow at sigma in 0..1.
inline NoiseLevel flow_level(double sigma, double t) { return {1 - sigma, sigma, t}; }

namespace detail {

inline void check_flow(const FlowLevelOptions& options) {
    check(options.train_steps >= 2 && options.train_steps <= 1000000, "flow: ", options.train_steps,
          " training steps are not in 2..1000000");
    check(options.shift > 0 && is_finite(options.shift), "flow: shift ", options.shift, " is not positive");
    check(!options.mu || is_finite(*options.mu), "flow: mu is not finite");
    check(!options.mu || options.time_shift_type == TimeShift::exponential || *options.mu > 0, "flow: mu ",
          options.mu.value_or(0), " of a linear time shift is not positive");
    check(!options.shift_terminal || (*options.shift_terminal > 0 && *options.shift_terminal < 1),
          "flow: shift_terminal ", options.shift_terminal.value_or(0), " is not in (0, 1)");
}

inline double shifted(double sigma, const FlowLevelOptions& options) {
    return options.mu ? time_shift(sigma, *options.mu, options.time_shift_type) : shift_sigma(sigma, options.shift);
}

// Shifts and stretches the list.
inline void shift_list(std::vector<double>& sigmas, const FlowLevelOptions& options) {
    for (double& sigma : sigmas) sigma = shifted(sigma, options);
    if (!options.shift_terminal) return;
    check(sigmas.back() < 1, "flow: a list that ends at 1 cannot be stretched to shift_terminal");
    const double scale = (1 - sigmas.back()) / (1 - *options.shift_terminal);
    for (double& sigma : sigmas) sigma = 1 - (1 - sigma) / scale;
}

inline Levels flow_levels_through(const std::vector<NoiseLevel>& levels, Index train_steps, bool repeat) {
    Levels result = levels_through(levels, repeat);
    const auto total = static_cast<double>(train_steps);
    result.between = [total](double sigma) { return flow_level(sigma / (1 + sigma), sigma / (1 + sigma) * total); };
    result.at_time = [total](double t) { return flow_level(t / total, t); };
    return result;
}

}  // namespace detail

// The user's own sigmas in (0, 1], before the shift, strictly falling; a last step leads to no noise.
inline Levels flow_levels_of_sigmas(std::vector<double> sigmas, const FlowLevelOptions& options = {}) {
    detail::check_flow(options);
    check(!sigmas.empty(), "flow: the list of sigmas is empty");
    for (const double sigma : sigmas) check(sigma > 0 && sigma <= 1, "flow: sigma ", sigma, " is not in (0, 1]");
    detail::shift_list(sigmas, options);
    if (options.schedule != SigmaSchedule::table)
        sigmas =
            scheduled_sigmas(options.schedule, static_cast<Index>(sigmas.size()),
                             {options.sigma_min.value_or(sigmas.back()), options.sigma_max.value_or(sigmas.front())});
    std::vector<NoiseLevel> levels;
    for (const double sigma : sigmas) {
        check(sigma > 0 && sigma <= 1 + 1e-9, "flow: sigma ", sigma, " is not in (0, 1]");
        levels.push_back(flow_level(std::min(sigma, 1.0), sigma * static_cast<double>(options.train_steps)));
    }
    levels.emplace_back();
    return detail::flow_levels_through(levels, options.train_steps, false);
}

// `count` steps as diffusers' FlowMatchEuler and FlowMatchHeun take them: evenly from 1 down to 1 / T, where both ends
// are shifted already when the list is shifted (unless mu is given), as in those classes.
inline Levels flow_levels(Index count, const FlowLevelOptions& options = {}) {
    detail::check_flow(options);
    check(count >= 1 && count <= options.train_steps, "flow: asked for ", count, " of ", options.train_steps, " steps");
    double last = 1 / static_cast<double>(options.train_steps);
    if (!options.mu) last = shift_sigma(last, options.shift);
    std::vector<double> sigmas;
    for (Index k = 0; k < count; ++k) sigmas.push_back(detail::even(1, last, k, count));
    return flow_levels_of_sigmas(sigmas, options);
}

// Which multistep solver's list: DPM-Solver, DEIS and SA-Solver begin at 1 - 1 / T, UniPC at 1 (less 1e-6).
enum class FlowList { dpm_solver, unipc };

// `count` steps of a multistep solver with use_flow_sigmas; the network is told whole steps, rounded down.
inline Levels multistep_flow_levels(Index count, FlowList list, const FlowLevelOptions& options = {}) {
    detail::check_flow(options);
    check(count >= 1 && count < options.train_steps, "flow: asked for ", count, " of ", options.train_steps, " steps");
    const double total = static_cast<double>(options.train_steps);
    std::vector<double> sigmas;
    for (Index k = 0; k < count; ++k)
        sigmas.push_back(list == FlowList::unipc ? detail::even(1, 1 / total, k, count + 1)
                                                 : 1 - detail::even(1, 1 / total, count - k, count + 1));
    detail::shift_list(sigmas, options);
    if (list == FlowList::unipc && std::abs(sigmas.front() - 1) < 1e-6) sigmas.front() -= 1e-6;
    std::vector<NoiseLevel> levels;
    for (const double sigma : sigmas) levels.push_back(flow_level(sigma, std::floor(sigma * total)));
    levels.push_back(options.final_sigma == FinalSigma::zero ? NoiseLevel{} : levels.back());
    return detail::flow_levels_through(levels, options.train_steps, options.final_sigma != FinalSigma::zero);
}

}  // namespace genmod::diffusion
