// Attention and transformer blocks against diffusers': weights by key, forward, all gradients.
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/nn/attention.hpp"
#include "genmod/nn/transformer.hpp"
#include "tests/support/golden_module.hpp"

namespace attention_golden_test {

using namespace genmod;
using genmod::test::check_module;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("the attention of U-Nets agrees with diffusers", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    Rng rng(1);
    const nn::AttentionOptions options{.width = 12, .heads = 3, .head_dim = 4, .bias = true, .residual = true};
    nn::AttentionOptions with_norm = options;
    with_norm.groups = 4;
    nn::Attention<T> plain(options, rng), normed(with_norm, rng);
    check_module<T>(golden, "attention", normed, {"x"}, [&](const std::vector<Var<T>>& in) { return normed(in[0]); });
    check_module<T>(golden, "attention_without_norm", plain, {"x"},
                    [&](const std::vector<Var<T>>& in) { return plain(in[0]); });
}

TEMPLATE_TEST_CASE("the transformer block agrees with diffusers", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    Rng rng(1);
    nn::TransformerBlock<T> block({.width = 12, .context = 10, .heads = 3, .head_dim = 4}, rng);
    check_module<T>(golden, "transformer", block, {"x", "text"},
                    [&](const std::vector<Var<T>>& in) { return block(in[0], in[1]); });
}

}  // namespace attention_golden_test
