// The residual block against diffusers' ResnetBlock2D: weights by key, forward, all gradients.
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/nn/resblock.hpp"
#include "tests/support/golden_module.hpp"

namespace resblock_golden_test {

using namespace genmod;
using genmod::test::Golden;

namespace {

template <class T>
void check_block(const Golden& golden, const std::string& name, const nn::ResBlockOptions& options) {
    Rng rng(1);
    nn::ResBlock<T> block(options, rng);
    if (options.time > 0)
        test::check_module<T>(golden, name, block, {"x", "temb"},
                              [&](const std::vector<Var<T>>& in) { return block(in[0], in[1]); });
    else
        test::check_module<T>(golden, name, block, {"x"}, [&](const std::vector<Var<T>>& in) { return block(in[0]); });
}

}  // namespace

TEMPLATE_TEST_CASE("ResBlock agrees with diffusers", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    check_block<T>(golden, "resnet", {.in = 8, .out = 8, .time = 12, .groups = 4, .eps = 1e-5});
    check_block<T>(golden, "resnet_shortcut", {.in = 8, .out = 12, .time = 12, .groups = 4, .eps = 1e-5});
    check_block<T>(golden, "resnet_scale_shift",
                   {.in = 8, .out = 8, .time = 12, .scale_shift = true, .groups = 4, .eps = 1e-5});
    check_block<T>(golden, "resnet_scale_shift_shortcut",
                   {.in = 12, .out = 8, .time = 12, .scale_shift = true, .groups = 4, .eps = 1e-5});
    check_block<T>(golden, "resnet_without_time", {.in = 8, .out = 4, .groups = 2});
}

}  // namespace resblock_golden_test
