// ODE solvers against torchdiffeq, against exact solutions, and at their limits.
#include "genmod/nn/ode.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stop_token>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/golden.hpp"

namespace ode_test {

using namespace genmod;
using genmod::test::Golden;
using nn::OdeMethod;
using nn::OdeOptions;
using State = std::vector<Tensor<double>>;

namespace {

// The right-hand sides of tests/reference/make_ode_goldens.py.
State spiral(double t, const State& y) {
    Tensor<double> slope(y[0].shape());
    for (Index k = 0; k < slope.size(); k += 2) {
        const double x0 = y[0][k], x1 = y[0][k + 1];
        const double a = x0 * x0 * x0 / (1 + x0 * x0), b = x1 * x1 * x1 / (1 + x1 * x1);
        slope[k] = -0.1 * a + 2 * b;
        slope[k + 1] = -2 * a - 0.1 * b + 0.5 * std::sin(3 * t);
    }
    return {slope};
}

State oscillator(double, const State& y) {
    Tensor<double> slope(y[0].shape());
    for (Index k = 0; k < slope.size(); k += 2) {
        const double a = y[0][k], b = y[0][k + 1];
        slope[k] = b;
        slope[k + 1] = 8 * (1 - a * a) * b - a;
    }
    return {slope};
}

State expansion(double t, const State& y) {
    State slope{Tensor<double>(y[0].shape()), Tensor<double>::zeros(y[1].shape())};
    for (Index k = 0; k < y[0].size(); ++k) {
        const double x = y[0][k];
        slope[0][k] = x * t + std::sin(2 * x);
        slope[1][k / y[0].dim(1)] -= t + 2 * std::cos(2 * x);
    }
    return slope;
}

OdeMethod method_of(const std::string& name) {
    if (name == "euler") return OdeMethod::euler;
    if (name == "midpoint") return OdeMethod::midpoint;
    return name == "rk4" ? OdeMethod::rk4 : OdeMethod::dopri5;
}

void check_case(const Golden& golden, const std::string& name, const std::string& way, const std::string& setting) {
    const std::string key = name + "/" + way + "/" + setting;
    INFO(key);
    OdeOptions options{.method = method_of(setting), .steps = 7};
    const bool adaptive = options.method == OdeMethod::dopri5;
    if (adaptive) options.rtol = std::stod(setting);
    if (adaptive) options.atol = options.rtol / 10;
    State start{golden.raw<double>(name + "/start")};
    if (name == "expansion") start.push_back(Tensor<double>::zeros({start[0].dim(0)}));
    const auto f = [&](double t, const State& y) {
        if (name == "spiral") return spiral(t, y);
        return name == "oscillator" ? oscillator(t, y) : expansion(t, y);
    };
    const auto found =
        way == "up" ? nn::solve_ode(f, start, 0, 2, options) : nn::solve_ode(f, start, 1.5, -0.5, options);
    const auto counts = golden.indices(key + "/counts");
    REQUIRE(found.evaluations == counts[0]);
    REQUIRE(found.steps == (adaptive ? counts[1] : 7));
    REQUIRE(found.rejected == counts[2]);
    for (std::size_t part = 0; part < start.size(); ++part)
        golden.require_close(key + "/y" + std::to_string(part), found.y[part], 1e-11);
}

// dy/dt = cos(t) y, whose solution is exp(sin(t)).
Tensor<double> swing(double t, const Tensor<double>& y) { return Tensor<double>::full(y.shape(), std::cos(t) * y[0]); }

double swing_error(const OdeOptions& options, double begin, double end) {
    const auto start = Tensor<double>::full({1}, std::exp(std::sin(begin)));
    return std::abs(nn::solve_ode(swing, start, begin, end, options).y[0] - std::exp(std::sin(end)));
}

}  // namespace

TEST_CASE("the solvers end where torchdiffeq's end, after as many evaluations and steps") {
    const Golden golden("ode.safetensors");
    for (const std::string name : {"spiral", "oscillator", "expansion"})
        for (const std::string way : {"up", "down"})
            for (const std::string setting : {"1e-03", "1e-05", "1e-08", "euler", "midpoint", "rk4"})
                if (golden.has(name + "/" + way + "/" + setting + "/counts")) check_case(golden, name, way, setting);
}

TEST_CASE("fixed steps have their order, and dopri5 keeps its tolerance, both ways in time") {
    for (const auto& [method, order] :
         {std::pair{OdeMethod::euler, 1.0}, {OdeMethod::midpoint, 2.0}, {OdeMethod::rk4, 4.0}})
        for (const double end : {2.0, -1.0}) {
            const double coarse = swing_error({.method = method, .steps = 20}, 0.5, end);
            const double fine = swing_error({.method = method, .steps = 40}, 0.5, end);
            INFO("order " << order << ": " << coarse << " and " << fine);
            REQUIRE(std::log2(coarse / fine) == Approx(order).margin(0.4));
        }
    for (const double tolerance : {1e-4, 1e-7, 1e-10})
        for (const double end : {2.0, -1.0})
            REQUIRE(swing_error({.atol = tolerance, .rtol = tolerance}, 0.5, end) < 10 * tolerance);
}

TEST_CASE("a solve asks only within its times, and none of no length asks at all") {
    double low = 10, high = -10;
    const auto f = [&](double t, const Tensor<double>& y) {
        low = std::min(low, t);
        high = std::max(high, t);
        return swing(t, y);
    };
    const auto one = Tensor<double>::full({1}, 1);
    nn::solve_ode(f, one, 0, 1e-9);
    REQUIRE((low == 0 && high == 1e-9));
    nn::solve_ode(f, one, 3, 1, {.first_step = 50});
    REQUIRE((low == 0 && high == 3));
    REQUIRE(nn::solve_ode(f, one, 1, 1).evaluations == 0);
}

TEST_CASE("fixed steps and batches of one give each sample its own solution") {
    const auto f = [](double t, const State& y) { return spiral(t, y); };
    const State all{Rng(4).normals<double>({5, 2})};
    const State one{all[0].slice(3, 4)};
    const OdeOptions fixed{.method = OdeMethod::rk4, .steps = 9};
    const auto batch = nn::solve_ode(f, all, 0, 2, fixed), alone = nn::solve_ode(f, one, 0, 2, fixed);
    for (Index k = 0; k < 2; ++k) REQUIRE(batch.y[0][6 + k] == alone.y[0][k]);
    const auto loose = nn::solve_ode(f, all, 0, 2, {.rtol = 1e-3}), own = nn::solve_ode(f, one, 0, 2, {.rtol = 1e-3});
    REQUIRE(loose.y[0][6] != own.y[0][0]);
    REQUIRE(loose.y[0][6] == Approx(own.y[0][0]).margin(5e-2));
}

TEST_CASE("solves that cannot go on say so") {
    const auto one = Tensor<double>::full({1}, 1);
    const auto code_of = [&](const auto& f, double end, const OdeOptions& options) {
        try {
            nn::solve_ode(f, one, 0, end, options);
        } catch (const Error& error) {
            return error.code();
        }
        return ErrorCode::internal;
    };
    const auto pole = [](double, const Tensor<double>& y) { return Tensor<double>::full({1}, y[0] * y[0]); };
    const auto nan = [](double t, const Tensor<double>&) {
        return Tensor<double>::full({1}, t < 0.5 ? 1 : std::numeric_limits<double>::quiet_NaN());
    };
    const auto grows = [](double, const Tensor<double>&) { return Tensor<double>::zeros({2}); };
    REQUIRE(code_of(pole, 2, {}) == ErrorCode::non_finite);
    REQUIRE(code_of(nan, 1, {}) == ErrorCode::non_finite);
    REQUIRE(code_of(swing, 1, {.atol = 1e-9, .rtol = 1e-9, .max_steps = 5}) == ErrorCode::argument);
    REQUIRE(code_of(grows, 1, {}) == ErrorCode::argument);
    REQUIRE(code_of(swing, std::numeric_limits<double>::infinity(), {}) == ErrorCode::argument);
    REQUIRE(code_of(swing, 1, {.atol = 0, .rtol = 0}) == ErrorCode::argument);
    REQUIRE(code_of(swing, 1, {.atol = -1}) == ErrorCode::argument);
    REQUIRE(code_of(swing, 1, {.method = OdeMethod::rk4, .steps = 0}) == ErrorCode::argument);
    std::stop_source source;
    source.request_stop();
    const Stop scope(source.get_token());
    REQUIRE(code_of(swing, 1, {}) == ErrorCode::stopped);
}

}  // namespace ode_test
