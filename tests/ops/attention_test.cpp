#include "genmod/ops/attention.hpp"

#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace attention_test {

using namespace genmod;
using Vars = std::vector<Var<double>>;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed) { return Rng(seed).normals<double>(shape); }

}  // namespace

TEST_CASE("the gradient of attention") {
    const auto cross = [](const Vars& in) { return ops::attention(in[0], in[1], in[2], {.heads = 2}); };
    test::require_gradient("attention", cross, {normals({2, 3, 6}, 1), normals({2, 5, 6}, 2), normals({2, 5, 6}, 3)});
    const auto causal = [](const Vars& in) {
        return ops::attention(in[0], in[1], in[2], {.heads = 1, .causal = true, .scale = 0.7});
    };
    test::require_gradient("attention", causal, {normals({1, 6, 3}, 1), normals({1, 6, 3}, 2), normals({1, 6, 3}, 3)});
    test::require_gradient("attention", cross, {normals({1, 3, 4}, 1), normals({1, 70, 4}, 2), normals({1, 70, 4}, 3)});
}

TEST_CASE("the gradient of attention where one tensor is query, key and value") {
    const auto self = [](const Vars& in) { return ops::attention(in[0], in[0], in[0], {.heads = 2}); };
    test::require_gradient("attention", self, {normals({2, 4, 6}, 1)});
}

TEST_CASE("only the gradients that are asked for come back") {
    const auto k = Var<double>::parameter(normals({1, 4, 2}, 2));
    const Var<double> q(normals({1, 3, 2}, 1)), v(normals({1, 4, 2}, 3));
    const Var<double> y = ops::attention(q, k, v);
    REQUIRE(grad(y, {k}, normals(y.shape(), 4))[0].shape() == k.shape());
    const NoGrad off;
    REQUIRE_FALSE(ops::attention(q, k, v).requires_grad());
}

TEST_CASE("attention averages the values of equal keys") {
    const Var<double> q(normals({1, 2, 3}, 1)), k(Tensor<double>::zeros({1, 4, 3})), v(normals({1, 4, 3}, 2));
    const Tensor<double> y = ops::attention(q, k, v).value();
    for (Index d = 0; d < 3; ++d) {
        double mean = 0;
        for (Index key = 0; key < 4; ++key) mean += v.value()[key * 3 + d] / 4;
        REQUIRE(y[d] == Approx(mean));
        REQUIRE(y[3 + d] == Approx(mean));
    }
    const Tensor<double> first = ops::attention(q, k, v, {.causal = true}).value();
    for (Index d = 0; d < 3; ++d) REQUIRE(first[d] == Approx(v.value()[d]));
}

TEST_CASE("attention refuses what does not fit") {
    const Var<float> q(Tensor<float>::zeros({2, 3, 6})), k(Tensor<float>::zeros({2, 5, 6}));
    REQUIRE_THROWS_AS(ops::attention(q, k, q), Error);
    REQUIRE_THROWS_AS(ops::attention(q, k, k, {.heads = 4}), Error);
    REQUIRE_THROWS_AS(ops::attention(q, Var<float>(k.value().slice(0, 1)), Var<float>(k.value().slice(0, 1))), Error);
}

}  // namespace attention_test
