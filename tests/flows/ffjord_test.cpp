// FFJORD against PyTorch, its log-determinant against the map's Jacobian, and Hutchinson's estimate.
#include "genmod/flows/ffjord.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/nn/state.hpp"
#include "tests/support/golden_module.hpp"
#include "tests/support/gradient.hpp"

namespace ffjord_test {

using namespace genmod;
using flows::Ffjord;
using nn::Activation;
using nn::OdeGradient;
using nn::Trace;
using test::Golden;

static_assert(flows::Transform<Ffjord<float>, float>);

namespace {

nn::IntegrateOptions within(double tolerance, OdeGradient gradient = OdeGradient::adjoint) {
    return {.ode = {.atol = tolerance, .rtol = tolerance}, .gradient = gradient};
}

template <class T = double>
Ffjord<T> small(Index dims, std::uint64_t seed, const flows::FfjordOptions& options) {
    Rng rng(seed);
    return flows::ffjord<T>(dims, rng, {.hidden = {8, 6}}, options);
}

void check_golden(const Golden& golden, const std::string& name, Activation activation, OdeGradient gradient) {
    INFO(name);
    Rng rng(1);
    auto flow = flows::ffjord<double>(3, rng, {.hidden = {6, 5}, .activation = activation},
                                      {.integrate = within(1e-10, gradient)});
    nn::load(flow, golden.file(), {.prefix = name + "/weights/"});
    const auto read = [&](const std::string& key) { return golden.raw<double>(name + "/" + key); };
    const nn::TraceDirections<double> directions = golden.has(name + "/probe")
                                                       ? nn::TraceDirections<double>{read("probe")}
                                                       : nn::trace_directions<double>(Trace::exact, {4, 3}, 1, {});
    const auto x = Var<double>::parameter(read("x"));
    const auto found = flow.solve(x, 0, 1, directions).y;
    const auto close = [&](const std::string& key, const Tensor<double>& numbers, double tolerance) {
        const auto expected = golden.raw<double>(name + "/" + key);
        test::require_close(name + "/" + key, numbers, expected, test::peak(expected, 0.1), tolerance);
    };
    close("z", found[0].value(), 1e-8);
    close("log_det", found[1].value(), 1e-8);
    const auto back = flow.solve(found[0], 1, 0, directions).y;
    close("back", back[0].value(), 1e-8);
    close("back_log_det", back[1].value(), 1e-8);
    std::vector<std::string> keys{"dx"};
    std::vector<Var<double>> wanted{x};
    nn::for_each_leaf(flow, [&](const std::string& key, const Var<double>& leaf) {
        keys.push_back("grads/" + key);
        wanted.push_back(leaf);
    });
    const std::vector<Tensor<double>> cotangents{read("dz"), read("dlog_det")};
    const auto grads = grad(nn::detail::joined(found), wanted, nn::detail::joined(cotangents));
    for (std::size_t k = 0; k < keys.size(); ++k) close(keys[k], grads[k], 1e-7);
}

// The logarithm of the determinant of dz/dx for each sample, by central differences.
std::vector<double> numeric_log_det(const Ffjord<double>& flow, const Tensor<double>& x) {
    constexpr double step = 1e-5;
    const Index n = x.dim(0), d = x.dim(1);
    std::vector<double> jacobians(static_cast<std::size_t>(n * d * d)), result;
    for (Index j = 0; j < d; ++j) {
        auto up = x.clone(), down = x.clone();
        for (Index k = 0; k < n; ++k) up[k * d + j] += step, down[k * d + j] -= step;
        const auto above = flow.forward(Var<double>(up)).y.value(), below = flow.forward(Var<double>(down)).y.value();
        for (Index k = 0; k < n; ++k)
            for (Index i = 0; i < d; ++i)
                jacobians[static_cast<std::size_t>((k * d + i) * d + j)] =
                    (above[k * d + i] - below[k * d + i]) / (2 * step);
    }
    for (Index k = 0; k < n; ++k) {  // Gaussian elimination; the Jacobians are near the identity
        double* a = jacobians.data() + k * d * d;
        double sum = 0;
        for (Index c = 0; c < d; ++c) {
            sum += std::log(std::abs(a[c * d + c]));
            for (Index r = c + 1; r < d; ++r) {
                const double factor = a[r * d + c] / a[c * d + c];
                for (Index i = c; i < d; ++i) a[r * d + i] -= factor * a[c * d + i];
            }
        }
        result.push_back(sum);
    }
    return result;
}

double largest(const Tensor<double>& a, const Tensor<double>& b, double sign = -1) {
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::abs(a[k] + sign * b[k]));
    return most;
}

}  // namespace

TEST_CASE("FFJORD's outputs, log-determinants and gradients are torchdiffeq's") {
    const Golden golden("ffjord.safetensors");
    for (const OdeGradient gradient : {OdeGradient::adjoint, OdeGradient::direct}) {
        check_golden(golden, "exact", Activation::tanh, gradient);
        check_golden(golden, "probe", Activation::softplus, gradient);
    }
}

