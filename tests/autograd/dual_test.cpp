#include "genmod/autograd/dual.hpp"

#include <cmath>

#include "genmod/autograd/check_grad.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/catch.hpp"

namespace dual_test {

using namespace genmod;

TEST_CASE("the tangent is the derivative along the direction") {
    const Var<double> x(Tensor<double>::from({2}, {0.5, -1})), v(Tensor<double>::from({2}, {2, 3}));
    const Dual<double> y = ops::mul(ops::tanh(Dual<double>(x, v)), x);
    for (Index k = 0; k < 2; ++k) {
        const double t = std::tanh(x.value()[k]);
        REQUIRE(y.value.value()[k] == Approx(t * x.value()[k]));
        REQUIRE(y.tangent.value()[k] == Approx((1 - t * t) * v.value()[k] * x.value()[k]));
    }
    REQUIRE(y.shape() == Shape{2});
    REQUIRE_THROWS_AS(Dual<double>(x, Tensor<double>::zeros({3})), Error);
}

TEST_CASE("gradients of a gradient's norm come from reverse over forward") {
    // For D(x) = w2' tanh(W1 x), the gradient of f(|grad_x D|^2 / 2) with respect to W1 is that of the tangent of D
    // along v = f'(.) grad_x D held fixed (f the identity here). Compared with differences.
    Rng rng(3);
    const auto w1 = Var<double>::parameter(rng.normals<double>({5, 3}));
    const auto w2 = Var<double>::parameter(rng.normals<double>({1, 5}));
    const auto x = rng.normals<double>({1, 3});
    const auto net = [&](const auto& in) {
        return ops::linear(ops::tanh(ops::linear(in, w1, Var<double>{})), w2, Var<double>{});
    };
    const auto input_gradient = [&] {
        const auto leaf = Var<double>::parameter(x);
        return grad(net(leaf), {leaf}, Tensor<double>::full({1, 1}, 1.0))[0];
    };
    const Tensor<double> g = input_gradient();
    const Dual<double> moved = net(Dual<double>(x, g));
    const auto grads = grad(moved.tangent, {w1, w2}, Tensor<double>::full({1, 1}, 1.0));
    const auto half_square = [&] {
        const Tensor<double> found = input_gradient();
        return detail::dot(found, found) / 2;
    };
    GradCheck check;
    for (std::size_t which = 0; which < 2; ++which) {
        Tensor<double> numbers = (which == 0 ? w1 : w2).value();
        for (Index k = 0; k < numbers.size(); ++k) {
            const double before = numbers[k], step = 1e-5;
            numbers[k] = before + step;
            const double above = half_square();
            numbers[k] = before - step;
            const double below = half_square();
            numbers[k] = before;
            check.note(grads[which][k], (above - below) / (2 * step), "weight " + std::to_string(k));
        }
    }
    INFO(check.where);
    REQUIRE(check.error < 1e-8);
}

TEST_CASE("the gradient check notices wrong gradients, wrong tangents and NaN") {
    Rng rng(4);
    const auto x = rng.normals<double>({3});
    const auto wrong = [](const std::vector<Var<double>>& in) {
        Var<double> y(in[0].value().clone());
        y.attach({in[0]}, [](const Tensor<double>& dy, Sinks<double>& sinks) {
            Tensor<double> half = dy.clone();
            for (double& number : half) number *= 0.999;
            sinks.give(0, half);
        });
        return y;
    };
    REQUIRE_FALSE(check_grad(wrong, {x}).ok());
    REQUIRE(check_grad(wrong, {x}).ok(1e-2));
    REQUIRE_FALSE(check_grad([](const auto& in) { return ops::scale(in[0], NAN); }, {x}).ok());
    struct WrongTangent {
        Var<double> operator()(const Var<double>& in) const { return ops::mul(in, in); }
        Dual<double> operator()(const Dual<double>& in) const {
            return {ops::mul(in.value, in.value), ops::mul(in.value, in.tangent)};  // the factor 2 is missing
        }
    };
    REQUIRE_FALSE(check_tangent(WrongTangent{}, x).ok());
    REQUIRE(check_tangent([](const auto& in) { return ops::mul(in, in); }, x).ok());
}

}  // namespace dual_test
