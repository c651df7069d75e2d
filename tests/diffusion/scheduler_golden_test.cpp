// Schedules, spacings, DDPM and DDIM against diffusers' schedulers: tables, and whole loops with given noise.
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/spacing.hpp"
#include "tests/support/golden.hpp"

namespace scheduler_golden_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

constexpr Index steps = 7;
const std::vector<std::string> spacings{"leading", "linspace", "trailing"};
const std::vector<std::string> predictions{"epsilon", "sample", "v_prediction"};
const std::vector<std::string> clips{"free", "clip", "threshold"};

DenoiserOptions denoiser_options(const std::string& prediction, const std::string& clip) {
    DenoiserOptions options{.prediction_type = parse_prediction_type(prediction), .clip_sample = clip == "clip"};
    if (clip == "threshold") {
        options.thresholding = true;
        options.dynamic_thresholding_ratio = 0.9;
        options.sample_max_value = 3;
    }
    return options;
}

// x [n, h, w, 1] and `variance` of the same shape -> [n, h, w, 2].
template <class T>
Tensor<T> side_by_side(const Tensor<T>& x, const Tensor<T>& variance) {
    Tensor<T> result(x.shape().with(-1, 2));
    for (Index k = 0; k < x.size(); ++k) {
        result[2 * k] = x[k];
        result[2 * k + 1] = variance[k];
    }
    return result;
}

// Step k of a tensor [steps, n, 1, h, w], as [n, h, w, 1].
template <class T>
Tensor<T> at_step(const Tensor<T>& all, Index k) {
    return all.slice(k, k + 1).reshape({all.dim(1), all.dim(3), all.dim(4), 1});
}

// Runs the loop of the script, with m = 0.5 * x + pattern[step] for a network, and compares x after every step.
template <class T, class Sampler>
void check_loop(const Golden& golden, const std::string& key, const Sampler& sampler, const Levels& levels,
                const DenoiserOptions& options, const std::string& variance = "") {
    const auto pattern = golden.raw<T>("pattern"), noise = golden.raw<T>("noise");
    const auto expected = golden.raw<double>(key);
    REQUIRE(expected.dim(0) == static_cast<Index>(levels.steps.size()));
    GivenNoise<T> given;
    for (Index k = 0; k < noise.dim(0); ++k) given.steps.push_back(at_step(noise, k));
    Index asked = 0;
    const auto network = [&](const Tensor<T>& x, const Tensor<T>&) {
        const Tensor<T> m = combine(0.5, x, 1, at_step(pattern, asked));
        if (variance.empty()) return m;
        return side_by_side(m, at_step(golden.raw<T>(variance), asked));
    };
    const auto predict = denoiser(network, options);
    typename Sampler::template State<T> state;
    const auto compare = [&](SampleStep<T>& step) {
        const auto x = at_step(expected, asked);
        // Half of what diffusers' own floats and the golden doubles may differ by together.
        const double tolerance = std::is_same_v<T, float> ? 5e-6 : 2e-7;
        test::require_close(key + " step " + std::to_string(asked), step.x, x, test::peak(x, 1), tolerance);
        ++asked;
    };
    run_sampler(predict, sampler, levels, at_step(golden.raw<T>("start").reshape({1, 2, 1, 4, 4}), 0), given, state, 0,
                compare);
    REQUIRE(asked == static_cast<Index>(levels.steps.size()));
}

template <class Sampler>
void check_loops(const Golden& golden, const std::string& key, const Sampler& sampler, const Levels& levels,
                 const DenoiserOptions& options, const std::string& variance = "") {
    check_loop<float>(golden, key, sampler, levels, options, variance);
    check_loop<double>(golden, key, sampler, levels, options, variance);
}

}  // namespace

TEST_CASE("alphas_cumprod equals diffusers' tables") {
    const Golden golden("diffusion/schedules.safetensors");
    const auto check_table = [&](const std::string& name, Index count, double start, double end, bool rescale) {
        const Schedule schedule({.num_train_timesteps = count,
                                 .beta_start = start,
                                 .beta_end = end,
                                 .beta_schedule = parse_beta_schedule(name),
                                 .rescale_betas_zero_snr = rescale});
        const std::string key = name + "/" + std::to_string(count) + (rescale ? "/zero_snr" : "");
        const auto exact = golden.raw<double>(key), shipped = golden.raw<double>(key + ".diffusers");
        REQUIRE(exact.size() == schedule.steps());
        for (Index t = 0; t < schedule.steps(); ++t) {
            INFO(key << " t " << t);
            const double found = schedule.alpha_bar(t);
            REQUIRE(std::abs(found - exact[t]) <= 1e-10 * exact[t] + 1e-18);
            REQUIRE(std::abs(found - shipped[t]) <= 2e-6);
        }
    };
    check_table("linear", 1000, 1e-4, 0.02, false);
    check_table("linear", 50, 1e-4, 0.02, false);
    check_table("scaled_linear", 1000, 0.00085, 0.012, false);
    check_table("squaredcos_cap_v2", 1000, 1e-4, 0.02, false);
    check_table("squaredcos_cap_v2", 100, 1e-4, 0.02, false);
    check_table("sigmoid", 1000, 1e-4, 0.02, false);
    check_table("linear", 1000, 1e-4, 0.02, true);
    check_table("scaled_linear", 1000, 0.00085, 0.012, true);
    check_table("sigmoid", 1000, 1e-4, 0.02, true);
}

