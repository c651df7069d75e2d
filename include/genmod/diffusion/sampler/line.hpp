// The straight line that the samplers of Karras et al. 2022 integrate along, on levels of every kind.
#pragma once

#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// x at another level when x0 and the noise stay what they are: x' = (sigma' / sigma) x + (alpha' - alpha sigma' /
// sigma) x0. The step of Euler, of DDIM with eta 0 and of DPM-Solver-1, for levels of every kind. Throws Error when x
// has no noise.
template <class T>
Tensor<T> euler_step(const Tensor<T>& x, const Tensor<T>& x0, const NoiseLevel& from, const NoiseLevel& to) {
    check(from.sigma > 0, "sampling: a step that starts without noise (t ", from.t, ") has no direction");
    const double ratio = to.sigma / from.sigma;
    return combine(ratio, x, to.alpha - from.alpha * ratio, x0);
}

// The coordinates in which the levels of a run lie on a straight line, x = unit * y. Flow matching (alpha + sigma = 1)
// has y = (1 - s) x0 + s eps with s = sigma; variance-preserving and -exploding levels have y = x0 + s eps with
// s = sigma / alpha. In both dy/ds = (y - x0) / s, which is what Heun's method and its kin integrate.
class Line {
public:
    explicit Line(const Step& at) {
        const NoiseLevel& inner = at.from.alpha > 0 ? at.from : at.to;
        flow_ = std::abs(inner.alpha + inner.sigma - 1) < 1e-9;
    }

    // s; infinite at pure noise, unless the line is a flow's.
    double place(const NoiseLevel& level) const { return level.sigma / unit(level); }
    double unit(const NoiseLevel& level) const { return flow_ ? level.alpha + level.sigma : level.alpha; }

    // The level at s, which may be none of the run's. Throws Error as Step::between does.
    NoiseLevel level(const Step& at, double s) const { return at.between(flow_ ? s / (1 - s) : s); }

    // Whether the step begins at infinity, where Euler's step alone is defined.
    bool from_infinity(const Step& at) const { return at.from.alpha == 0 && !flow_; }

private:
    bool flow_ = false;
};

// The step of a method that asks twice: Euler's, and `weight` of how far x0 moved meanwhile.
template <class T>
Tensor<T> corrected(const Tensor<T>& euler, const Tensor<T>& first, const Tensor<T>& second, double weight) {
    return combine(1, euler, weight, combine(1, second, -1, first));
}

}  // namespace genmod::diffusion
