#include "genmod/nn/transformer.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace transformer_test {

using namespace genmod;

TEST_CASE("a transformer block carries diffusers' names") {
    Rng rng(1);
    const nn::TransformerBlock<float> block({.width = 12, .context = 10, .heads = 3, .head_dim = 4}, rng);
    std::vector<std::string> keys;
    nn::for_each_leaf(block, [&](const std::string& key, const auto&) { keys.push_back(key); });
    REQUIRE(keys.size() == 20);
    for (const char* key : {"norm1.weight", "attn1.to_q.weight", "attn1.to_out.0.bias", "norm2.bias",
                            "attn2.to_k.weight", "norm3.weight", "ff.net.0.proj.bias", "ff.net.2.weight"})
        REQUIRE(std::count(keys.begin(), keys.end(), key) == 1);
    // Two attentions, three norms, and a feed-forward part of four times the width.
    REQUIRE(nn::count(block) == (4 * 144 + 12) + (2 * 144 + 2 * 120 + 12) + 3 * 24 + (96 * 12 + 96) + (12 * 48 + 12));
}

TEST_CASE("each token of the context reaches each token of the result, and gradients reach all weights") {
    Rng rng(2);
    const nn::TransformerBlock<double> block({.width = 6, .context = 4, .heads = 2, .head_dim = 3, .inner = 5}, rng);
    const auto x = Var<double>::parameter(rng.normals<double>({2, 3, 6}));
    const auto context = Var<double>::parameter(rng.normals<double>({2, 4, 4}));
    const Var<double> y = block(x, context);
    std::vector<Var<double>> wanted = nn::parameters<double>(block);
    wanted.push_back(context);
    for (const Tensor<double>& gradient : grad(y, wanted, rng.normals<double>(y.shape())))
        REQUIRE(std::any_of(gradient.begin(), gradient.end(), [](double number) { return number != 0; }));
}

TEST_CASE("a transformer block without context has no cross-attention") {
    Rng rng(3);
    const nn::TransformerBlock<float> block({.width = 4, .heads = 1, .head_dim = 4}, rng);
    const Var<float> x(Tensor<float>::zeros({1, 2, 4}));
    REQUIRE(block(x).shape() == x.shape());
    REQUIRE_THROWS_AS(block(x, x), Error);
}

}  // namespace transformer_test
