// How far samples are from the law they should follow, and how far chance alone would take them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/exact_flow.hpp"
#include "genmod/diffusion/exact_score.hpp"

namespace genmod::diffusion {

// A distance of so many exact samples: its mean and its standard deviation.
struct ChanceDistance {
    double mean = 0;
    double deviation = 0;
};

// The Wasserstein-1 distance between values and a law on the line. Sorts the values.
inline double wasserstein(const GaussianMixture& line, std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    double sum = 0;
    for (std::size_t k = 0; k < values.size(); ++k)
        sum +=
            std::fabs(values[k] - quantile(line, (static_cast<double>(k) + 0.5) / static_cast<double>(values.size())));
    return sum / static_cast<double>(values.size());
}

// That distance for `count` samples of the law itself. It is the integral of |B(F(x))| / sqrt(count) with a Brownian
// bridge B (del Barrio et al. 1999); E|X| and E|XY| of Gaussians give both moments, here over a grid.
inline ChanceDistance chance_distance(const GaussianMixture& line, Index count) {
    constexpr std::size_t points = 80;
    const double low = quantile(line, 1e-4), step = (quantile(line, 1 - 1e-4) - low) / points;
    std::array<double, points> below{}, spread{};
    ChanceDistance chance;
    for (std::size_t i = 0; i < points; ++i) {
        below[i] = cumulative(line, low + (static_cast<double>(i) + 0.5) * step);
        spread[i] = std::sqrt(below[i] * (1 - below[i]));
        chance.mean += spread[i] * std::sqrt(2 / std::numbers::pi) * step;
    }
    double variance = 0;
    for (std::size_t i = 0; i < points; ++i)
        for (std::size_t j = 0; j < points; ++j) {
            const double low_one = std::min(below[i], below[j]), high_one = std::max(below[i], below[j]);
            const double r = std::min(1.0, low_one * (1 - high_one) / (spread[i] * spread[j]));
            variance += spread[i] * spread[j] * (std::sqrt(1 - r * r) + r * std::asin(r) - 1);
        }
    const double root = std::sqrt(static_cast<double>(count));
    chance.deviation = std::sqrt(variance * 2 / std::numbers::pi) * step / root;
    chance.mean /= root;
    return chance;
}

// What samples look like beside their law. Deviations are in units of what chance does (one standard deviation).
struct LawDistance {
    double distance = 0;         // sliced Wasserstein-1: the mean over directions of the line or the plane
    ChanceDistance chance;       // of it; the deviation is an upper bound
    double spread = 0;           // the law's own: its standard deviation, the mean over directions
    double mean = 0;             // |mean - law's| / law's standard deviation, in the worst direction
    double variance = 0;         // variance / law's - 1, in the worst direction
    double variance_chance = 0;  // its standard deviation
    double share = 0;            // the worst component: share of the points - weight
    double share_chance = 0;
};

namespace detail {

// Points [n, d] along a direction.
inline std::vector<double> shadow(const Tensor<double>& points, const std::vector<double>& direction) {
    const auto d = static_cast<Index>(direction.size());
    std::vector<double> values(static_cast<std::size_t>(points.size() / d), 0.0);
    for (Index k = 0; k < points.size(); ++k)
        values[static_cast<std::size_t>(k / d)] += direction[static_cast<std::size_t>(k % d)] * points[k];
    return values;
}

inline void compare_shares(const GaussianMixture& law, const Tensor<double>& points, LawDistance& result) {
    const Tensor<double> shares = law.shares(points);
    const auto n = static_cast<double>(shares.dim(0));
    for (std::size_t c = 0; c < law.components().size(); ++c) {
        const double weight = law.components()[c].weight;
        double mean = 0;
        for (Index k = 0; k < shares.dim(0); ++k) mean += shares[k * shares.dim(1) + static_cast<Index>(c)] / n;
        if (std::fabs(mean - weight) < std::fabs(result.share)) continue;
        result.share = mean - weight;
        result.share_chance = std::sqrt(weight * (1 - weight) / n);
    }
}

}  // namespace detail

// Compares points [n, d] of the line or the plane with their law. Throws Error for other d, and fewer than two points.
inline LawDistance law_distance(const GaussianMixture& law, const Tensor<double>& points) {
    check(law.dim() <= 2 && points.rank() == 2 && points.dim(1) == law.dim() && points.dim(0) >= 2,
          "law distance: expected points [n, 1] or [n, 2], found ", points.shape());
    const Index directions = law.dim() == 1 ? 1 : 6;
    const auto n = static_cast<double>(points.dim(0)), part = 1.0 / static_cast<double>(directions);
    LawDistance result;
    for (Index i = 0; i < directions; ++i) {
        const double angle = std::numbers::pi * part * static_cast<double>(i);
        std::vector<double> direction{std::cos(angle), std::sin(angle)};
        direction.resize(static_cast<std::size_t>(law.dim()));
        const GaussianMixture line = project(law, direction);
        std::vector<double> values = detail::shadow(points, direction);
        const double second = central_moment(line, 2), fourth = central_moment(line, 4);
        double mean = 0, variance = 0;
        for (const double value : values) mean += value / n;
        for (const double value : values) variance += (value - mean) * (value - mean) / (n - 1);
        result.mean = std::max(result.mean, std::fabs(mean - mean_of(line)) / std::sqrt(second));
        if (std::fabs(variance / second - 1) >= std::fabs(result.variance)) {
            result.variance = variance / second - 1;
            result.variance_chance = std::sqrt((fourth / (second * second) - 1) / n);
        }
        const ChanceDistance chance = chance_distance(line, points.dim(0));
        result.distance += part * wasserstein(line, values);
        result.chance.mean += part * chance.mean;
        result.chance.deviation += part * chance.deviation;
        result.spread += part * std::sqrt(second);
    }
    detail::compare_shares(law, points, result);
    return result;
}

}  // namespace genmod::diffusion
