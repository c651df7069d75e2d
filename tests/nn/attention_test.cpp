#include "genmod/nn/attention.hpp"

#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace attention_test {

using namespace genmod;

TEST_CASE("attention carries diffusers' names and shapes") {
    Rng rng(1);
    const nn::Attention<float> attention({.width = 12, .heads = 3, .head_dim = 4, .bias = true, .groups = 4}, rng);
    std::vector<std::string> keys;
    nn::for_each_leaf(attention, [&](const std::string& key, const auto&) { keys.push_back(key); });
    REQUIRE(keys == std::vector<std::string>{"group_norm.weight", "group_norm.bias", "to_q.weight", "to_q.bias",
                                             "to_k.weight", "to_k.bias", "to_v.weight", "to_v.bias", "to_out.0.weight",
                                             "to_out.0.bias"});
    const nn::Attention<float> cross({.width = 12, .context = 10, .heads = 2, .head_dim = 8}, rng);
    REQUIRE(nn::count(cross) == 16 * 12 + 2 * 16 * 10 + 12 * 16 + 12);
}

TEST_CASE("attention of an image is attention of its pixels") {
    Rng rng(2);
    const nn::Attention<double> attention({.width = 8, .heads = 2, .head_dim = 4, .groups = 2, .residual = true}, rng);
    const Tensor<double> image = rng.normals<double>({2, 3, 5, 8});
    const Tensor<double> y = attention(Var<double>(image)).value();
    const Tensor<double> tokens = attention(Var<double>(image.reshape({2, 15, 8}))).value();
    REQUIRE(y.shape() == image.shape());
    for (Index k = 0; k < y.size(); ++k) REQUIRE(y[k] == tokens[k]);
}

TEST_CASE("attention divides by its output scale, behind the residual") {
    Rng rng(3);
    nn::AttentionOptions options{.width = 4, .heads = 1, .head_dim = 4, .residual = true, .output_scale = 2};
    nn::Attention<double> attention(options, rng);
    attention.to_out.weight.value().fill(0);
    attention.to_out.bias.value().fill(0);
    const Var<double> x(rng.normals<double>({1, 3, 4}));
    const Tensor<double> y = attention(x).value();
    for (Index k = 0; k < y.size(); ++k) REQUIRE(y[k] == Approx(x.value()[k] / 2));
}

TEST_CASE("attention refuses a missing, a needless and a wrong input") {
    Rng rng(4);
    const nn::Attention<float> self({.width = 4, .head_dim = 4}, rng);
    const nn::Attention<float> cross({.width = 4, .context = 6, .head_dim = 4}, rng);
    const Var<float> x(Tensor<float>::zeros({2, 3, 4})), context(Tensor<float>::zeros({2, 5, 6}));
    REQUIRE(cross(x, context).shape() == x.shape());
    REQUIRE_THROWS_AS(cross(x), Error);
    REQUIRE_THROWS_AS(self(x, context), Error);
    REQUIRE_THROWS_AS(self(context), Error);
}

}  // namespace attention_test
