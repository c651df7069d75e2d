// Arithmetic with broadcasting, its operators, and elementary functions.
#include "genmod/ops/arithmetic.hpp"

#include <cmath>

#include "genmod/core/rng.hpp"
#include "genmod/ops/elementary.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace arithmetic_test {

using namespace genmod;
using test::require_gradient;
using test::require_tangent;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed = 1) { return Rng(seed).normals<double>(shape); }

// Between 0.5 and 2.5.
Tensor<double> positive(const Shape& shape, std::uint64_t seed = 2) {
    Tensor<double> x = Rng(seed).uniforms<double>(shape);
    for (double& value : x) value = 0.5 + 2 * value;
    return x;
}

const std::vector<std::pair<Shape, Shape>>& shape_pairs() {
    static const std::vector<std::pair<Shape, Shape>> pairs{
        {{3, 5}, {3, 5}}, {{3, 5}, {5}},       {{2, 3, 4, 5}, {2, 1, 1, 5}}, {{4, 1}, {1, 5}}, {{3, 4}, {3, 1}},
        {{7}, {}},        {{2, 1, 3}, {4, 1}}, {{2, 3, 2, 3}, {3, 1, 3}},    {{1}, {2, 1}},    {{}, {}}};
    return pairs;
}

template <class Op>
void require_binary(const char* name, Op op) {
    for (const auto& [a, b] : shape_pairs()) {
        INFO(a.size() << " and " << b.size());
        require_gradient(name, [&](const auto& in) { return op(in[0], in[1]); }, {normals(a), positive(b)});
        require_gradient(name, [&](const auto& in) { return op(in[1], in[0]); }, {positive(a), normals(b)});
    }
    const Var<double> other(positive({4, 1, 3}));
    const Tensor<double> x = positive({4, 2, 1}, 5);
    require_tangent(
        name, [&](const auto& v) { return op(v, other); }, x);
    require_tangent(
        name, [&](const auto& v) { return op(other, v); }, x);
    require_tangent(
        name, [&](const auto& v) { return op(v, ops::exp(v)); }, x);
}

template <class Op, class Formula>
void require_function(const char* name, Op op, Formula formula, bool only_positive = false) {
    const Tensor<double> x = only_positive ? positive({3, 11}) : normals({3, 11});
    const auto y = op(Var<double>(x));
    for (Index k = 0; k < x.size(); ++k) REQUIRE(y.value()[k] == Approx(formula(x[k])).epsilon(1e-13));
    require_gradient(name, [&](const auto& in) { return op(in[0]); }, {x});
    require_tangent(name, op, x);
}

}  // namespace

TEST_CASE("arithmetic broadcasts as NumPy does") {
    const auto a = Var<float>(Tensor<float>::from({2, 1, 3}, {1, 2, 3, 4, 5, 6}));
    const auto b = Var<float>(Tensor<float>::from({2, 1}, {10, 20}));
    const auto y = ops::sub(a, b);
    REQUIRE(y.shape() == Shape{2, 2, 3});
    const std::vector<float> expected{-9, -8, -7, -19, -18, -17, -6, -5, -4, -16, -15, -14};
    for (Index k = 0; k < 12; ++k) CHECK(y.value()[k] == expected[static_cast<std::size_t>(k)]);
    CHECK_THROWS_AS(ops::add(Var<float>(Tensor<float>::zeros({2, 3})), Var<float>(Tensor<float>::zeros({2}))), Error);
    CHECK(ops::mul(Var<float>(Tensor<float>::zeros({0, 3})), Var<float>(Tensor<float>::zeros({3}))).shape() ==
          Shape{0, 3});
}

TEST_CASE("gradients and tangents of arithmetic agree with differences for every way of broadcasting") {
    require_binary("add", [](const auto& a, const auto& b) { return ops::add(a, b); });
    require_binary("sub", [](const auto& a, const auto& b) { return ops::sub(a, b); });
    require_binary("mul", [](const auto& a, const auto& b) { return ops::mul(a, b); });
}

