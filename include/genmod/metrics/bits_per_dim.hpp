// Likelihoods in bits per dimension.
#pragma once

#include <cmath>
#include <numbers>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"

namespace genmod::metrics {

// The mean of samples and the standard error of it (0 of a single sample).
struct MeanAndError {
    double mean = 0;
    double standard_error = 0;
};

// Throws Error when there is no sample.
inline MeanAndError mean_and_error(const std::vector<double>& values) {
    check(!values.empty(), "mean: no samples");
    const auto n = static_cast<double>(values.size());
    MeanAndError result;
    for (const double value : values) result.mean += value / n;
    double squares = 0;
    for (const double value : values) squares += (value - result.mean) * (value - result.mean);
    if (values.size() > 1) result.standard_error = std::sqrt(squares / (n - 1) / n);
    return result;
}

// From log densities in nats of samples of `dims` numbers to bits per dimension of numbers that were cut to a grid of
// `per_unit` steps per unit, and made continuous again by uniform noise over a step: -log p / (dims ln 2) +
// log2(per_unit). Bytes in [-1, 1] have 127.5 steps per unit; 1 leaves the density as it is. Throws Error unless dims
// and per_unit are positive.
inline std::vector<double> bits_per_dim(const std::vector<double>& nats, Index dims, double per_unit = 127.5) {
    check(dims >= 1 && per_unit > 0, "bits per dim: ", dims, " numbers and ", per_unit, " steps per unit");
    std::vector<double> bits;
    for (const double value : nats)
        bits.push_back(-value / (static_cast<double>(dims) * std::numbers::ln2) + std::log2(per_unit));
    return bits;
}

}  // namespace genmod::metrics
