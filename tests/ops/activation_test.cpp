// Activation functions: values at known points, gradients and tangents.
#include "genmod/ops/activation.hpp"

#include <cmath>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace activation_test {

using namespace genmod;
using test::require_gradient;
using test::require_tangent;

namespace {

// Numbers at least 0.1 away from the kinks at 0.
Tensor<double> inputs(const Shape& shape) {
    Rng rng(3);
    Tensor<double> x = rng.normals<double>(shape);
    for (double& value : x) value += value < 0 ? -0.1 : 0.1;
    return x;
}

// Compares op(x) with a formula at random points.
template <class Op, class Formula>
void require_values(Op op, Formula formula) {
    const Tensor<double> x = inputs({57});
    const auto y = op(Var<double>(x));
    for (Index k = 0; k < x.size(); ++k) REQUIRE(y.value()[k] == Approx(formula(x[k])).epsilon(1e-13).margin(1e-15));
}

template <class Op>
void require_derivatives(const char* name, Op op) {
    require_gradient(name, [&](const auto& in) { return op(in[0]); }, {inputs({3, 7})});
    require_tangent(name, op, inputs({2, 9}));
}

}  // namespace

TEST_CASE("activation functions have the values of their formulas") {
    const double pi = 3.14159265358979323846;
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    require_values([](const auto& x) { return ops::relu(x); }, [](double x) { return x > 0 ? x : 0; });
    require_values([](const auto& x) { return ops::leaky_relu(x, 0.2); }, [](double x) { return x > 0 ? x : 0.2 * x; });
    require_values([](const auto& x) { return ops::elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); });
    require_values([](const auto& x) { return ops::silu(x); }, [&](double x) { return x * sigmoid(x); });
    require_values([](const auto& x) { return ops::gelu(x); },
                   [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); });
    require_values([](const auto& x) { return ops::gelu_tanh(x); },
                   [&](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x))); });
    require_values([](const auto& x) { return ops::quick_gelu(x); }, [&](double x) { return x * sigmoid(1.702 * x); });
    require_values([](const auto& x) { return ops::tanh(x); }, [](double x) { return std::tanh(x); });
    require_values([](const auto& x) { return ops::sigmoid(x); }, sigmoid);
    require_values([](const auto& x) { return ops::softplus(x); }, [](double x) { return std::log1p(std::exp(x)); });
}

TEST_CASE("gradients and tangents of activation functions agree with differences") {
    require_derivatives("relu", [](const auto& x) { return ops::relu(x); });
    require_derivatives("leaky_relu", [](const auto& x) { return ops::leaky_relu(x, 0.2); });
    require_derivatives("elu", [](const auto& x) { return ops::elu(x); });
    require_derivatives("silu", [](const auto& x) { return ops::silu(x); });
    require_derivatives("gelu", [](const auto& x) { return ops::gelu(x); });
    require_derivatives("gelu_tanh", [](const auto& x) { return ops::gelu_tanh(x); });
    require_derivatives("quick_gelu", [](const auto& x) { return ops::quick_gelu(x); });
    require_derivatives("tanh", [](const auto& x) { return ops::tanh(x); });
    require_derivatives("sigmoid", [](const auto& x) { return ops::sigmoid(x); });
    require_derivatives("softplus", [](const auto& x) { return ops::softplus(x); });
}

TEST_CASE("geglu is the first half times the gelu of the second") {
    const Tensor<double> x = inputs({2, 3, 10});
    const auto y = ops::geglu(Var<double>(x));
    REQUIRE(y.shape() == Shape{2, 3, 5});
    for (Index row = 0; row < 6; ++row)
        for (Index k = 0; k < 5; ++k) {
            const double gate = x[row * 10 + 5 + k];
            CHECK(y.value()[row * 5 + k] ==
                  Approx(x[row * 10 + k] * gate * 0.5 * (1 + std::erf(gate / std::sqrt(2.0)))).epsilon(1e-13));
        }
    require_gradient("geglu", [](const auto& in) { return ops::geglu(in[0]); }, {x});
    CHECK_THROWS_AS(ops::geglu(Var<double>(inputs({2, 3}))), Error);
}

TEST_CASE("glu is the first half times the sigmoid of the second") {
    const Tensor<double> x = inputs({3, 6});
    const auto y = ops::glu(Var<double>(x));
    REQUIRE(y.shape() == Shape{3, 3});
    for (Index k = 0; k < 9; ++k)
        CHECK(y.value()[k] == Approx(x[k / 3 * 6 + k % 3] / (1 + std::exp(-x[k / 3 * 6 + 3 + k % 3]))).epsilon(1e-13));
    require_gradient("glu", [](const auto& in) { return ops::glu(in[0]); }, {x});
    CHECK_THROWS_AS(ops::glu(Var<double>(inputs({2, 3}))), Error);
}

TEST_CASE("activation functions keep NaN") {
    const auto x = Var<float>(Tensor<float>::full({3}, NAN));
    CHECK(std::isnan(ops::relu(x).value()[0]));
    CHECK(std::isnan(ops::leaky_relu(x).value()[0]));
    CHECK(std::isnan(ops::elu(x).value()[0]));
    CHECK(std::isnan(ops::silu(x).value()[0]));
    CHECK(std::isnan(ops::gelu(x).value()[0]));
}

TEST_CASE("a gradient that two users contribute to is their sum") {
    const auto x = Var<double>::parameter(inputs({40}));
    const auto once = grad(ops::silu(x), {x}, Tensor<double>::full({40}, 1))[0];
    Var<double> both = ops::silu(x);
    both.attach({x, x}, [xv = x.value()](const Tensor<double>& dy, Sinks<double>& sinks) {
        for (std::size_t input = 0; input < 2; ++input)
            if (auto dx = sinks[input])
                kernels::unary_backward(kernels::Unary::silu, xv.data(), dy.data(), dx.data, dy.size(), dx.mode);
    });
    const auto twice = grad(both, {x}, Tensor<double>::full({40}, 1))[0];
    for (Index k = 0; k < 40; ++k) CHECK(twice[k] == 2 * once[k]);
}

}  // namespace activation_test
