// A step further down than its end, with noise to make up for it: the ancestral samplers' way to the next level.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// down.sigma^2 + up^2 = to.sigma^2, where up = to.sigma * min(1, eta sqrt(1 - r^2)) and r is the part of sigma / alpha
// that the step leaves. eta 0 adds nothing, eta 1 as much as DDPM, infinity renews all of the noise.
struct AncestralSplit {
    NoiseLevel down;
    double up = 0;  // standard deviation, in the units of x at `to`

    // down.sigma is at least `least`, in the frame of `to`. Throws Error when eta is negative, or the step does not go
    // down and eta is not 0.
    AncestralSplit(const NoiseLevel& from, const NoiseLevel& to, double eta, double least = 0) : down(to) {
        check(eta >= 0, "ancestral step: eta ", eta, " is not at least 0");
        if (eta == 0 || to.sigma == 0) return;
        const double left = to.sigma * from.alpha / (to.alpha * from.sigma);
        check(left <= 1 + 1e-9, "ancestral step: eta ", eta, " on a step to more noise (t ", from.t, " to ", to.t,
              "), where it must be 0");
        const double part = eta * std::sqrt(std::max(0.0, 1 - left * left));
        up = part < 1 ? part * to.sigma : to.sigma;
        down.sigma = part < 1 ? std::sqrt(1 - eta * eta + eta * left * eta * left) * to.sigma : 0;
        if (down.sigma >= least) return;
        down.sigma = least;
        up = std::sqrt(std::max(0.0, (to.sigma - least) * (to.sigma + least)));
    }

    // x at `down` becomes x at `to`, with `noise` standard normals.
    template <class T>
    Tensor<T> renew(const Tensor<T>& x, double s_noise, const Tensor<T>& noise) const {
        return combine(1, x, s_noise * up, noise);
    }
};

}  // namespace genmod::diffusion
