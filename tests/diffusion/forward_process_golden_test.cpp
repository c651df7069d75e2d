// Noising, the velocity target and the signal-to-noise ratio against diffusers.
#include <cmath>
#include <cstddef>
#include <type_traits>

#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "tests/support/golden.hpp"

namespace forward_process_golden_test {

using namespace genmod;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("noisy pictures and velocities equal diffusers'", "", float, double) {
    using T = TestType;
    const Golden golden("training/noising.safetensors");
    const diffusion::Schedule schedule;
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-14;
    const auto x0 = golden.read<T>("x0"), noise = golden.read<T>("noise");
    const auto t = golden.indices("t");
    golden.require_close("noisy", diffusion::add_noise(schedule, x0, noise, t), tolerance);
    golden.require_close("velocity", diffusion::velocity(schedule, x0, noise, t), tolerance);
}

TEST_CASE("signal-to-noise ratios equal diffusers'") {
    const Golden golden("training/noising.safetensors");
    const diffusion::Schedule schedule;
    const auto t = golden.indices("snr/t");
    const auto expected = golden.raw<double>("snr");
    for (Index k = 0; k < expected.size(); ++k)
        REQUIRE(std::abs(schedule.snr(t[static_cast<std::size_t>(k)]) - expected[k]) <= 1e-10 * expected[k]);
}

}  // namespace forward_process_golden_test
