// A Gaussian, and the axes in which its numbers are independent.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::diffusion {

// One Gaussian of a mixture, of points of d numbers.
struct GaussianComponent {
    std::vector<double> mean = {0};        // [d]
    std::vector<double> covariance = {1};  // [d]: variances of independent numbers; or [d, d]
    double weight = 1;                     // its share, beside the other weights
};

namespace detail {

// A component in its own axes: covariance = sum over i of values[i] * (row i of vectors)^T (row i of vectors).
struct GaussianAxes {
    std::vector<double> mean;
    std::vector<double> values;
    std::vector<double> vectors;  // [d, d]; empty: the axes are the numbers themselves
    double weight = 1;

    explicit GaussianAxes(const GaussianComponent& component)
        : mean(component.mean), values(component.covariance), weight(component.weight) {
        const std::size_t d = mean.size();
        check(d >= 1 && (values.size() == d || values.size() == d * d), "gaussian: a mean of ", d, " numbers and ",
              values.size(), " of covariance; expected ", d, " variances, or ", d * d);
        check(is_finite(weight) && weight > 0, "gaussian: weight ", weight, " is not above 0");
        for (const double value : mean) check(is_finite(value), "gaussian: the mean holds NaN or infinity");
        for (const double value : values) check(is_finite(value), "gaussian: the covariance holds NaN or infinity");
        if (values.size() != d) find_axes(d);
        for (double& value : values) {
            check(value > -1e-12, "gaussian: a negative variance, ", value);
            value = std::max(value, 0.0);
        }
    }

    // The variance along axis i at a level.
    double total(std::size_t i, const NoiseLevel& at) const {
        return at.alpha * at.alpha * values[i] + at.sigma * at.sigma;
    }

    // out = point in the axes, or back from them.
    void turn(const double* point, double* out) const {
        const std::size_t d = mean.size();
        if (vectors.empty()) std::copy_n(point, d, out);
        for (std::size_t i = 0; i < d && !vectors.empty(); ++i) {
            out[i] = 0;
            for (std::size_t j = 0; j < d; ++j) out[i] += vectors[i * d + j] * point[j];
        }
    }
    void turn_back(const double* axes, double* out) const {
        const std::size_t d = mean.size();
        if (vectors.empty()) std::copy_n(axes, d, out);
        for (std::size_t j = 0; j < d && !vectors.empty(); ++j) {
            out[j] = 0;
            for (std::size_t i = 0; i < d; ++i) out[j] += vectors[i * d + j] * axes[i];
        }
    }

private:
    void find_axes(std::size_t d) {
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t j = 0; j < i; ++j)
                check(std::fabs(values[i * d + j] - values[j * d + i]) <= 1e-9 * std::fabs(values[i * d + j]),
                      "gaussian: the covariance is not symmetric");
        std::vector<double> matrix = values;
        values.resize(d);
        vectors.resize(d * d);
        if (!kernels::symmetric_eigen(static_cast<Index>(d), matrix.data(), values.data(), vectors.data()))
            fail(ErrorCode::internal, "gaussian: the covariance has no eigenvalues");
    }
};

}  // namespace detail

}  // namespace genmod::diffusion
