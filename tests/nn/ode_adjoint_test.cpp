// Gradients through ODE solutions: direct against differences and closed forms, the adjoint against direct.
#include "genmod/nn/ode_adjoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace ode_adjoint_test {

using namespace genmod;
using nn::IntegrateOptions;
using nn::OdeGradient;
using nn::OdeMethod;

namespace {

using Vars = std::vector<Var<double>>;

constexpr double end = 1.3;

// Points that move by a small network of time and place, and a second tensor that gathers what they pass: {x, sums}.
struct Field {
    const nn::Mlp<double>* net;
    Index* calls = nullptr;

    Vars operator()(double t, const Vars& state) const {
        if (calls != nullptr) ++*calls;
        const Var<double> time(Tensor<double>::full({state[0].dim(0), 1}, t));
        const Var<double> slope = (*net)(ops::concat({state[0], time}, 1));
        return {slope, ops::sum(ops::square(state[0]), {1}) - ops::scale(state[1], 0.3)};
    }
};

nn::Mlp<double> small_net() {
    Rng rng(3);
    return {3, 2, rng, {.hidden = {5}, .activation = nn::Activation::tanh}};
}

Vars start() {
    Rng rng(4);
    const auto x = rng.normals<double>({3, 2}), sums = rng.normals<double>({3});
    return {Var<double>::parameter(x), Var<double>::parameter(sums)};
}

// The gradients of a fixed weighting of both ends with respect to start and weights.
std::vector<Tensor<double>> gradients(const IntegrateOptions& options, Index* calls = nullptr, double begin = 0,
                                      double until = end) {
    const auto net = small_net();
    const Vars y = start(), weights = nn::parameters<double>(net);
    const auto found = nn::integrate(Field{&net, calls}, y, weights, begin, until, options);
    Rng rng(5);
    const Var<double> u(rng.normals<double>({3, 2})), v(rng.normals<double>({3}));
    const Var<double> first = ops::sum(found.y[0] * u), second = ops::sum(ops::square(found.y[1]) * v);
    if (calls != nullptr) *calls = 0;
    return grad(first + second, nn::detail::together(y, weights), Tensor<double>::full({}, 1));
}

double largest_difference(const std::vector<Tensor<double>>& a, const std::vector<Tensor<double>>& b) {
    double most = a.size() == b.size() ? 0 : HUGE_VAL;
    for (std::size_t k = 0; k < std::min(a.size(), b.size()); ++k)
        for (Index i = 0; i < a[k].size(); ++i)
            most = std::max(most, std::abs(a[k][i] - b[k][i]) / std::max(1.0, std::abs(b[k][i])));
    return most;
}

IntegrateOptions within(double tolerance, OdeGradient gradient) {
    return {.ode = {.atol = tolerance, .rtol = tolerance}, .gradient = gradient};
}

}  // namespace

TEST_CASE("direct gradients are those of the solver's numbers, by differences") {
    auto net = small_net();
    std::vector<Tensor<double>> numbers;
    for (const auto& var : nn::detail::together(start(), nn::parameters<double>(net))) numbers.push_back(var.value());
    const auto check_options = [&](const IntegrateOptions& options) {
        const GradCheck result = check_grad(
            [&](const Vars& in) {
                net.layers[0].weight = in[2];
                net.layers[0].bias = in[3];
                net.layers[1].weight = in[4];
                net.layers[1].bias = in[5];
                const auto found =
                    nn::integrate<double>(Field{&net}, {in[0], in[1]}, {in.begin() + 2, in.end()}, 0, end, options);
                return nn::detail::joined(found.y);
            },
            numbers);
        INFO(result.where);
        REQUIRE(result.ok());
    };
    for (const OdeMethod method : {OdeMethod::euler, OdeMethod::midpoint, OdeMethod::rk4})
        check_options({.ode = {.method = method, .steps = 3}, .gradient = OdeGradient::direct});
    check_options(within(1e-8, OdeGradient::direct));
}

