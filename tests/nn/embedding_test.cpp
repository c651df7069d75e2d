#include "genmod/nn/embedding.hpp"

#include <cmath>

#include "genmod/autograd/grad.hpp"
#include "tests/support/catch.hpp"

namespace embedding_test {

using namespace genmod;

TEST_CASE("an embedding looks rows up and sends gradients to them") {
    Rng rng(1);
    const nn::Embedding<double> table(10, 4, rng);
    const std::vector<Index> indices{3, 9, 3};
    const Var<double> y = table(indices);
    REQUIRE(y.shape() == Shape{3, 4});
    for (Index row = 0; row < 3; ++row)
        for (Index k = 0; k < 4; ++k)
            REQUIRE(y.value()[row * 4 + k] == table.weight.value()[indices[static_cast<std::size_t>(row)] * 4 + k]);
    const auto grads = grad(y, {table.weight}, Tensor<double>::full({3, 4}, 1.0))[0];
    REQUIRE(grads[3 * 4] == 2);
    REQUIRE(grads[9 * 4 + 3] == 1);
    REQUIRE(grads[0] == 0);
    REQUIRE(table(Tensor<Index>::zeros({2, 5})).shape() == Shape{2, 5, 4});
    REQUIRE_THROWS_AS(table(std::vector<Index>{10}), Error);
    REQUIRE_THROWS_AS(table(std::vector<Index>{-1}), Error);
}

TEST_CASE("an embedding begins with standard normals") {
    Rng rng(2);
    const nn::Embedding<float> table(100, 100, rng);
    double square = 0;
    for (const float value : table.weight.value()) square += static_cast<double>(value) * static_cast<double>(value);
    REQUIRE(std::fabs(square / 10000 - 1) < 4 * std::sqrt(2.0 / 10000));
}

}  // namespace embedding_test
