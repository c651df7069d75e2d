// Attention against PyTorch's scaled_dot_product_attention, forward and backward.
#include <string>
#include <vector>

#include "genmod/ops/attention.hpp"
#include "tests/support/golden.hpp"

namespace attention_golden_test {

using namespace genmod;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("attention agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/attention.safetensors");
    const auto check_attention = [&](const std::string& name, const ops::AttentionOptions& options) {
        test::check_layer<T>(golden, name, {"q", "k", "v"}, [&](const std::vector<Var<T>>& in) {
            return ops::attention(in[0], in[1], in[2], options);
        });
    };
    check_attention("attention_self", {});
    check_attention("attention_heads", {.heads = 3});
    check_attention("attention_cross", {.heads = 2});
    check_attention("attention_causal", {.heads = 2, .causal = true});
    check_attention("attention_long", {.heads = 2});
    check_attention("attention_long_causal", {.causal = true});
    check_attention("attention_wide_head", {});
}

}  // namespace attention_golden_test