TEST_CASE("gradients and tangents of division agree with differences") {
    for (const auto& [a, b] : shape_pairs())
        require_gradient("div", [](const auto& in) { return ops::div(in[0], in[1]); }, {normals(a), positive(b)});
    const Var<double> other(positive({4, 1, 3}));
    const Tensor<double> x = positive({4, 2, 1}, 5);
    require_tangent(
        "div", [&](const auto& v) { return ops::div(v, other); }, x);
    require_tangent(
        "div", [&](const auto& v) { return ops::div(other, v); }, x);
    require_tangent(
        "div", [&](const auto& v) { return ops::div(v, ops::exp(v)); }, x);
}

TEST_CASE("elementary functions and their derivatives") {
    require_function(
        "scale", [](const auto& x) { return ops::scale(x, 3.5); }, [](double x) { return 3.5 * x; });
    require_function(
        "add_scalar", [](const auto& x) { return ops::add_scalar(x, 3.5); }, [](double x) { return x + 3.5; });
    require_function(
        "negate", [](const auto& x) { return ops::negate(x); }, [](double x) { return -x; });
    require_function(
        "exp", [](const auto& x) { return ops::exp(x); }, [](double x) { return std::exp(x); });
    require_function(
        "log", [](const auto& x) { return ops::log(x); }, [](double x) { return std::log(x); }, true);
    require_function(
        "sqrt", [](const auto& x) { return ops::sqrt(x); }, [](double x) { return std::sqrt(x); }, true);
    require_function(
        "square", [](const auto& x) { return ops::square(x); }, [](double x) { return x * x; });
    require_function(
        "reciprocal", [](const auto& x) { return ops::reciprocal(x); }, [](double x) { return 1 / x; }, true);
    require_function(
        "sin", [](const auto& x) { return ops::sin(x); }, [](double x) { return std::sin(x); });
    require_function(
        "cos", [](const auto& x) { return ops::cos(x); }, [](double x) { return std::cos(x); });
    require_function(
        "abs", [](const auto& x) { return ops::abs(x); }, [](double x) { return std::fabs(x); });
    require_function(
        "clamp", [](const auto& x) { return ops::clamp(x, -0.75, 0.85); },
        [](double x) { return x < -0.75  ? -0.75
                              : x > 0.85 ? 0.85
                                         : x; });
    CHECK_THROWS_AS(ops::clamp(Var<double>(normals({3})), 1, 0), Error);
}

TEST_CASE("operators say what their names do") {
    const auto a = Var<double>(normals({4})), b = Var<double>(positive({4}));
    const auto same = [](const Var<double>& found, auto formula) {
        for (Index k = 0; k < found.size(); ++k) CHECK(found.value()[k] == Approx(formula(k)).epsilon(1e-14));
    };
    const auto& x = a.value();
    const auto& y = b.value();
    same(a + b, [&](Index k) { return x[k] + y[k]; });
    same(a - b, [&](Index k) { return x[k] - y[k]; });
    same(a * b, [&](Index k) { return x[k] * y[k]; });
    same(a / b, [&](Index k) { return x[k] / y[k]; });
    same(-a, [&](Index k) { return -x[k]; });
    same(2 * a + 1, [&](Index k) { return 2 * x[k] + 1; });
    same(1 - a * 3.0f, [&](Index k) { return 1 - 3 * x[k]; });
    same(1 + a - 4, [&](Index k) { return x[k] - 3; });
    same(2 / b, [&](Index k) { return 2 / y[k]; });
    same(b / 4, [&](Index k) { return y[k] / 4; });
    require_tangent(
        "operators", [&](const auto& v) { return (1 - v * b) / (v + 2) - 3 * (a - v) / b; }, positive({4}, 9));
}

}  // namespace arithmetic_test
