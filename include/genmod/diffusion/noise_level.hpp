// How much noise a picture has, and what the network is told about it.
#pragma once

#include <cmath>

namespace genmod::diffusion {

// x = alpha * x0 + sigma * eps; t is what the network is told there. Without noise: alpha 1, sigma 0, t -1.
// Variance-preserving processes have alpha^2 + sigma^2 = 1, variance-exploding ones (Karras et al. 2022) alpha = 1,
// flow matching alpha = 1 - sigma.
struct NoiseLevel {
    double alpha = 1;
    double sigma = 0;
    double t = -1;
};

// The noise at signal 1: the "sigma" of Karras et al. 2022 and of k-diffusion. Infinite where there is no signal.
inline double sigma_ve(const NoiseLevel& level) { return level.sigma / level.alpha; }

// log(alpha / sigma), half the logarithm of the signal-to-noise ratio: the "lambda" of DPM-Solver (Lu et al. 2022).
inline double half_log_snr(const NoiseLevel& level) { return std::log(level.alpha) - std::log(level.sigma); }

// The variance-preserving level with this noise at signal 1.
inline NoiseLevel vp_level(double sigma, double t) {
    const double alpha = 1 / std::sqrt(1 + sigma * sigma);
    return {alpha, sigma * alpha, t};
}

}  // namespace genmod::diffusion
