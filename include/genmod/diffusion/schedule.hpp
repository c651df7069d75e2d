// How much noise each of the T training steps adds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// The beta tables by diffusers' names. scaled_linear is linear in the square root (Stable Diffusion's; CompVis calls it
// "linear"); squaredcos_cap_v2 is the cosine schedule of Nichol and Dhariwal 2021; sigmoid is GeoDiff's; laplace is
// that of Hang et al. 2024; exp has abar = exp(-12 t / T).
enum class BetaSchedule { linear, scaled_linear, squaredcos_cap_v2, sigmoid, laplace, exp };

inline std::string to_string(BetaSchedule schedule) {
    switch (schedule) {
        case BetaSchedule::linear: return "linear";
        case BetaSchedule::scaled_linear: return "scaled_linear";
        case BetaSchedule::squaredcos_cap_v2: return "squaredcos_cap_v2";
        case BetaSchedule::sigmoid: return "sigmoid";
        case BetaSchedule::laplace: return "laplace";
        case BetaSchedule::exp: return "exp";
    }
    return "unknown";
}

// The schedule of that name. Throws Error for an unknown one.
inline BetaSchedule parse_beta_schedule(std::string_view name) {
    for (const auto schedule : {BetaSchedule::linear, BetaSchedule::scaled_linear, BetaSchedule::squaredcos_cap_v2,
                                BetaSchedule::sigmoid, BetaSchedule::laplace, BetaSchedule::exp})
        if (to_string(schedule) == name) return schedule;
    fail(ErrorCode::argument, "beta schedule: unknown name \"", name,
         "\"; known are linear, scaled_linear, squaredcos_cap_v2, sigmoid, laplace, exp");
}

struct ScheduleOptions {
    Index num_train_timesteps = 1000;
    double beta_start = 1e-4;
    double beta_end = 0.02;
    BetaSchedule beta_schedule = BetaSchedule::linear;
    std::vector<double> trained_betas = {};  // the caller's own table; the four fields above are then ignored
    bool rescale_betas_zero_snr = false;     // the last step is pure noise (Lin et al. 2023, algorithm 1)
};

namespace detail {

inline double linspace(double first, double last, Index k, Index count) {
    return count == 1 ? first : first + (last - first) / static_cast<double>(count - 1) * static_cast<double>(k);
}

// Nichol and Dhariwal 2021, eq. 17: cos^2((u + 0.008) / 1.008 * pi / 2).
inline double cosine_alpha_bar(double u) {
    const double cosine = genmod::detail::exact_cos_sin((u + 0.008) / 1.008 / 4)[0];
    return cosine * cosine;
}

// Hang et al. 2024 as diffusers has it: abar = sqrt(snr / (1 + snr)), where log(snr) is Laplace distributed over u.
inline double laplace_alpha_bar(double u) {
    const double log_snr = std::log(1 - 2 * std::abs(0.5 - u) + 1e-6) * (u <= 0.5 ? -0.5 : 0.5);
    return std::sqrt(1 / (1 + std::exp(-log_snr)));
}

// The beta between steps k and k + 1 of `steps` of a falling abar, at most 0.999.
inline double capped_beta(double (*alpha_bar)(double), Index k, double steps) {
    const double u = static_cast<double>(k);
    return std::min(1 - alpha_bar((u + 1) / steps) / alpha_bar(u / steps), 0.999);
}

inline double beta(const ScheduleOptions& options, Index k) {
    const Index count = options.num_train_timesteps;
    const double steps = static_cast<double>(count), start = options.beta_start, end = options.beta_end;
    switch (options.beta_schedule) {
        case BetaSchedule::linear: return linspace(start, end, k, count);
        case BetaSchedule::scaled_linear: {
            const double root = linspace(std::sqrt(start), std::sqrt(end), k, count);
            return root * root;
        }
        case BetaSchedule::squaredcos_cap_v2: return capped_beta(cosine_alpha_bar, k, steps);
        case BetaSchedule::laplace: return capped_beta(laplace_alpha_bar, k, steps);
        case BetaSchedule::exp: return capped_beta([](double u) { return std::exp(-12 * u); }, k, steps);
        case BetaSchedule::sigmoid: return (end - start) / (1 + std::exp(-linspace(-6, 6, k, count))) + start;
    }
    fail(ErrorCode::internal, "beta schedule: not one of the enumerators");
}

inline std::vector<double> betas(const ScheduleOptions& options) {
    if (!options.trained_betas.empty()) return options.trained_betas;
    const Index count = options.num_train_timesteps;
    check(count >= 1 && count <= 1000000, "schedule: num_train_timesteps ", count, " is not in 1..1000000");
    check(options.beta_start >= 0 && options.beta_end >= 0, "schedule: beta_start ", options.beta_start,
          " and beta_end ", options.beta_end, " must not be negative");
    std::vector<double> table;
    for (Index k = 0; k < count; ++k) table.push_back(beta(options, k));
    return table;
}

}  // namespace detail

// The tables of a variance-preserving process x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps for t = 0..T-1, in double.
struct Schedule {
    std::vector<double> betas;
    std::vector<double> alphas_cumprod;  // abar

    // Throws Error when an option or a number of the user's table does not make sense.
    explicit Schedule(const ScheduleOptions& options = {}) : betas(detail::betas(options)) {
        for (std::size_t t = 0; t < betas.size(); ++t)
            check(is_finite(betas[t]) && betas[t] > 0 && betas[t] <= 1, "schedule: beta ", betas[t], " of step ", t,
                  " is not in (0, 1]");
        accumulate();
        if (options.rescale_betas_zero_snr) rescale_zero_terminal_snr();
    }

    Index steps() const { return static_cast<Index>(betas.size()); }

    // abar_t. Throws Error unless t is in 0..T-1.
    double alpha_bar(Index t) const {
        check(t >= 0 && t < steps(), "schedule: step ", t, " is not in 0..", steps() - 1);
        return alphas_cumprod[static_cast<std::size_t>(t)];
    }

    // Signal to noise ratio abar / (1 - abar).
    double snr(Index t) const { return alpha_bar(t) / (1 - alpha_bar(t)); }

    // Standard deviation of the noise at signal 1 (the "sigma" of Karras et al. 2022).
    double sigma_ve(Index t) const { return std::sqrt((1 - alpha_bar(t)) / alpha_bar(t)); }

private:
    void accumulate() {
        alphas_cumprod.clear();
        double product = 1;
        for (const double beta : betas) alphas_cumprod.push_back(product *= 1 - beta);
    }

    // Moves and stretches sqrt(abar) so that it ends at 0 and begins where it did.
    void rescale_zero_terminal_snr() {
        check(steps() >= 2, "schedule: zero terminal SNR needs at least two steps");
        const double first = std::sqrt(alphas_cumprod.front()), last = std::sqrt(alphas_cumprod.back());
        check(first > last, "schedule: zero terminal SNR needs a falling abar");
        double before = 1;
        for (std::size_t t = 0; t < betas.size(); ++t) {
            const double root = (std::sqrt(alphas_cumprod[t]) - last) * first / (first - last);
            betas[t] = 1 - root * root / before;
            before = alphas_cumprod[t] = root * root;
        }
    }
};

}  // namespace genmod::diffusion
