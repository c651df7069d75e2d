// The embedding of time against diffusers': sinusoids in all variants, and the network behind them.
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/nn/timestep.hpp"
#include "tests/support/golden_module.hpp"

namespace timestep_golden_test {

using namespace genmod;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("sinusoids of time are those of diffusers' formula", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    const auto t = golden.raw<T>("sinusoid/t");
    for (const Index width : {8, 32, 33})
        for (const bool flip : {false, true})
            for (const int shift : {0, 1}) {
                const std::string key = "sinusoid/" + std::to_string(width) + (flip ? "_cos" : "_sin") +
                                        "_first_shift_" + std::to_string(shift);
                const auto found = nn::sinusoid_embedding(
                    t, width, {.flip_sin_to_cos = flip, .freq_shift = static_cast<double>(shift)});
                golden.require_close(key, found, 1e-7);
                golden.require_close(key + ".diffusers", found, 1e-4);  // whose angles up to 999 are floats
            }
}

TEMPLATE_TEST_CASE("the time embedding network agrees with diffusers", "", float, double) {
    using T = TestType;
    const Golden golden("blocks.safetensors");
    Rng rng(1);
    nn::TimestepEmbedding<T> module(8, 20, rng);
    test::check_module<T>(golden, "timestep_embedding", module, {"x"},
                          [&](const std::vector<Var<T>>& in) { return module(in[0]); });
}

}  // namespace timestep_golden_test
