// PNDM and the samplers of few steps against diffusers' schedulers: whole loops with given noise, in double.
#include <cstddef>
#include <string>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/consistency.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "genmod/diffusion/sampler/repaint.hpp"
#include "genmod/diffusion/sampler/tcd.hpp"
#include "tests/support/golden.hpp"

namespace few_step_golden_test {

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
    const auto x = entry(start.reshape({1, start.dim(0), 1, start.dim(2), start.dim(3)}), 0);
    typename Sampler::template State<T> state;
    Index steps = 0;
    run_sampler(denoiser(network, options), sampler, levels, combine(levels.start_scale, x, 0, x), given, state, 0,
                [&](SampleStep<T>& step) {
                    const auto golden_x = entry(expected, steps++);
                    test::require_close(key + " step " + std::to_string(steps), step.x, golden_x,
                                        test::peak(golden_x, 1), tolerance);
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

TEST_CASE("TCD follows diffusers step for step") {
    const Golden golden("diffusion/tcd.safetensors");
    const auto check = [&](const Levels& levels, const std::string& prediction, const std::string& eta,
                           const std::string& name, const std::string& strength = "1.0") {
        check_loop<double>(golden, name + "/" + prediction + "/" + eta + "/" + strength, Tcd{std::stod(eta)}, levels,
                           denoiser_options(prediction), exact);
    };
    for (const Index count : {1, 2, 8})
        check(tcd_levels(latent_schedule(), count), "epsilon", "0.3", std::to_string(count));
    for (const std::string prediction : {"epsilon", "sample", "v_prediction"})
        for (const std::string eta : {"0.0", "0.3", "1.0"})
            check(tcd_levels(latent_schedule(), 4), prediction, eta, "4");
    check(tcd_levels(latent_schedule(), 4, {.strength = 0.5}), "epsilon", "0.3", "4", "0.5");
    check(levels_of_list(latent_schedule(), {999, 670, 350, 90}, false), "epsilon", "0.3", "own");
    REQUIRE_THROWS_AS(check(tcd_levels(latent_schedule(), 4), "epsilon", "1.1", "4"), Error);
}

TEST_CASE("consistency models are sampled as diffusers does") {
    const Golden golden("diffusion/consistency.safetensors");
    const auto check = [&](const std::string& key, const Levels& levels, bool clip = true, Consistency sampler = {}) {
        const auto told = golden.raw<double>(key + ".timesteps");
        REQUIRE(told.size() == static_cast<Index>(levels.steps.size()));
        for (Index k = 0; k < told.size(); ++k)
            REQUIRE(levels.steps[static_cast<std::size_t>(k)].from.t == Approx(told[k]).epsilon(1e-12));
        check_loop<double>(golden, key, sampler, levels,
                           {.clip_sample = clip, .sigma_data = 0.5, .sigma_min = sampler.sigma_min}, exact);
    };
    check("1", consistency_levels(1));
    check("2", consistency_levels(2));
    check("5", consistency_levels(5));
    check("own", consistency_levels_of_timesteps({22, 9, 0}));
    check("free", consistency_levels(4), false, {.s_noise = 0.9});
    check("other", consistency_levels(3, 18, {.sigma_min = 0.01, .sigma_max = 20, .time_scale = 1000}), true,
          {.sigma_min = 0.01});
    // What counts as clean is given back as it is.
    const Reading clean = reading(PredictionType::epsilon, {1, 0.002, 0}, 0.5, 0.002);
    REQUIRE(clean.x0_x == 1);
    REQUIRE(clean.x0_said == 0);
}

TEST_CASE("RePaint follows diffusers step for step") {
    const Golden golden("diffusion/repaint.safetensors");
    const auto picture = [&](const std::string& key) {
        return entry(golden.raw<double>(key).reshape({1, 2, 1, 3, 3}), 0);
    };
    auto mask = picture("mask");
    for (double& value : mask) value = 1 - value;
    const Schedule small({.num_train_timesteps = 8, .beta_start = 0.01, .beta_end = 0.4});
    const auto check = [&](const std::string& key, const Levels& levels, double eta) {
        check_loop<double>(golden, key, RePaint<double>{picture("original"), mask, eta}, levels, {.clip_sample = true},
                           exact);
    };
    check("2/3/0.0", repaint_levels(small, 8, {2, 3}), 0);
    check("2/3/1.0", repaint_levels(small, 8, {2, 3}), 1);
    check("3/2/0.5", repaint_levels(small, 8, {3, 2}), 0.5);
    check("1/2/0.0", repaint_levels(small, 8, {1, 2}), 0);
    check("10/10/0.0", repaint_levels(small, 8), 0);
    check("long/0.7", repaint_levels(Schedule(), 7), 0.7);
    // Each step begins where the one before ended, however far apart the levels are.
    const Levels levels = repaint_levels(Schedule(), 50, {4, 3});
    for (std::size_t k = 1; k < levels.steps.size(); ++k)
        REQUIRE(levels.steps[k].from.sigma == levels.steps[k - 1].to.sigma);
    REQUIRE(levels.steps.back().to.sigma == 0);
    REQUIRE_THROWS_AS(repaint_levels(small, 8, {0, 1}), Error);
    REQUIRE_THROWS_AS(repaint_levels(small, 8, {1, 0}), Error);
}

}  // namespace few_step_golden_test
