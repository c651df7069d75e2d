// Linear layers and embeddings against PyTorch's, forward and backward.
#include <vector>

#include "genmod/ops/embed.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/golden.hpp"

namespace linear_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("linear agrees with PyTorch", "", float, double) {
    using T = TestType;
    using Inputs = std::vector<Var<T>>;
    const Golden golden("layers/linear.safetensors");
    const auto with_bias = [](const Inputs& in) { return ops::linear(in[0], in[1], in[2]); };
    check_layer<T>(golden, "linear", {"input", "weight", "bias"}, with_bias);
    check_layer<T>(golden, "linear_tokens", {"input", "weight", "bias"}, with_bias);
    check_layer<T>(golden, "linear_plain", {"input", "weight"},
                   [](const Inputs& in) { return ops::linear(in[0], in[1], Var<T>{}); });
}

TEMPLATE_TEST_CASE("embed agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/linear.safetensors");
    const auto indices = golden.raw<Index>("embedding/index");
    check_layer<T>(golden, "embedding", {"weight"},
                   [&](const std::vector<Var<T>>& in) { return ops::embed(indices, in[0]); });
}

}  // namespace linear_golden_test
