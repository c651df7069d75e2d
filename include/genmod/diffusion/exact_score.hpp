// Data whose best prediction is known exactly: Gaussians and mixtures of them, for checking samplers without a network.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
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

// The law of points of d numbers that is a mixture of Gaussians. As `predict` of sample() it says what a perfect
// network would: x0 = E[x0 | x] and eps = E[eps | x], in any frame (from alpha and sigma of the level; t is ignored).
// A picture of k * d numbers holds k independent points, one after another. Computes in double; exp and log are the
// standard library's, so that the bits belong to one machine.
class GaussianMixture {
public:
    // Throws Error when there is no component, they differ in d, or one of them is no Gaussian.
    explicit GaussianMixture(const std::vector<GaussianComponent>& components) {
        check(!components.empty(), "gaussian mixture: no components");
        double sum = 0;
        for (const GaussianComponent& component : components) {
            components_.emplace_back(component);
            check(components_.back().mean.size() == components_.front().mean.size(), "gaussian mixture: components of ",
                  components_.front().mean.size(), " and of ", components_.back().mean.size(), " numbers");
            sum += component.weight;
        }
        for (detail::GaussianAxes& component : components_) component.weight /= sum;
    }

    // Independent numbers N(mean, deviation^2).
    static GaussianMixture normal(double mean, double deviation) {
        return GaussianMixture({{.mean = {mean}, .covariance = {deviation * deviation}}});
    }

    Index dim() const { return static_cast<Index>(components_.front().mean.size()); }
    const std::vector<detail::GaussianAxes>& components() const { return components_; }

    // Throws Error when the pictures of x [n, ...] do not hold whole points.
    template <class T>
    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& at) const {
        Prediction<T> said{.x0 = Tensor<T>(x.shape()), .eps = Tensor<T>(x.shape()), .variance = {}, .gradient = {}};
        for_each_point(x, [&](Index first, Work& work) {
            mix(work, at);
            for (Index j = 0; j < dim(); ++j) {
                said.x0[first + j] = static_cast<T>(work.x0[static_cast<std::size_t>(j)]);
                said.eps[first + j] = static_cast<T>(work.eps[static_cast<std::size_t>(j)]);
            }
        });
        return said;
    }

    // The logarithm of the density of each point of x [n, ...] at a level, [points]; of the data without one. Throws
    // Error where a direction has no spread at all.
    template <class T>
    Tensor<double> log_density(const Tensor<T>& x, const NoiseLevel& at = {}) const {
        for (const detail::GaussianAxes& own : components_)
            for (std::size_t i = 0; i < own.mean.size(); ++i)
                check(own.total(i, at) > 0, "gaussian mixture: no density where a component has no spread");
        Tensor<double> result({x.size() / dim()});
        for_each_point(x, [&](Index first, Work& work) { result[first / dim()] = weigh(work, at); });
        return result;
    }

    // Points of the data, [count, d].
    template <class T = double>
    Tensor<T> draw(Index count, Rng& rng) const {
        check(count >= 0, "gaussian mixture: cannot draw ", count, " points");
        Tensor<T> points({count, dim()});
        Work work(*this);
        for (Index k = 0; k < count; ++k) {
            double left = rng.uniform();
            std::size_t c = 0;
            while (c + 1 < components_.size() && left >= components_[c].weight) left -= components_[c++].weight;
            const detail::GaussianAxes& own = components_[c];
            for (std::size_t i = 0; i < own.mean.size(); ++i) work.axes[i] = std::sqrt(own.values[i]) * rng.normal();
            own.turn_back(work.axes.data(), work.x0.data());
            for (std::size_t j = 0; j < own.mean.size(); ++j)
                points[k * dim() + static_cast<Index>(j)] = static_cast<T>(own.mean[j] + work.x0[j]);
        }
        return points;
    }

private:
    // What one point needs.
    struct Work {
        std::vector<double> point, centred, axes, part, x0, eps, share;

        explicit Work(const GaussianMixture& law) : share(law.components_.size()) {
            for (auto* row : {&point, &centred, &axes, &part, &x0, &eps})
                row->resize(static_cast<std::size_t>(law.dim()));
        }
    };

    template <class T, class Body>
    void for_each_point(const Tensor<T>& x, Body body) const {
        const Index d = dim();
        check(x.rank() >= 1 && x.shape().product(1, x.rank()) % d == 0, "gaussian mixture: pictures of shape ",
              x.shape(), " do not hold whole points of ", d, " numbers");
        parallel_ranges(x.size() / d, 2048, [&](Index first, Index last) {
            Work work(*this);
            for (Index k = first; k < last; ++k) {
                for (Index j = 0; j < d; ++j)
                    work.point[static_cast<std::size_t>(j)] = static_cast<double>(x[k * d + j]);
                body(k * d, work);
            }
        });
    }

    // The point, from the noisy mean of a component, in the axes of that component.
    void centre(Work& work, const detail::GaussianAxes& own, const NoiseLevel& at) const {
        for (std::size_t j = 0; j < own.mean.size(); ++j) work.centred[j] = work.point[j] - at.alpha * own.mean[j];
        own.turn(work.centred.data(), work.axes.data());
    }

    // The logarithm of the point's density; leaves the components' posterior shares.
    double weigh(Work& work, const NoiseLevel& at) const {
        double most = -std::numeric_limits<double>::infinity(), sum = 0;
        for (std::size_t c = 0; c < components_.size(); ++c) {
            const detail::GaussianAxes& own = components_[c];
            centre(work, own, at);
            work.share[c] = std::log(own.weight);
            for (std::size_t i = 0; i < own.mean.size(); ++i) {
                const double total = own.total(i, at);
                work.share[c] -= 0.5 * (work.axes[i] * work.axes[i] / total + std::log(2 * std::numbers::pi * total));
            }
            most = std::max(most, work.share[c]);
        }
        for (double& share : work.share) sum += share = std::exp(share - most);
        for (double& share : work.share) share /= sum;
        return most + std::log(sum);
    }

    // E[x0 | x] and E[eps | x]: of one Gaussian x0 = mean + alpha values (x - alpha mean) / total, eps = sigma (x -
    // alpha mean) / total along each axis; of more, their mean by posterior share.
    void mix(Work& work, const NoiseLevel& at) const {
        work.share[0] = 1;
        if (components_.size() > 1) weigh(work, at);
        std::fill(work.x0.begin(), work.x0.end(), 0.0);
        std::fill(work.eps.begin(), work.eps.end(), 0.0);
        for (std::size_t c = 0; c < components_.size(); ++c) {
            const detail::GaussianAxes& own = components_[c];
            centre(work, own, at);
            for (std::size_t i = 0; i < own.mean.size(); ++i) {
                const double total = own.total(i, at);
                work.axes[i] = total > 0 ? work.axes[i] / total : 0;  // no spread and no noise: x0 is the mean
            }
            own.turn_back(work.axes.data(), work.part.data());
            for (std::size_t j = 0; j < own.mean.size(); ++j) work.eps[j] += work.share[c] * at.sigma * work.part[j];
            for (std::size_t i = 0; i < own.mean.size(); ++i) work.axes[i] *= at.alpha * own.values[i];
            own.turn_back(work.axes.data(), work.part.data());
            for (std::size_t j = 0; j < own.mean.size(); ++j)
                work.x0[j] += work.share[c] * (own.mean[j] + work.part[j]);
        }
    }

    std::vector<detail::GaussianAxes> components_;
};

}  // namespace genmod::diffusion