TEST_CASE("adjoint gradients agree with direct ones, up and down in time, and by the seminorm") {
    for (const auto& [begin, until] : {std::pair{0.0, end}, {end, 0.2}}) {
        const auto direct = gradients(within(1e-9, OdeGradient::direct), nullptr, begin, until);
        const auto adjoint = gradients(within(1e-6, OdeGradient::adjoint), nullptr, begin, until);
        REQUIRE(largest_difference(adjoint, direct) < 1e-5);
        REQUIRE(largest_difference(adjoint, direct) > 0);
        IntegrateOptions rk4{.ode = {.method = OdeMethod::rk4, .steps = 30}};
        REQUIRE(largest_difference(gradients(rk4, nullptr, begin, until), direct) < 1e-5);
    }
    Index whole = 0, fewer = 0, loose = 0;
    IntegrateOptions options{.ode = {.atol = 1e-9, .rtol = 1e-6}};
    const auto all = gradients(options, &whole);
    options.seminorm = true;
    const auto semi = gradients(options, &fewer);
    REQUIRE(largest_difference(semi, all) < 1e-4);
    INFO(whole << " and " << fewer << " evaluations");
    REQUIRE(fewer < whole);
    options.backward = nn::OdeOptions{.atol = 1e-3, .rtol = 1e-3};
    gradients(options, &loose);
    REQUIRE(loose < fewer);
}

TEST_CASE("gradients of exponential growth are the closed form") {
    const auto rate = Var<double>::parameter(Tensor<double>::full({}, 0.7));
    const auto y0 = Var<double>::parameter(Tensor<double>::full({2}, 1.5));
    const auto grow = [rate](double, const Vars& y) { return Vars{y[0] * rate}; };
    for (const OdeGradient way : {OdeGradient::adjoint, OdeGradient::direct}) {
        const auto found = nn::integrate<double>(grow, {y0}, {rate}, 0, 2, within(1e-10, way));
        REQUIRE(found.y[0].value()[1] == Approx(1.5 * std::exp(1.4)).epsilon(1e-9));
        const auto grads = grad(found.y[0], {y0, rate}, Tensor<double>::full({2}, 1));
        REQUIRE(grads[0][0] == Approx(std::exp(1.4)).epsilon(1e-8));
        REQUIRE(grads[1].item() == Approx(2 * 2 * 1.5 * std::exp(1.4)).epsilon(1e-8));
        // A solve of no length hands the gradient through.
        const auto nowhere = nn::integrate<double>(grow, {y0}, {rate}, 1, 1, within(1e-10, way));
        const auto same = grad(nowhere.y[0], {y0, rate}, Tensor<double>::full({2}, 3));
        REQUIRE((same[0][0] == 3 && same[1].item() == 0));
    }
    const NoGrad off;
    REQUIRE(!nn::integrate<double>(grow, {y0}, {rate}, 0, 2).y[0].requires_grad());
}

TEST_CASE("a kept path holds the state at every step, and its end is the solution") {
    const auto decay = [](double, const Tensor<double>& y) { return Tensor<double>::full({1}, -y[0]); };
    for (const OdeMethod method : {OdeMethod::dopri5, OdeMethod::rk4}) {
        const auto found = nn::solve_ode(decay, Tensor<double>::full({1}, 1), 0, 2,
                                         {.method = method, .steps = 50, .keep_path = true});
        REQUIRE(found.path.size() == static_cast<std::size_t>(found.steps) + 1);
        REQUIRE(found.path.back()[0] == found.y[0]);
        for (std::size_t k = 0; k < found.path.size(); ++k)
            REQUIRE(found.path[k][0] == Approx(std::exp(-found.times[k])).margin(2e-5));
    }
    REQUIRE(nn::solve_ode(decay, Tensor<double>::full({1}, 1), 0, 2).path.empty());
    REQUIRE_THROWS_AS(nn::solve_ode(decay, Tensor<double>::full({1}, 1), 0, 2, {.steering = -1}), Error);
}

}  // namespace ode_adjoint_test
