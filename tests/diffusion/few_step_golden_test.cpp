// PNDM and the samplers of few steps against diffusers' schedulers: whole loops with given noise, in double.
#include <cstddef>
#include <string>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "tests/support/golden.hpp"

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

const std::vector<std::string> spacings{"leading", "linspace", "trailing"};

// Entry k of a tensor [entries, n, 1, h, w], as [n, h, w, 1].
template <class T>
Tensor<T> entry(const Tensor<T>& all, Index k) {
    return all.slice(k, k + 1).reshape({all.dim(1), all.dim(3), all.dim(4), 1});
}

// Runs the loop of the script, with m = 0.5 * x + pattern[call] for a network, and compares x after every step.
template <class T, class Sampler>
void check_loop(const Golden& golden, const std::string& key, const Sampler& sampler, const Levels& levels,
                const DenoiserOptions& options, double tolerance) {
    const auto pattern = golden.raw<T>("pattern");
    const auto expected = golden.raw<double>(key);
    REQUIRE(expected.dim(0) == static_cast<Index>(levels.steps.size()));
    GivenNoise<T> given;
    for (Index k = 0; golden.has("noise") && k < golden.raw<T>("noise").dim(0); ++k)
        given.steps.push_back(entry(golden.raw<T>("noise"), k));
    Index calls = 0;
    const auto network = [&](const Tensor<T>& x, const Tensor<T>&) {
        return combine(0.5, x, 1, entry(pattern, calls++));
    };
    const auto start = golden.raw<T>("start");
    typename Sampler::template State<T> state;
    Index steps = 0;
    run_sampler(denoiser(network, options), sampler, levels,
                start.reshape({start.dim(0), start.dim(2), start.dim(3), 1}).clone(), given, state, 0,
                [&](SampleStep<T>& step) {
                    const auto x = entry(expected, steps++);
                    test::require_close(key + " step " + std::to_string(steps), step.x, x, test::peak(x, 1), tolerance);
                });
    REQUIRE(steps == expected.dim(0));
}

DenoiserOptions denoiser_options(const std::string& prediction, const std::string& clip = "free") {
    return {.prediction_type = parse_prediction_type(prediction),
            .clip_sample = clip == "clip",
            .clip_sample_range = 0.8,
            .thresholding = clip == "threshold"};
}

// Stable Diffusion's, and the default of LCM and TCD.
Schedule latent_schedule() {
    return Schedule({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear});
}

// What the network is told when.
std::vector<Index> asked(const Levels& levels) {
    std::vector<Index> steps;
    for (const LevelPair& pair : levels.steps) steps.push_back(static_cast<Index>(pair.from.t));
    return steps;
}

constexpr double exact = 1e-11;

}  // namespace

TEST_CASE("PLMS and PNDM follow diffusers step for step") {
    const Golden golden("diffusion/pndm.safetensors");
    Index loops = 0;
    for (const bool skip : {true, false})
        for (const std::string& spacing : spacings)
            for (const std::string prediction : {"epsilon", "v_prediction"})
                for (const bool one : {true, false})
                    for (const Index count : {1, 2, 7, 8}) {
                        const std::string key = (skip ? "plms/" : "prk/") + spacing + "/" + prediction +
                                                (one ? "/one/" : "/first/") + std::to_string(count);
                        if (!golden.has(key)) continue;
                        const Levels levels = pndm_levels(
                            Schedule(), count,
                            {.spacing = {parse_spacing(spacing)}, .set_alpha_to_one = one, .skip_prk_steps = skip});
                        const Pndm sampler{.prediction_type = parse_prediction_type(prediction)};
                        check_loop<double>(golden, key, sampler, levels, denoiser_options(prediction), exact);
                        check_loop<float>(golden, key, sampler, levels, denoiser_options(prediction), 5e-6);
                        ++loops;
                    }
    REQUIRE(loops == 42);
    REQUIRE_THROWS_AS(pndm_levels(Schedule(), 3), Error);
}

TEST_CASE("PLMS and PNDM ask when diffusers does") {
    const Golden golden("diffusion/pndm.safetensors");
    for (const bool skip : {true, false}) {
        std::vector<Index> told;
        const auto network = [&](const Tensor<float>& x, const Tensor<float>& t) {
            told.push_back(static_cast<Index>(t[0]));
            return x;
        };
        sample(denoiser(network), Pndm{},
               pndm_levels(latent_schedule(), 50, {.spacing = {.steps_offset = 1}, .skip_prk_steps = skip}),
               {.shape = {1, 1}});
        REQUIRE(told == golden.indices(skip ? "plms/timesteps" : "prk/timesteps"));
    }
}

TEST_CASE("LCM follows diffusers step for step") {
    const Golden golden("diffusion/lcm.safetensors");
    Index loops = 0;
    const auto check = [&](Index count, const std::string& prediction, const std::string& clip,
                           const std::string& strength, Index original) {
        const std::string key =
            std::to_string(count) + "/" + prediction + "/" + clip + "/" + strength + "/" + std::to_string(original);
        const Levels levels = lcm_levels(latent_schedule(), count, {original, std::stod(strength)});
        REQUIRE(asked(levels) == golden.indices(key + ".timesteps"));
        check_loop<double>(golden, key, Lcm{}, levels, denoiser_options(prediction, clip), exact);
        ++loops;
    };
    for (const Index count : {1, 2, 8}) check(count, "epsilon", "free", "1.0", 50);
    for (const std::string prediction : {"epsilon", "sample", "v_prediction"})
        for (const std::string clip : {"free", "clip", "threshold"}) check(4, prediction, clip, "1.0", 50);
    for (const std::string strength : {"0.1", "0.5", "0.77"}) check(4, "epsilon", "free", strength, 50);
    for (const Index original : {7, 30, 1000}) check(3, "epsilon", "free", "1.0", original);
    REQUIRE(2 * loops == static_cast<Index>(golden.file().entries().size()) - 3);
    REQUIRE(lcm_timesteps(1000, 4) == std::vector<Index>{999, 759, 499, 259});
    REQUIRE_THROWS_AS(lcm_timesteps(1000, 4, {.strength = 0.07}), Error);
    REQUIRE_THROWS_AS(lcm_timesteps(1000, 4, {.original_inference_steps = 1001}), Error);
}
