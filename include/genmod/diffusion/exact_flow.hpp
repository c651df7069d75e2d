// Where the probability-flow ODE takes a point of a Gaussian, or of a mixture on the line, exactly.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/noise_level.hpp"

namespace genmod::diffusion {

// The law of the sum of direction[j] * (number j of a point).
inline GaussianMixture project(const GaussianMixture& law, const std::vector<double>& direction) {
    check(static_cast<Index>(direction.size()) == law.dim(), "project: a direction of ", direction.size(),
          " numbers for points of ", law.dim());
    std::vector<GaussianComponent> components;
    std::vector<double> axes(direction.size());
    for (const detail::GaussianAxes& own : law.components()) {
        own.turn(direction.data(), axes.data());
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < direction.size(); ++i) {
            mean += direction[i] * own.mean[i];
            variance += axes[i] * axes[i] * own.values[i];
        }
        components.push_back({{mean}, {variance}, own.weight});
    }
    return GaussianMixture(components);
}

// The mean of the numbers of a mixture on the line, without noise.
inline double mean_of(const GaussianMixture& line) {
    double mean = 0;
    for (const detail::GaussianAxes& own : line.components()) mean += own.weight * own.mean[0];
    return mean;
}

// The k-th central moment, k 2 or 4, of a mixture on the line: its variance, and what the spread of a measured variance
// depends on.
inline double central_moment(const GaussianMixture& line, int k) {
    double sum = 0;
    for (const detail::GaussianAxes& own : line.components()) {
        const double shift = own.mean[0] - mean_of(line), s = shift * shift, v = own.values[0];
        sum += own.weight * (k == 2 ? s + v : s * s + 6 * s * v + 3 * v * v);
    }
    return sum;
}

// P(X <= x) of a mixture on the line at a level. Throws Error when the points have more than one number.
inline double cumulative(const GaussianMixture& line, double x, const NoiseLevel& at = {}) {
    check(line.dim() == 1, "cumulative: expected a law on the line, found points of ", line.dim(), " numbers");
    double sum = 0;
    for (const detail::GaussianAxes& own : line.components())
        sum += own.weight * 0.5 * std::erfc((at.alpha * own.mean[0] - x) / std::sqrt(2 * own.total(0, at)));
    return sum;
}

// P(X > x), without the rounding of 1 - cumulative().
inline double upper_tail(const GaussianMixture& line, double x, const NoiseLevel& at = {}) {
    double sum = 0;
    for (const detail::GaussianAxes& own : line.components())
        sum += own.weight * 0.5 * std::erfc((x - at.alpha * own.mean[0]) / std::sqrt(2 * own.total(0, at)));
    return sum;
}

namespace detail {

// The x at which cumulative (or, with `upper`, upper_tail) is p, by bisection in an interval that holds it, then
// Newton's steps as long as they stay inside. Quicker when it begins near the answer.
inline double solve_quantile(const GaussianMixture& line, double p, bool upper, const NoiseLevel& at, double begin) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const GaussianAxes& own : line.components()) {
        const double spread = 40 * std::sqrt(own.total(0, at));
        low = std::min(low, at.alpha * own.mean[0] - spread);
        high = std::max(high, at.alpha * own.mean[0] + spread);
    }
    double x = begin > low && begin < high ? begin : (low + high) / 2;
    for (int k = 0; k < 200 && high - low > 1e-15 * (1 + std::fabs(x)); ++k) {
        const double too_far = upper ? p - upper_tail(line, x, at) : cumulative(line, x, at) - p;
        (too_far > 0 ? high : low) = x;
        double slope = 0;
        for (const GaussianAxes& own : line.components()) {
            const double total = own.total(0, at), shift = x - at.alpha * own.mean[0];
            slope += own.weight * std::exp(-shift * shift / (2 * total)) / std::sqrt(2 * std::numbers::pi * total);
        }
        const double next = x - too_far / slope;
        if (std::fabs(next - x) <= 1e-9 * (1 + std::fabs(x))) return next;  // off by the square of that
        x = next > low && next < high ? next : (low + high) / 2;
    }
    return x;
}

}  // namespace detail

// The x with P(X <= x) = p of a mixture on the line at a level, sought from `begin` on. Throws Error unless p is in
// (0, 1).
inline double quantile(const GaussianMixture& line, double p, const NoiseLevel& at = {}, double begin = 0) {
    check(p > 0 && p < 1, "quantile: p ", p, " is not in (0, 1)");
    check(line.dim() == 1, "quantile: expected a law on the line, found points of ", line.dim(), " numbers");
    return detail::solve_quantile(line, p, false, at, begin);
}

// x [n, ...] of one level, at another one along the probability-flow ODE (Song et al. 2021, eq. 13): the flow keeps
// each Gaussian coordinate's place in its law, and each number's quantile on the line. Any frame, both ways; the level
// may be pure noise. Throws Error for mixtures of points with more than one number, whose flow has no closed form.
template <class T>
Tensor<T> exact_flow(const GaussianMixture& law, const Tensor<T>& x, const NoiseLevel& from, const NoiseLevel& to) {
    const bool gaussian = law.components().size() == 1;
    const Index d = law.dim();
    check(gaussian || d == 1, "exact flow: known for one Gaussian, or for a mixture on the line");
    check(x.size() % d == 0, "exact flow: ", x.size(), " numbers are not whole points of ", d);
    Tensor<T> result(x.shape());
    const detail::GaussianAxes& own = law.components().front();
    const auto count = static_cast<std::size_t>(d);
    std::vector<double> point(count), axes(count);
    for (Index first = 0; first < x.size(); first += d) {
        if (!gaussian) {
            const auto value = static_cast<double>(x[first]);
            const bool upper = cumulative(law, value, from) > 0.5;
            const double p = upper ? upper_tail(law, value, from) : cumulative(law, value, from);
            result[first] = static_cast<T>(detail::solve_quantile(law, p, upper, to, value));
            continue;
        }
        for (std::size_t j = 0; j < count; ++j)
            point[j] = static_cast<double>(x[first + static_cast<Index>(j)]) - from.alpha * own.mean[j];
        own.turn(point.data(), axes.data());
        for (std::size_t i = 0; i < count; ++i) axes[i] *= std::sqrt(own.total(i, to) / own.total(i, from));
        own.turn_back(axes.data(), point.data());
        for (std::size_t j = 0; j < count; ++j)
            result[first + static_cast<Index>(j)] = static_cast<T>(to.alpha * own.mean[j] + point[j]);
    }
    return result;
}

}  // namespace genmod::diffusion
