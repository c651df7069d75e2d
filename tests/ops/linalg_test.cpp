// Inverses and log-determinants: exact ones, gradients by differences, matrices that have none.
#include "genmod/ops/linalg.hpp"

#include <cmath>
#include <limits>

#include "genmod/core/rng.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace linalg_test {

using namespace genmod;

TEST_CASE("inverse and log_abs_det of matrices that need pivots") {
    const auto a = Tensor<double>::from({3, 3}, {0, 2, 0, 0, 0, -4, 0.5, 1, 1});
    const Var<double> inverse = ops::inverse(Var<double>(a));
    const Tensor<double> product = ops::matmul(Var<double>(a), inverse).value();
    for (Index k = 0; k < 9; ++k) CHECK(std::abs(product[k] - (k % 4 == 0 ? 1 : 0)) < 1e-15);
    CHECK(std::abs(ops::log_abs_det(Var<double>(a)).item() - std::log(4.0)) < 1e-15);
}

TEST_CASE("a matrix in float is inverted in double") {
    Rng rng(3);
    const auto a = rng.normals<float>({40, 40});
    const Tensor<float> found = ops::inverse(Var<float>(a)).value();
    const Tensor<double> exact = ops::inverse(Var<double>(cast<double>(a))).value();
    for (Index k = 0; k < a.size(); ++k) REQUIRE(found[k] == static_cast<float>(exact[k]));
}

TEST_CASE("gradients of inverse and log_abs_det") {
    Rng rng(5);
    const Tensor<double> a = rng.normals<double>({4, 4});
    test::require_gradient("inverse", [](const auto& in) { return ops::inverse(in[0]); }, {a});
    test::require_gradient("log_abs_det", [](const auto& in) { return ops::log_abs_det(in[0]); }, {a});
}

TEST_CASE("singular, infinite and oblong matrices are refused") {
    const Tensor<double> flat = Tensor<double>::from({2, 2}, {1, 2, 2, 4});
    CHECK_THROWS_AS(ops::inverse(Var<double>(flat)), Error);
    CHECK_THROWS_AS(ops::log_abs_det(Var<double>(flat)), Error);
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK_THROWS_AS(ops::inverse(Var<double>(Tensor<double>::from({2, 2}, {1, 0, 0, infinity}))), Error);
    CHECK_THROWS_AS(ops::inverse(Var<double>(Tensor<double>::zeros({2, 3}))), Error);
    CHECK_THROWS_AS(ops::log_abs_det(Var<double>(Tensor<double>::zeros({4}))), Error);
}

}  // namespace linalg_test
