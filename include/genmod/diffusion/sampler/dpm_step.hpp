// One step of DPM-Solver from one point, by orders (Lu et al. 2022).
#pragma once

#include <cmath>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// Two answers of neighbouring orders.
template <class T>
struct DpmPair {
    Tensor<T> low;
    Tensor<T> high;
};

// Steps from y = x / alpha at lambda = log(alpha / sigma), as long as one likes; the first question is asked once for
// all of them. `predict` and `at` must outlive it.
template <class T, class Predict>
class DpmStep {
public:
    DpmStep(const Predict& predict, const Step& at, Tensor<T> y, double lambda)
        : predict_(predict), at_(at), y_(std::move(y)), lambda_(lambda), eps_(eps(y_, lambda)) {}

    const Tensor<T>& y() const { return y_; }

    // The first order (eq. 3.7).
    Tensor<T> first(double end) const { return along(end - lambda_, 0, eps_); }

    // Orders 1 and 2 (algorithm 1, r1 = 1/2) with one more question.
    DpmPair<T> first_and_second(double end) {
        const double h = end - lambda_;
        const Tensor<T> middle = eps_at(h / 2, along(h / 2, 0, eps_));
        return {first(end), along(h, std::expm1(h), middle)};
    }

    // Orders 2 (r1 = 1/3) and 3 (algorithm 2, r1 = 1/3, r2 = 2/3) with two more questions.
    DpmPair<T> second_and_third(double end) {
        const double h = end - lambda_, third = h / 3, two = 2 * third;
        const Tensor<T> one = eps_at(third, along(third, 0, eps_));
        const Tensor<T> other = eps_at(two, along(two, 2 * two * phi(2, two), one));
        return {along(h, 1.5 * std::expm1(h), one), along(h, 1.5 * h * phi(2, h), other)};
    }

    Index asked() const { return asked_; }

private:
    // y - sigma (expm1(length) eps + weight (other - eps)), with the sigma of the end.
    Tensor<T> along(double length, double weight, const Tensor<T>& other) const {
        const double sigma = std::exp(-lambda_ - length);
        const Tensor<T> step = combine(1, y_, -sigma * (std::expm1(length) - weight), eps_);
        return weight == 0 ? step : combine(1, step, -sigma * weight, other);
    }

    Tensor<T> eps_at(double length, const Tensor<T>& y) { return eps(y, lambda_ + length); }

    Tensor<T> eps(const Tensor<T>& y, double lambda) {
        const double sigma = std::exp(-lambda);
        const NoiseLevel level = at_.between(sigma);
        ++asked_;
        return combine(1 / sigma, y, -1 / sigma, ask<T>(predict_, combine(level.alpha, y, 0, y), level).x0);
    }

    const Predict& predict_;
    const Step& at_;
    Tensor<T> y_;
    double lambda_;
    Index asked_ = 0;
    Tensor<T> eps_;
};

// Throws Error unless a step has noise at both ends and signal at its beginning.
inline void check_dpm_step(const Step& at) {
    check(at.from.alpha > 0 && at.from.sigma > 0 && at.to.sigma > 0, "dpm solver: no step from (alpha ", at.from.alpha,
          ", sigma ", at.from.sigma, ") to (alpha ", at.to.alpha, ", sigma ", at.to.sigma, ")");
}

}  // namespace genmod::diffusion
