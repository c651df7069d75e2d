// Looking up rows of a table.
#include "genmod/ops/embed.hpp"

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace embed_test {

using namespace genmod;

TEST_CASE("embed copies the rows that the indices name") {
    const auto table = Var<float>(Tensor<float>::from({3, 2}, {0, 1, 10, 11, 20, 21}));
    const auto y = ops::embed(Tensor<Index>::from({2, 2}, {2, 0, 1, 2}), table);
    REQUIRE(y.shape() == Shape{2, 2, 2});
    CHECK(y.value()[0] == 20);
    CHECK(y.value()[3] == 1);
    CHECK(y.value()[5] == 11);
    CHECK(ops::embed({1}, table).shape() == Shape{1, 2});
    CHECK_THROWS_AS(ops::embed({3}, table), Error);
    CHECK_THROWS_AS(ops::embed({-1}, table), Error);
}

TEST_CASE("the gradient of a row collects all its uses") {
    const Tensor<double> table = Rng(1).normals<double>({4, 3});
    test::require_gradient("embed", [](const auto& in) { return ops::embed({2, 0, 2, 2, 1}, in[0]); }, {table});
}

}  // namespace embed_test
