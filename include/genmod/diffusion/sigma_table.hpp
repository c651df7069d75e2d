// The noise of each training step at signal 1, and the ways between steps and noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

// sigma_t = sqrt((1 - abar_t) / abar_t), rising with t. A step of pure noise (zero terminal SNR) counts as abar 2^-24,
// as in diffusers.
struct SigmaTable {
    std::vector<double> sigmas;
    std::vector<double> logs;

    explicit SigmaTable(const Schedule& schedule) {
        for (Index t = 0; t < schedule.steps(); ++t) {
            const double alpha_bar = schedule.alpha_bar(t) > 0 ? schedule.alpha_bar(t) : 0x1p-24;
            sigmas.push_back(std::sqrt((1 - alpha_bar) / alpha_bar));
            logs.push_back(std::log(sigmas.back()));
        }
    }

    double smallest() const { return sigmas.front(); }
    double largest() const { return sigmas.back(); }

    // The sigma of a step that need not be whole: linear in sigma between two steps (diffusers), or in its logarithm
    // (k-diffusion). Steps outside of the table count as its ends.
    double sigma(double t, bool log_linear = false) const {
        const double inside = std::clamp(t, 0.0, static_cast<double>(sigmas.size() - 1));
        const auto below = static_cast<std::size_t>(inside), above = std::min(below + 1, sigmas.size() - 1);
        const double part = inside - static_cast<double>(below);
        if (log_linear) return std::exp((1 - part) * logs[below] + part * logs[above]);
        return (1 - part) * sigmas[below] + part * sigmas[above];
    }

    // The step, not whole in general, of a sigma: linear in log(sigma), within the table.
    double step(double sigma) const {
        check(sigma >= 0, "sigma table: sigma ", sigma, " is negative");
        const double value = std::log(sigma);
        if (!(value > logs.front())) return 0;  // by logarithms, which may be equal where the sigmas are not
        const auto above = std::lower_bound(logs.begin(), logs.end(), value);
        if (above == logs.end()) return static_cast<double>(logs.size() - 1);
        const double high = *above, low = *(above - 1);
        return static_cast<double>(above - logs.begin()) - (high - value) / (high - low);
    }

    // The variance-preserving level of a sigma.
    NoiseLevel level(double sigma) const { return vp_level(sigma, step(sigma)); }
};

}  // namespace genmod::diffusion
