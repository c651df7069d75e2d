// Batch normalisation as a part of a flow (Dinh et al. 2017, section 3.7 and appendix E).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/flows/actnorm.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::flows {

struct BatchNormOptions {
    double eps = 1e-5;      // added to the variance
    double momentum = 0.1;  // share of the newest batch in the running moments
};

// y = (x - mean) / sqrt(variance + eps) for x [n, ..., c], with the moments of the batch inside a Training scope (they
// depend on x, and gradients flow through them; the running moments move at its commit()), with the running moments
// elsewhere. The inverse always takes the running ones. Unlike a layer of a network it has no scale or shift: the
// couplings around it have.
template <class T>
struct BatchNorm : nn::Module {
    static constexpr const char* name = "batch norm";
    Tensor<T> running_mean;      // [c]
    Tensor<T> running_variance;  // [c]
    BatchNormOptions options;

    explicit BatchNorm(Index channels, BatchNormOptions o = {})
        : running_mean(Tensor<T>::zeros({channels})), running_variance(Tensor<T>::full({channels}, T(1))), options(o) {}

    Transformed<T> forward(const Var<T>& x) const {
        check(x.rank() >= 2 && x.dim(-1) == running_mean.size(), "flow batch norm: x ", x.shape(), " for ",
              running_mean.size(), " channels");
        if (training() == nullptr) return normalised(x, Var<T>(running_mean), Var<T>(running_variance));
        std::vector<Index> axes;
        for (Index axis = 0; axis + 1 < x.rank(); ++axis) axes.push_back(axis);
        const Var<T> mean = ops::mean(x, axes);
        const Var<T> variance = ops::mean(ops::square(ops::sub(x, mean)), axes);
        remember(mean.value(), variance.value(), static_cast<double>(x.size() / x.dim(-1)));
        return normalised(x, mean, variance);
    }
    Transformed<T> inverse(const Var<T>& y) const {
        const Var<T> variance = ops::add_scalar(Var<T>(running_variance), options.eps);
        const Var<T> x = ops::add(ops::mul(y, ops::sqrt(variance)), Var<T>(running_mean));
        return {x, log_det(y, variance, 0.5)};
    }

    // Takes the moments of x for the running ones.
    void initialize(const Tensor<T>& x) {
        check(x.rank() >= 2 && x.dim(-1) == running_mean.size(), "flow batch norm: x ", x.shape(), " for ",
              running_mean.size(), " channels");
        const ChannelMoments moments = channel_moments(x);
        for (Index k = 0; k < running_mean.size(); ++k) {
            const double deviation = moments.deviation[static_cast<std::size_t>(k)];
            if (!is_finite(deviation)) fail(ErrorCode::non_finite, "flow batch norm: NaN or infinity in channel ", k);
            running_mean[k] = static_cast<T>(moments.mean[static_cast<std::size_t>(k)]);
            running_variance[k] = static_cast<T>(deviation * deviation);
        }
    }

    static void visit(auto& self, auto&& f) {
        f("running_mean", self.running_mean);
        f("running_var", self.running_variance);
    }

private:
    Transformed<T> normalised(const Var<T>& x, const Var<T>& mean, const Var<T>& variance) const {
        const Var<T> positive = ops::add_scalar(variance, options.eps);
        const Var<T> y = ops::div(ops::sub(x, mean), ops::sqrt(positive));
        return {y, log_det(x, positive, -0.5)};
    }
    static Var<T> log_det(const Var<T>& x, const Var<T>& variance, double factor) {
        return for_each_sample(ops::sum(ops::log(variance)), x.dim(0), factor * pixels(x.shape()));
    }
    // Moves the running moments at commit(); the variance as it is without bias.
    void remember(const Tensor<T>& mean, const Tensor<T>& variance, double count) const {
        const double share = options.momentum, unbiased = count > 1 ? count / (count - 1) : 1;
        training()->collect(training()->next_place(),
                            [=, to_mean = running_mean, to_variance = running_variance]() mutable {
                                move(to_mean, mean, share, 1);
                                move(to_variance, variance, share, unbiased);
                            });
    }
    static void move(Tensor<T>& running, const Tensor<T>& now, double share, double factor) {
        for (Index k = 0; k < running.size(); ++k)
            running[k] = static_cast<T>((1 - share) * static_cast<double>(running[k]) +
                                        share * factor * static_cast<double>(now[k]));
    }
};

}  // namespace genmod::flows