TEST_CASE("slope and trace have gradients, for all directions at once") {
    Rng rng(3);
    flows::ConcatSquashMlp<double> field(3, rng, {.hidden = {5}});
    const Var<double> t(Tensor<double>::full({1, 1}, 0.3));
    for (const Trace trace : {Trace::exact, Trace::signs, Trace::normals}) {
        const auto directions = nn::trace_directions<double>(trace, {2, 3}, 2, {.seed = 4});
        const GradCheck result = check_grad(
            [&](const std::vector<Var<double>>& in) {
                field.layers[0].layer.weight = in[1];
                field.layers[1].hyper_gate.weight = in[2];
                const auto found = nn::slope_and_trace<double>([&](const Dual<double>& at) { return field(t, at); },
                                                               in[0], directions);
                return nn::detail::joined(std::vector<Var<double>>{found.slope, found.trace});
            },
            {rng.normals<double>({2, 3}), rng.normals<double>({5, 3}), rng.normals<double>({3, 1})});
        INFO(result.where);
        REQUIRE(result.ok());
    }
}

TEST_CASE("FFJORD's log-determinant is the Jacobian's, and the way back leads back") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const Index dims = 1 + static_cast<Index>(seed % 4);
        const auto flow = small(dims, seed, {.end_time = 1.5, .integrate = within(1e-9)});
        const auto x = Rng(seed + 100).normals<double>({3, dims});
        const auto there = flow.forward(Var<double>(x)), back = flow.inverse(there.y);
        INFO("seed " << seed);
        REQUIRE(largest(back.y.value(), x) < 1e-7);
        REQUIRE(largest(back.log_det.value(), there.log_det.value(), 1) < 1e-7);
        if (seed > 8) continue;
        const auto numeric = numeric_log_det(flow, x);
        for (Index k = 0; k < 3; ++k)
            REQUIRE(there.log_det.value()[k] == Approx(numeric[static_cast<std::size_t>(k)]).margin(1e-6));
    }
    const auto flow = small<float>(2, 5, {.integrate = within(1e-6)});
    const auto x = Rng(6).normals<float>({50, 2});
    const auto back = flow.inverse(flow.forward(Var<float>(x)).y).y.value();
    for (Index k = 0; k < x.size(); ++k) REQUIRE(back[k] == Approx(x[k]).margin(1e-5));
}

TEST_CASE("Hutchinson's estimate is FFJORD's trace in the mean, by seed, step and sample") {
    const auto x = Var<double>(Rng(7).normals<double>({4, 3}));
    auto flow = small(3, 8, {.integrate = within(1e-6)});
    const auto exact = flow.forward(x).log_det.value();
    for (const Trace trace : {Trace::signs, Trace::normals}) {
        flow.options.trace = trace;
        flow.options.probes = 400;
        const auto estimate = flow.forward(x).log_det.value();
        REQUIRE(largest(estimate, exact) < 0.05);
        REQUIRE(largest(estimate, exact) > 0);
    }
    flow.options.probes = 1;
    const auto log_det = [&](std::uint64_t seed, std::uint64_t step) {
        const Training scope(seed, step);
        return flow.forward(x).log_det.value();
    };
    const auto first = log_det(1, 5);
    REQUIRE(largest(first, log_det(1, 5)) == 0);
    REQUIRE(largest(first, log_det(1, 6)) > 1e-3);
    REQUIRE(largest(first, log_det(2, 5)) > 1e-3);
    const auto all = nn::trace_directions<double>(Trace::signs, {4, 3}, 2, {.seed = 9});
    const auto fewer = nn::trace_directions<double>(Trace::signs, {2, 3}, 2, {.seed = 9});
    for (Index k = 0; k < 6; ++k) REQUIRE((all.v[k] == fewer.v[k] && all.v[12 + k] == fewer.v[6 + k]));
}

TEST_CASE("FFJORD has a density that integrates to one") {
    const flows::Flow<double, Ffjord<double>> flow(small(1, 10, {.end_time = 2, .integrate = within(1e-7)}), {1});
    constexpr Index points = 1601;
    Tensor<double> x({points, 1});
    for (Index k = 0; k < points; ++k) x[k] = -16 + 32.0 * static_cast<double>(k) / (points - 1);
    const NoGrad off;
    double sum = 0;
    const Var<double> log_prob = flow.log_prob(Var<double>(x));
    for (const double nats : log_prob.value()) sum += std::exp(nats) * 32 / (points - 1);
    REQUIRE(sum == Approx(1).margin(1e-5));
    REQUIRE_THROWS_AS(small(1, 1, {.end_time = 0}), Error);
    REQUIRE_THROWS_AS(small(1, 1, {.probes = 0}), Error);
}

}  // namespace ffjord_test
