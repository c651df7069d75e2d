// Learning rates over a training run: factors of the base rate as functions of the step (0, 1, ...), with the meaning
// of diffusers' get_scheduler. Set optimiser.options.lr = base * factor(step) before each step.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"

namespace genmod::optim {

namespace detail {

// cos(2 pi turns), the same bits on every machine.
inline double cosine_of(double turns) { return genmod::detail::exact_cos_sin(turns - std::floor(turns))[0]; }

inline double ratio(Index part, Index whole) {
    return static_cast<double>(part) / static_cast<double>(std::max<Index>(1, whole));
}

}  // namespace detail

// Rises from 0 in `warmup` steps, then stays at 1.
struct ConstantLr {
    Index warmup = 0;
    double operator()(Index step) const { return step < warmup ? detail::ratio(step, warmup) : 1; }
};

// Rises from 0 in `warmup` steps, then falls in a straight line to 0 at step `total`.
struct LinearLr {
    Index warmup = 0;
    Index total = 1;
    double operator()(Index step) const {
        if (step < warmup) return detail::ratio(step, warmup);
        return std::max(0.0, detail::ratio(total - step, total - warmup));
    }
};

// Rises from 0 in `warmup` steps, then follows `cycles` periods of a cosine until step `total`; half a period ends at
// 0.
struct CosineLr {
    Index warmup = 0;
    Index total = 1;
    double cycles = 0.5;
    double operator()(Index step) const {
        if (step < warmup) return detail::ratio(step, warmup);
        const double progress = detail::ratio(step - warmup, total - warmup);
        return std::max(0.0, 0.5 * (1 + detail::cosine_of(cycles * progress)));
    }
};

// Rises from 0 in `warmup` steps, then falls from 1 to 0 along half a cosine `cycles` times; 0 from step `total` on.
struct CosineRestartsLr {
    Index warmup = 0;
    Index total = 1;
    Index cycles = 1;
    double operator()(Index step) const {
        if (step < warmup) return detail::ratio(step, warmup);
        const double progress = detail::ratio(step - warmup, total - warmup);
        if (progress >= 1) return 0;
        const double part = static_cast<double>(cycles) * progress;
        return std::max(0.0, 0.5 * (1 + detail::cosine_of(0.5 * (part - std::floor(part)))));
    }
};

// Rises from 0 in `warmup` steps, then falls as (1 - progress)^power from 1 to `end` (a factor) at step `total`.
struct PolynomialLr {
    Index warmup = 0;
    Index total = 1;
    double power = 1;
    double end = 0;
    double operator()(Index step) const {
        if (step < warmup) return detail::ratio(step, warmup);
        if (step > total) return end;
        return (1 - end) * std::pow(1 - detail::ratio(step - warmup, total - warmup), power) + end;
    }
};

// Multiplied by `gamma` every `every` steps.
struct StepLr {
    Index every = 1;
    double gamma = 0.1;
    double operator()(Index step) const {
        check(every >= 1, "StepLr: expected at least 1 step, found ", every);
        return std::pow(gamma, static_cast<double>(step / every));
    }
};

}  // namespace genmod::optim
