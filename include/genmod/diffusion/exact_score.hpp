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
#include "genmod/diffusion/gaussian_axes.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

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
        for_each_point(x, at, [&](Index first, Work& work) {
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
        for_each_point(x, at, [&](Index first, Work& work) { result[first / dim()] = weigh(work); });
        return result;
    }

    // How likely each point of x [n, ...] at a level came from each component, [points, components]. Its mean over the
    // law is the components' weights.
    template <class T>
    Tensor<double> shares(const Tensor<T>& x, const NoiseLevel& at = {}) const {
        const auto count = static_cast<Index>(components_.size());
        Tensor<double> result({x.size() / dim(), count});
        for_each_point(x, at, [&](Index first, Work& work) {
            weigh(work);
            std::copy(work.share.begin(), work.share.end(), result.data() + first / dim() * count);
        });
        return result;
    }

    // Points of the data, [count, d].
    template <class T = double>
    Tensor<T> draw(Index count, Rng& rng) const {
        check(count >= 0, "gaussian mixture: cannot draw ", count, " points");
        Tensor<T> points({count, dim()});
        Work work(*this, {});
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
    // What one point needs: of each component at the level the inverse variances along its axes and the logarithm of
    // its weight and norm, and then the point in these axes and the component's share.
    struct Work {
        std::vector<double> inverse, norm, point, axes, share, centred, part, x0, eps;

        Work(const GaussianMixture& law, const NoiseLevel& at) {
            const std::size_t d = law.components_.front().mean.size(), count = law.components_.size();
            for (auto* row : {&point, &centred, &part, &x0, &eps}) row->resize(d);
            axes.resize(count * d);
            share.resize(count);
            for (const detail::GaussianAxes& own : law.components_) {
                norm.push_back(std::log(own.weight));
                for (std::size_t i = 0; i < d; ++i) {
                    const double total = own.total(i, at);
                    inverse.push_back(total > 0 ? 1 / total : 0);  // no spread and no noise: x0 is the mean
                    norm.back() -= 0.5 * std::log(2 * std::numbers::pi * total);
                }
            }
        }
    };

    template <class T, class Body>
    void for_each_point(const Tensor<T>& x, const NoiseLevel& at, Body body) const {
        const Index d = dim();
        check(x.rank() >= 1 && x.shape().product(1, x.rank()) % d == 0, "gaussian mixture: pictures of shape ",
              x.shape(), " do not hold whole points of ", d, " numbers");
        parallel_ranges(x.size() / d, 2048, [&](Index first, Index last) {
            Work work(*this, at);
            for (Index k = first; k < last; ++k) {
                for (Index j = 0; j < d; ++j)
                    work.point[static_cast<std::size_t>(j)] = static_cast<double>(x[k * d + j]);
                for (std::size_t c = 0; c < components_.size(); ++c) centre(work, c, at);
                body(k * d, work);
            }
        });
    }

    // The point, from the noisy mean of component c, in the axes of that component.
    void centre(Work& work, std::size_t c, const NoiseLevel& at) const {
        const detail::GaussianAxes& own = components_[c];
        for (std::size_t j = 0; j < own.mean.size(); ++j) work.centred[j] = work.point[j] - at.alpha * own.mean[j];
        own.turn(work.centred.data(), work.axes.data() + c * own.mean.size());
    }

    // The logarithm of the point's density; leaves the components' posterior shares.
    double weigh(Work& work) const {
        const std::size_t d = components_.front().mean.size();
        double most = -std::numeric_limits<double>::infinity(), sum = 0;
        for (std::size_t c = 0; c < components_.size(); ++c) {
            double square = 0;
            for (std::size_t i = c * d; i < (c + 1) * d; ++i) square += work.axes[i] * work.axes[i] * work.inverse[i];
            work.share[c] = work.norm[c] - 0.5 * square;
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
        if (components_.size() > 1) weigh(work);
        std::fill(work.x0.begin(), work.x0.end(), 0.0);
        std::fill(work.eps.begin(), work.eps.end(), 0.0);
        for (std::size_t c = 0; c < components_.size(); ++c) {
            const detail::GaussianAxes& own = components_[c];
            const std::size_t d = own.mean.size();
            double* axes = work.axes.data() + c * d;
            for (std::size_t i = 0; i < d; ++i) axes[i] *= work.inverse[c * d + i];
            own.turn_back(axes, work.part.data());
            for (std::size_t j = 0; j < d; ++j) work.eps[j] += work.share[c] * at.sigma * work.part[j];
            for (std::size_t i = 0; i < d; ++i) axes[i] *= at.alpha * own.values[i];
            own.turn_back(axes, work.part.data());
            for (std::size_t j = 0; j < d; ++j) work.x0[j] += work.share[c] * (own.mean[j] + work.part[j]);
        }
    }

    std::vector<detail::GaussianAxes> components_;
};

}  // namespace genmod::diffusion
