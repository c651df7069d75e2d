#include "genmod/ops/softmax.hpp"

#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace softmax_test {

using namespace genmod;
using Vars = std::vector<Var<double>>;

TEST_CASE("the gradients and tangents of softmax and of its logarithm") {
    for (const Index columns : {1, 5, 19}) {
        const Tensor<double> x = Rng(1).normals<double>({2, 3, columns});
        test::require_gradient("softmax", [](const Vars& in) { return ops::softmax(in[0]); }, {x});
        test::require_gradient("log_softmax", [](const Vars& in) { return ops::log_softmax(in[0]); }, {x});
        test::require_tangent(
            "softmax", [](const auto& in) { return ops::softmax(in); }, x);
        test::require_tangent(
            "log_softmax", [](const auto& in) { return ops::log_softmax(in); }, x);
    }
}

TEST_CASE("softmax refuses what has no rows") {
    REQUIRE_THROWS_AS(ops::softmax(Var<float>(Tensor<float>::zeros({}))), Error);
    REQUIRE_THROWS_AS(ops::log_softmax(Var<float>(Tensor<float>::zeros({3, 0}))), Error);
}

}  // namespace softmax_test
