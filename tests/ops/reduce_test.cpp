// Sums, means and maxima against plain loops, gradients and tangents against differences.
#include "genmod/ops/reduce.hpp"

#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace reduce_test {

using namespace genmod;
using test::require_gradient;
using test::require_tangent;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed = 1) { return Rng(seed).normals<double>(shape); }

// Gradient and tangent of an op that takes one input.
template <class Op>
void require_derivatives(const char* name, const Shape& shape, Op op) {
    require_gradient(name, [&](const auto& in) { return ops::square(op(in[0])); }, {normals(shape)});
    require_tangent(
        name, [&](const auto& x) { return ops::square(op(x)); }, normals(shape));
}

}  // namespace

TEST_CASE("sums and means have the shapes that were asked for") {
    const auto x = Var<double>(Tensor<double>::from({2, 3}, {1, 2, 3, 4, 5, 6}));
    CHECK(ops::sum(x).shape() == Shape{});
    CHECK(ops::sum(x).item() == 21);
    CHECK(ops::mean(x).item() == 3.5);
    CHECK(ops::sum(x, {0}).shape() == Shape{3});
    CHECK(ops::sum(x, {0}).value()[1] == 7);
    CHECK(ops::sum(x, {-1}, true).shape() == Shape{2, 1});
    CHECK(ops::mean(x, {1}).value()[1] == 5);
    CHECK(ops::mean(x, {0, 1}, true).shape() == Shape{1, 1});
    CHECK(ops::sum(x, std::vector<Index>{}).shape() == Shape{2, 3});
    CHECK(ops::sum_to(x, {2, 1}).value()[1] == 15);
    CHECK(ops::max(x, 0).value()[2] == 6);
    CHECK(ops::max(x, 1, true).shape() == Shape{2, 1});
    CHECK_THROWS_AS(ops::sum(x, {2}), Error);
    CHECK_THROWS_AS(ops::sum_to(x, {2}), Error);
    CHECK_THROWS_AS(ops::max(Var<double>(normals({2, 0})), 1), Error);
}

TEST_CASE("gradients and tangents of sums and means agree with differences for every choice of axes") {
    require_derivatives("sum", {3, 4}, [](const auto& x) { return ops::sum(x); });
    require_derivatives("mean", {3, 4}, [](const auto& x) { return ops::mean(x); });
    const std::vector<std::vector<Index>> choices{{0}, {1}, {2}, {3}, {0, 2}, {1, 2}, {1, 3}, {0, 1, 3}, {0, 1, 2, 3}};
    for (const auto& axes : choices) {
        require_derivatives("sum", {2, 3, 2, 3}, [&](const auto& x) { return ops::sum(x, axes); });
        require_derivatives("mean", {2, 3, 2, 3}, [&](const auto& x) { return ops::mean(x, axes, true); });
    }
    for (const Shape& shape : {Shape{3, 1}, Shape{4}, Shape{2, 1, 1}, Shape{}, Shape{2, 3, 4}})
        require_derivatives("sum_to", {2, 3, 4}, [&](const auto& x) { return ops::sum_to(x, shape); });
}

TEST_CASE("the gradient of a maximum goes to the largest numbers") {
    for (const Index axis : {0, 1, 2})
        require_gradient("max", [=](const auto& in) { return ops::square(ops::max(in[0], axis)); },
                         {normals({3, 4, 5})});
    const auto x = Var<double>::parameter(Tensor<double>::from({4}, {2, 5, 5, 1}));
    const auto dx = grad(ops::max(x, 0), {x}, Tensor<double>::full({}, 3))[0];
    CHECK(dx[0] == 0);
    CHECK(dx[1] == 1.5);
    CHECK(dx[2] == 1.5);
}

TEST_CASE("logsumexp neither overflows nor loses its derivatives") {
    const auto x = Var<float>(Tensor<float>::from({2, 2}, {1000, 1000, -1000, -1001}));
    const auto y = ops::logsumexp(x, 1);
    CHECK(y.value()[0] == Approx(1000 + std::log(2.0)));
    CHECK(y.value()[1] == Approx(-1000 + std::log1p(std::exp(-1.0))));
    for (const Index axis : {0, 1}) {
        require_gradient("logsumexp", [=](const auto& in) { return ops::logsumexp(in[0], axis); }, {normals({3, 4})});
        require_tangent(
            "logsumexp", [=](const auto& v) { return ops::logsumexp(v, axis, true); }, normals({3, 4}));
    }
}

}  // namespace reduce_test
