#include "genmod/nn/mlp.hpp"

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace mlp_test {

using namespace genmod;

TEST_CASE("an MLP has the layers asked for") {
    Rng rng(1);
    const nn::Mlp<float> net(2, 3, rng, {.hidden = {5, 7}});
    REQUIRE(net.layers.size() == 3);
    REQUIRE(nn::count(net) == 2 * 5 + 5 + 5 * 7 + 7 + 7 * 3 + 3);
    REQUIRE(net(Tensor<float>::zeros({4, 6, 2})).shape() == Shape{4, 6, 3});
    const nn::Mlp<float> linear(2, 3, rng, {.hidden = {}});
    REQUIRE(linear.layers.size() == 1);
    REQUIRE_THROWS_AS(net(Tensor<float>::zeros({4, 3})), Error);
}

TEST_CASE("gradients and tangents of MLPs with every smooth activation") {
    using nn::Activation;
    Rng rng(2);
    for (const Activation activation :
         {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu, Activation::tanh,
          Activation::sigmoid, Activation::softplus, Activation::relu, Activation::leaky_relu}) {
        const nn::Mlp<double> net(3, 2, rng, {.hidden = {6}, .activation = activation});
        const auto x = rng.normals<double>({4, 3});
        test::require_gradient("Mlp", [&](const auto& in) { return net(in[0]); }, {x});
        test::require_tangent(
            "Mlp", [&](const auto& in) { return net(in); }, x);
    }
    REQUIRE_THROWS_AS(nn::activate(static_cast<Activation>(99), Var<float>(Tensor<float>::zeros({1}))), Error);
}

}  // namespace mlp_test
