// Compares gradients and tangents with differences, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"

namespace genmod {

// The largest error found, relative to max(1, |numeric|, |analytic|), and where.
struct GradCheck {
    double error = 0;
    std::string where;
    bool ok(double tolerance = 1e-6) const { return error <= tolerance; }

    void note(double analytic, double numeric, const std::string& place) {
        const double scale = std::max({1.0, std::fabs(analytic), std::fabs(numeric)});
        const double difference = std::fabs(analytic - numeric) / scale;
        if (difference > error || std::isnan(difference)) {
            error = std::isnan(difference) ? HUGE_VAL : difference;
            where = place + ": analytic " + std::to_string(analytic) + ", numeric " + std::to_string(numeric);
        }
    }
};

namespace detail {

inline double dot(const Tensor<double>& a, const Tensor<double>& b) {
    double sum = 0;
    for (Index k = 0; k < a.size(); ++k) sum += a[k] * b[k];
    return sum;
}

}  // namespace detail

// Checks the gradients of function(inputs) -> Var<double> (of any shape) with respect to every number of every input
// by central differences of <u, function> with a random u. Keep inputs away from kinks.
template <class Function>
GradCheck check_grad(Function&& function, const std::vector<Tensor<double>>& inputs, double step = 1e-5) {
    std::vector<Var<double>> leaves;
    for (const auto& input : inputs) leaves.push_back(Var<double>::parameter(input.clone()));
    const Var<double> y = function(leaves);
    Rng rng(7, Purpose::probe);
    const Tensor<double> u = rng.normals<double>(y.shape());
    const auto grads = grad(y, leaves, u);
    GradCheck result;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
        for (Index k = 0; k < leaves[i].size(); ++k) {
            const NoGrad off;
            double& number = leaves[i].value()[k];
            const double before = number;
            number = before + step;
            const double above = detail::dot(u, function(leaves).value());
            number = before - step;
            const double below = detail::dot(u, function(leaves).value());
            number = before;
            result.note(grads[i][k], (above - below) / (2 * step),
                        "input " + std::to_string(i) + " number " + std::to_string(k));
        }
    }
    return result;
}

// Checks the tangent rule of function(x): <u, J v> = <J' u, v> for random u and v, where function takes a Var or a
// Dual. Then checks the gradient of J v with respect to x, that is the rules for gradients of gradients.
template <class Function>
GradCheck check_tangent(Function&& function, const Tensor<double>& input, double step = 1e-5) {
    Rng rng(11, Purpose::probe);
    const Tensor<double> v = rng.normals<double>(input.shape());
    const auto x = Var<double>::parameter(input.clone());
    const Var<double> y = function(x);
    const Tensor<double> u = rng.normals<double>(y.shape());
    const Dual<double> moved = function(Dual<double>(x, Var<double>(v)));
    GradCheck result;
    result.note(detail::dot(u, moved.tangent.value()), detail::dot(grad(y, {x}, u)[0], v), "tangent");
    for (Index k = 0; k < y.size(); ++k) result.note(moved.value.value()[k], y.value()[k], "value of the dual");
    const GradCheck second =
        check_grad([&](const std::vector<Var<double>>& in) { return function(Dual<double>(in[0], in[1])).tangent; },
                   {input, v}, step);
    if (second.error > result.error) result = second;
    return result;
}

}  // namespace genmod
