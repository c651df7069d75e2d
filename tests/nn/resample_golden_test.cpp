// Learned halving and doubling of pictures against diffusers' Downsample2D and Upsample2D.
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/nn/resample.hpp"
#include "tests/support/golden_module.hpp"

namespace resample_golden_test {

using namespace genmod;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("Downsample and Upsample agree with diffusers", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    Rng rng(1);
    const auto check = [&](const std::string& name, auto module) {
        test::check_module<T>(golden, name, module, {"x"},
                              [&](const std::vector<Var<T>>& in) { return module(in[0]); });
    };
    check("downsample", nn::Downsample<T>(6, 6, rng));
    check("downsample_odd", nn::Downsample<T>(4, 4, rng));
    check("downsample_no_padding", nn::Downsample<T>(4, 4, rng, {.symmetric = false}));
    check("upsample", nn::Upsample<T>(6, 6, rng));
}

}  // namespace resample_golden_test
