// Activation normalisation: a scale and a shift for each channel, started from data (Kingma and Dhariwal 2018,
// section 3.1).
#pragma once

#include <cmath>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"

namespace genmod::flows {

// The mean and the deviation of each channel of x [n, ..., c], over all n numbers (by n - 1).
struct ChannelMoments {
    std::vector<double> mean, deviation;
};

template <class T>
ChannelMoments channel_moments(const Tensor<T>& x) {
    check(x.rank() >= 2 && x.size() > 0, "moments: expected numbers [n, ..., c], found shape ", x.shape());
    const Index c = x.dim(-1), rows = x.size() / c;
    const std::vector<double> zeros(static_cast<std::size_t>(c), 0.0);
    ChannelMoments result{zeros, zeros};
    for (Index k = 0; k < x.size(); ++k)
        result.mean[static_cast<std::size_t>(k % c)] += static_cast<double>(x[k]) / static_cast<double>(rows);
    for (Index k = 0; k < x.size(); ++k) {
        const auto channel = static_cast<std::size_t>(k % c);
        const double difference = static_cast<double>(x[k]) - result.mean[channel];
        result.deviation[channel] += difference * difference;
    }
    for (double& sum : result.deviation) sum = std::sqrt(sum / static_cast<double>(rows > 1 ? rows - 1 : 1));
    return result;
}

// y = exp(log_scale) x + shift for x [n, ..., c].
template <class T>
struct ActNorm : nn::Module {
    static constexpr const char* name = "actnorm";
    Var<T> log_scale;  // [c]
    Var<T> shift;      // [c]

    explicit ActNorm(Index channels)
        : log_scale(nn::constant_parameter<T>({channels}, 0)), shift(nn::constant_parameter<T>({channels}, 0)) {}

    Transformed<T> forward(const Var<T>& x) const {
        const Var<T> scale = ops::exp(log_scale);
        return {ops::add(ops::mul(x, scale), shift), log_det(x, 1)};
    }
    Transformed<T> inverse(const Var<T>& y) const {
        const Var<T> scale = ops::exp(log_scale);
        return {ops::div(ops::sub(y, shift), scale), log_det(y, -1)};
    }

    // Each channel of y gets mean 0 and deviation 1 on x; the scale of a channel that is the same everywhere becomes 1.
    // Throws Error when x does not fit or is not finite.
    void initialize(const Tensor<T>& x) {
        const Index c = log_scale.size();
        check(x.rank() >= 2 && x.dim(-1) == c, "actnorm: x ", x.shape(), " for ", c, " channels");
        const ChannelMoments moments = channel_moments(x);
        for (Index k = 0; k < c; ++k) {
            const double mean = moments.mean[static_cast<std::size_t>(k)];
            const double deviation = moments.deviation[static_cast<std::size_t>(k)];
            if (!is_finite(deviation)) fail(ErrorCode::non_finite, "actnorm: NaN or infinity in channel ", k);
            const double scale = deviation > 1e-10 * std::abs(mean) ? 1 / deviation : 1;
            log_scale.value()[k] = static_cast<T>(std::log(scale));
            shift.value()[k] = static_cast<T>(-mean * scale);
        }
    }

    static void visit(auto& self, auto&& f) {
        f("log_scale", self.log_scale);
        f("shift", self.shift);
    }

private:
    Var<T> log_det(const Var<T>& x, double sign) const {
        return for_each_sample(ops::sum(log_scale), x.dim(0), sign * pixels(x.shape()));
    }
};

}  // namespace genmod::flows
