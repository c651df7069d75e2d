// Losses, loss weights and guidance against diffusers' and Improved DDPM's formulas.
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/diffusion/bound.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/loss.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "tests/support/golden.hpp"

namespace loss_golden_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;

template <class T>
void check_terms(const Golden& golden, const std::string& values, const std::string& slopes,
                 const LossTerms<T>& terms) {
    golden.require_close(values, Tensor<double>::from({static_cast<Index>(terms.values.size())}, terms.values),
                         tolerance<T>);
    golden.require_close(slopes, terms.slopes, tolerance<T>);
}

}  // namespace

TEMPLATE_TEST_CASE("the variational bound has the values and gradients of its formula", "", float, double) {
    using T = TestType;
    const Golden golden("training/bound.safetensors");
    const Schedule schedule({.beta_schedule = BetaSchedule::squaredcos_cap_v2});
    const auto x0 = golden.read<T>("x0"), xt = golden.read<T>("xt"), output = golden.read<T>("output");
    for (const std::string kind : {"learned_range", "fixed_small", "fixed_large"})
        check_terms(
            golden, kind + "/tanh/bits", kind + "/tanh/doutput",
            bound_terms(schedule, x0, xt, golden.indices("t"), output, {.variance_type = parse_variance_type(kind)}));
    const auto prior = prior_bits(schedule, x0);
    golden.require_close("prior_bits", Tensor<double>::from({static_cast<Index>(prior.size())}, prior), tolerance<T>);
}

TEMPLATE_TEST_CASE("the hybrid loss has the values and gradients of its formula", "", float, double) {
    using T = TestType;
    const Golden golden("training/bound.safetensors");
    const Schedule schedule({.beta_schedule = BetaSchedule::squaredcos_cap_v2});
    const TrainingInputs<T> inputs{.x0 = golden.read<T>("x0"),
                                   .noise = golden.read<T>("noise"),
                                   .noisy = golden.read<T>("xt"),
                                   .t = golden.indices("t"),
                                   .labels = {}};
    check_terms(golden, "hybrid/tanh", "hybrid/tanh/doutput",
                loss_terms(schedule, inputs, golden.read<T>("output"), {.kind = LossKind::hybrid}));
}

TEST_CASE("min-SNR weights equal diffusers' by prediction type") {
    const Golden golden("training/noising.safetensors");
    const Schedule schedule;
    const auto t = golden.indices("snr/t");
    for (const std::string type : {"epsilon", "sample", "v_prediction"}) {
        const auto expected = golden.raw<double>("min_snr/" + type);
        for (Index k = 0; k < expected.size(); ++k) {
            INFO(type << " t " << t[static_cast<std::size_t>(k)]);
            const double found = snr_weight(schedule, t[static_cast<std::size_t>(k)], parse_prediction_type(type), 5);
            REQUIRE(std::abs(found - expected[k]) <= 1e-10 * expected[k]);
        }
    }
}

TEMPLATE_TEST_CASE("guidance with rescale equals diffusers'", "", float, double) {
    using T = TestType;
    const Golden golden("training/guidance.safetensors");
    const auto free = golden.read<T>("unconditional"), given = golden.read<T>("conditional");
    for (const std::string weight : {"1.0", "3.0", "7.5"})
        for (const std::string rescale : {"0.0", "0.7", "1.0"})
            golden.require_close(weight + "/" + rescale,
                                 mix_guidance(free, given, 2, std::stod(weight), std::stod(rescale)),
                                 std::is_same_v<T, float> ? 1e-6 : 1e-14);
}

}  // namespace loss_golden_test