TEST_CASE("timesteps equal diffusers' for every spacing and count") {
    const Golden golden("diffusion/timesteps.safetensors");
    REQUIRE(golden.file().entries().size() == 55);
    for (const auto& entry : golden.file().entries()) {
        const std::size_t slash = entry.name.find('/');
        const Index offset = entry.name.ends_with("/offset") ? 1 : 0;
        const SpacingOptions options{parse_spacing(entry.name.substr(0, slash)), offset};
        INFO(entry.name);
        REQUIRE(timesteps(1000, std::stol(entry.name.substr(slash + 1)), options) == golden.indices(entry.name));
    }
}

TEST_CASE("DDPM follows diffusers step for step") {
    const Golden golden("diffusion/ddpm.safetensors");
    const Schedule schedule;
    for (const std::string kind : {"fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"})
        for (const std::string& spacing : spacings)
            for (const std::string& prediction : predictions)
                for (const std::string& clip : clips)
                    check_loops(golden, kind + "/" + spacing + "/" + prediction + "/" + clip,
                                Ddpm{parse_variance_type(kind)},
                                ddpm_levels(schedule, steps, {.timestep_spacing = parse_spacing(spacing)}),
                                denoiser_options(prediction, clip), kind.starts_with("learned") ? kind : "");
}

TEST_CASE("DDPM follows diffusers on other schedules and options") {
    const Golden golden("diffusion/ddpm.safetensors");
    for (const std::string name : {"scaled_linear", "squaredcos_cap_v2", "sigmoid"})
        check_loops(golden, "schedule/" + name, Ddpm{},
                    ddpm_levels(Schedule({.beta_schedule = parse_beta_schedule(name)}), steps),
                    {.clip_sample_range = 0.7});
    check_loops(golden, "zero_snr", Ddpm{},
                ddpm_levels(Schedule({.rescale_betas_zero_snr = true}), steps, {Spacing::trailing}),
                denoiser_options("v_prediction", "free"));
    check_loops(golden, "offset", Ddpm{}, ddpm_levels(Schedule{}, steps, {.steps_offset = 1}), {});
    check_loops(golden, "threshold_default", Ddpm{}, ddpm_levels(Schedule{}, steps), {.thresholding = true});
}

TEST_CASE("DDIM follows diffusers step for step") {
    const Golden golden("diffusion/ddim.safetensors");
    const Schedule schedule;
    for (const std::string& spacing : spacings)
        for (const std::string& prediction : predictions)
            for (const std::string& clip : clips)
                for (const std::string eta : {"0.0", "0.5", "1.0"})
                    for (const bool again : {false, true})
                        for (const bool one : {false, true})
                            check_loops(golden,
                                        spacing + "/" + prediction + "/" + clip + "/eta_" + eta +
                                            (again ? "/clipped" : "/said") + (one ? "/one" : "/first"),
                                        Ddim{.eta = std::stod(eta), .use_clipped_model_output = again},
                                        ddim_levels(schedule, steps, {{parse_spacing(spacing)}, one}),
                                        denoiser_options(prediction, clip));
}

TEST_CASE("DDIM follows diffusers with zero terminal SNR, and with the settings of Stable Diffusion") {
    const Golden golden("diffusion/ddim.safetensors");
    const auto trailing = ddim_levels(Schedule({.rescale_betas_zero_snr = true}), steps, {{Spacing::trailing}});
    check_loops(golden, "zero_snr/eta_0.0", Ddim{}, trailing, denoiser_options("v_prediction", "free"));
    check_loops(golden, "zero_snr/eta_1.0", Ddim{.eta = 1}, trailing, denoiser_options("v_prediction", "free"));
    const Schedule latent({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear});
    check_loops(golden, "latent", Ddim{}, ddim_levels(latent, steps, {{.steps_offset = 1}, false}),
                denoiser_options("epsilon", "free"));
}

TEST_CASE("DDIM inversion follows diffusers step for step") {
    const Golden golden("diffusion/ddim_inverse.safetensors");
    for (const std::string spacing : {"leading", "trailing"})
        for (const std::string& prediction : predictions)
            for (const std::string clip : {"free", "clip"})
                for (const bool one : {false, true})
                    if (!one || prediction != "sample")  // without noise a sample tells nothing about it
                        check_loops(golden, spacing + "/" + prediction + "/" + clip + (one ? "/one" : "/first"), Ddim{},
                                    ddim_inverse_levels(Schedule{}, steps, {{parse_spacing(spacing)}, one}),
                                    denoiser_options(prediction, clip));
}

TEST_CASE("DDIM with eta 1 over all steps is DDPM") {
    const Golden golden("diffusion/all_steps.safetensors");
    const Schedule schedule({.num_train_timesteps = 25, .beta_start = 0.004, .beta_end = 0.3});
    const auto free = denoiser_options("epsilon", "free");
    check_loops(golden, "ddpm", Ddpm{}, ddpm_levels(schedule, 25), free);
    check_loops(golden, "ddim", Ddim{.eta = 1}, ddim_levels(schedule, 25), free);
    check_loops(golden, "ddpm", Ddim{.eta = 1}, ddim_levels(schedule, 25), free);
}

}  // namespace scheduler_golden_test
