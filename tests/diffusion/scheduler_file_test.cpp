// Reading scheduler configurations: what is reported, what is refused; and names of samplers and of levels.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "genmod/diffusion/level_names.hpp"
#include "genmod/diffusion/sampler_names.hpp"
#include "genmod/diffusion/scheduler_config_file.hpp"
#include "genmod/diffusion/scheduler_plan.hpp"
#include "tests/support/catch.hpp"

namespace scheduler_file_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

SchedulerConfigFile read(const std::string& text, std::optional<SchedulerClass> as = {}) {
    return read_scheduler_config(io::Config(io::parse_json(diffusion::detail::quote_python_numbers(text)), "file"), as);
}

// The settings of a class, as the rest of a JSON object.
SchedulerConfigFile read_class(const std::string& name, const std::string& settings) {
    return read("{\"_class_name\": \"" + name + "\", " + settings + "}");
}

std::string refusal(const std::string& text) {
    try {
        const auto loaded = read(text);
        scheduler_plan(loaded.config, {.steps = 5});
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const ScheduleOptions stable{.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear};

}  // namespace

TEST_CASE("Stable Diffusion's file gives its scheduler") {
    const auto file = read(R"({"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null, "clip_sample": false})");
    REQUIRE(file.report == std::vector<std::string>{"'clip_sample': no setting of PNDMScheduler, ignored"});
    const SchedulerPlan plan = scheduler_plan(file.config, {.steps = 50});
    REQUIRE(std::holds_alternative<Pndm>(plan.sampler.chosen));
    REQUIRE(plan.levels.steps.front().from.t == 981);
    REQUIRE(plan.levels.steps.back().from.t == 1);
    REQUIRE(plan.levels.steps.back().to.sigma > 0);  // the noise of t = 0
    REQUIRE_FALSE(plan.denoiser.clip_sample);
}

TEST_CASE("what a class takes otherwise than it stands there is reported, line by line") {
    const auto file = read(R"({"_class_name": "UniPCMultistepScheduler", "solver_type": "bh2", "solver_p": null,
        "algorithm_type": "deis", "sigma_min": 0.02, "predict_x0": true, "thresholding": true, "mood": "good",
        "variance_type": "fixed_small", "_internal": 3, "lambda_min_clipped": -Infinity})",
                           SchedulerClass::dpm_multistep);
    REQUIRE(file.report ==
            std::vector<std::string>{
                "variance_type \"fixed_small\" counts as none in DPMSolverMultistepScheduler",
                "algorithm_type \"deis\" counts as dpmsolver++ in DPMSolverMultistepScheduler",
                "solver_type \"bh2\" counts as midpoint in DPMSolverMultistepScheduler",
                "sigma_min: of another class, but taken for an end of karras, exponential or beta sigmas",
                "'mood': unknown, ignored", "'predict_x0': no setting of DPMSolverMultistepScheduler, ignored",
                "'solver_p': no setting of DPMSolverMultistepScheduler, ignored"});
    REQUIRE(file.config.denoiser.thresholding);
    REQUIRE(std::isinf(file.config.lambda_min_clipped));
    REQUIRE(read_class("EulerDiscreteScheduler", R"("prediction_type": "original_sample")")
                .config.denoiser.prediction_type == PredictionType::sample);
    REQUIRE(read_class("EulerDiscreteScheduler", R"("use_karras_sigmas": null)").report.empty());
    // Saved from a configuration without that key: the class's own default counts.
    const auto left_out =
        R"({"_use_default_values": ["timestep_spacing", "mood"], "timestep_spacing": "trailing", "steps_offset": 1})";
    REQUIRE(read(left_out, SchedulerClass::ddim).config.spacing.timestep_spacing == Spacing::leading);
    REQUIRE(read(left_out, SchedulerClass::lms).config.spacing.timestep_spacing == Spacing::linspace);
    REQUIRE(read(left_out, SchedulerClass::lms).config.spacing.steps_offset == 1);
}

TEST_CASE("a configuration that is written and read is the same, for every class") {
    for (int k = 0; k <= static_cast<int>(SchedulerClass::flow_heun); ++k) {
        const auto scheduler = static_cast<SchedulerClass>(k);
        INFO(to_string(scheduler));
        REQUIRE(parse_scheduler_class(to_string(scheduler)) == scheduler);
        SchedulerConfig config = scheduler_defaults(scheduler);
        check_scheduler_config(config);
        if (has_setting(scheduler, "beta_start")) {
            config.schedule = stable;
            config.schedule.trained_betas = std::vector<double>(1000, 0.01);
        }
        const std::string text = io::to_text(to_json(config));
        const auto again = read(text);
        REQUIRE(again.report.empty());
        REQUIRE(again.config.scheduler == scheduler);
        REQUIRE(io::to_text(to_json(again.config)) == text);
    }
    REQUIRE_THROWS_AS(parse_scheduler_class("MagicScheduler"), Error);
}

TEST_CASE("hostile configurations are refused with one line that names the key") {
    struct Row {
        std::string name, settings, key;
    };
    const std::string dpm = "DPMSolverMultistepScheduler", euler = "EulerDiscreteScheduler";
    const std::string flow = "FlowMatchEulerDiscreteScheduler", edm = "EDMEulerScheduler";
    const std::vector<Row> rows{
        {dpm, R"("beta_start": "low")", "beta_start"},
        {dpm, R"("beta_start": NaN)", "beta_start"},
        {dpm, R"("beta_start": null)", "beta_start"},
        {dpm, R"("beta_end": 1e300)", "beta_end"},
        {dpm, R"("beta_end": -0.1)", "beta_end"},
        {dpm, R"("beta_schedule": "steep")", "beta_schedule"},
        {dpm, R"("beta_schedule": 7)", "beta_schedule"},
        {dpm, R"("num_train_timesteps": 1000000000000)", "num_train_timesteps"},
        {dpm, R"("num_train_timesteps": 0)", "num_train_timesteps"},
        {dpm, R"("num_train_timesteps": 10.5)", "num_train_timesteps"},
        {dpm, R"("trained_betas": [0.1, "x"])", "trained_betas"},
        {dpm, R"("trained_betas": [0.1, 0.2], "num_train_timesteps": 1000)", "trained_betas"},
        {dpm, R"("trained_betas": {"a": 1})", "trained_betas"},
        {dpm, R"("solver_order": 9)", "solver_order"},
        {dpm, R"("solver_order": -1)", "solver_order"},
        {dpm, R"("algorithm_type": "quick")", "algorithm_type"},
        {dpm, R"("algorithm_type": "dpmsolver")", "final_sigmas_type"},
        {dpm, R"("solver_type": "")", "solver_type"},
        {dpm, R"("final_sigmas_type": "none")", "final_sigmas_type"},
        {dpm, R"("lambda_min_clipped": NaN)", "lambda_min_clipped"},
        {dpm, R"("lower_order_final": "yes")", "lower_order_final"},
        {dpm, R"("use_karras_sigmas": true, "use_beta_sigmas": true)", "use_karras_sigmas"},
        {dpm, R"("use_flow_sigmas": true, "use_karras_sigmas": true)", "use_flow_sigmas"},
        {dpm, R"("prediction_type": "flow_prediction")", "prediction_type"},
        {dpm, R"("prediction_type": "colour")", "prediction_type"},
        {dpm, R"("flow_shift": 0)", "flow_shift"},
        {dpm, R"("flow_shift": Infinity)", "flow_shift"},
        {dpm, R"("thresholding": true, "sample_max_value": 0.5)", "sample_max_value"},
        {dpm, R"("dynamic_thresholding_ratio": 2)", "dynamic_thresholding_ratio"},
        {dpm, R"("timestep_spacing": "quadratic")", "timestep_spacing"},
        {dpm, R"("steps_offset": -5)", "steps_offset"},
        {dpm, R"("steps_offset": 9223372036854775807)", "steps_offset"},
        {euler, R"("sigma_min": -1)", "sigma_min"},
        {euler, R"("sigma_min": 5, "sigma_max": 1)", "sigma_min"},
        {euler, R"("sigma_max": Infinity)", "sigma_max"},
        {euler, R"("interpolation_type": "cubic")", "interpolation_type"},
        {euler, R"("timestep_type": "odd")", "timestep_type"},
        {euler, R"("_use_default_values": 5)", "_use_default_values"},
        {edm, R"("rho": 0)", "rho"},
        {edm, R"("sigma_data": -1)", "sigma_data"},
        {edm, R"("sigma_schedule": "lu")", "sigma_schedule"},
        {edm, R"("prediction_type": "sample")", "prediction_type"},
        {flow, R"("shift": -3)", "shift"},
        {flow, R"("shift_terminal": 1)", "shift_terminal"},
        {flow, R"("invert_sigmas": true)", "invert_sigmas"},
        {flow, R"("max_shift": 1e99)", "max_shift"},
        {"UniPCMultistepScheduler", R"("disable_corrector": [1, 2.5])", "disable_corrector"},
        {"UniPCMultistepScheduler", R"("solver_p": {"a": 1})", "solver_p"},
        {"UniPCMultistepScheduler", R"("shift_terminal": 0.1)", "shift_terminal"},
        {"SASolverScheduler", R"("tau_func": "lambda")", "tau_func"},
        {"SASolverScheduler", R"("predictor_order": 100)", "predictor_order"},
        {"LCMScheduler", R"("original_inference_steps": 0)", "original_inference_steps"},
        {"DDPMScheduler", R"("variance_type": "none")", "variance_type"},
        {"DDPMScheduler", R"("clip_sample_range": 0)", "clip_sample_range"},
        {"MagicScheduler", R"("a": 1)", "_class_name"},
    };
    for (const Row& row : rows) {
        const std::string said = refusal("{\"_class_name\": \"" + row.name + "\", " + row.settings + "}");
        INFO(row.name << " " << row.settings << ": " << said);
        REQUIRE(contains(said, "file"));
        REQUIRE(contains(said, "'" + row.key + "'"));
        REQUIRE(std::count(said.begin(), said.end(), '\n') == 0);
    }
    REQUIRE(contains(refusal(R"({"beta_start": 0.1})"), "'_class_name' is missing"));
    REQUIRE(contains(refusal(R"({"_class_name": ["DDIMScheduler"]})"), "_class_name"));
    REQUIRE_THROWS_AS(read("[1]"), Error);
}

TEST_CASE("settings that fit alone but not together, and runs that cannot be, are refused") {
    const auto refuses = [](const std::string& name, const std::string& settings, const StepsWanted& wanted) {
        const auto loaded = read_class(name, settings);
        INFO(name << " " << settings);
        REQUIRE_THROWS_AS(scheduler_levels(loaded.config, wanted), Error);
    };
    const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
    for (const std::string name :
         {"DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "LCMScheduler", "PNDMScheduler",
          "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "CMStochasticIterativeScheduler"}) {
        refuses(name, R"("a": 1)", {});
        refuses(name, R"("a": 1)", {.steps = -1});
        refuses(name, R"("a": 1)", {.steps = Index{1} << 40});
        refuses(name, R"("a": 1)", {.steps = 5, .timesteps = {900, 10}});
        refuses(name, R"("a": 1)", {.timesteps = {900, 10}, .sigmas = {10, 0}});
        for (const double bad : {nan, infinite, -1.0}) {
            refuses(name, R"("a": 1)", {.timesteps = {900, bad}});
            refuses(name, R"("a": 1)", {.sigmas = {10, bad}});
        }
        refuses(name, R"("a": 1)", {.timesteps = {10, 900}});
    }
    refuses("DDIMScheduler", R"("a": 1)", {.timesteps = {900.5, 10}});
    refuses("EulerDiscreteScheduler", R"("use_karras_sigmas": true)", {.timesteps = {900, 10}});
    refuses("EulerDiscreteScheduler", R"("timestep_spacing": "leading", "steps_offset": 900)", {.steps = 10});
    refuses("FlowMatchEulerDiscreteScheduler", R"("use_dynamic_shifting": true)", {.steps = 10});
    refuses("FlowMatchEulerDiscreteScheduler", R"("use_dynamic_shifting": true)", {.steps = 10, .mu = nan});
    refuses("DDIMInverseScheduler", R"("timestep_spacing": "linspace")", {.steps = 10});
    refuses("DPMSolverMultistepScheduler", R"("lambda_min_clipped": 1e9)", {.steps = 10});
    refuses("EulerDiscreteScheduler", R"("trained_betas": [0, 0, 0, 0, 0])", {.steps = 2});
    refuses("EulerDiscreteScheduler", R"("trained_betas": [1e-300, 1e-300, 1, 1, 1])", {.steps = 5});
}

TEST_CASE("samplers go by the names that other programs give them") {
    const auto kind = [](const std::string& name) { return named_run(name, "", stable, 10).sampler.chosen.index(); };
    const AnySampler euler_a{EulerAncestral{}}, two_m{DpmSolverMultistep{}};
    for (const char* name : {"euler_a", "Euler a", "euler_ancestral", "EulerAncestralDiscreteScheduler", "EULER A"})
        REQUIRE(kind(name) == euler_a.chosen.index());
    for (const char* name : {"dpm++2m", "DPM++ 2M", "dpmpp_2m", "DPM++ 2M Karras", "DPMSolverMultistepScheduler",
                             "DPM++ 2M SDE Heun", "DPM++ 3M SDE Exponential"})
        REQUIRE(kind(name) == two_m.chosen.index());
    for (const std::string& name : sampler_names()) REQUIRE(named_run(name, "", stable, 10).levels.steps.size() == 10);
    // k-diffusion's rules and diffusers' differ.
    REQUIRE_FALSE(std::get<DpmSolverMultistep>(named_run("dpm++2m", "", stable, 10).sampler.chosen).lower_order_final);
    const auto of_diffusers = named_run("DPMSolverMultistepScheduler", "", stable, 10);
    REQUIRE(std::get<DpmSolverMultistep>(of_diffusers.sampler.chosen).lower_order_final);
    REQUIRE(of_diffusers.levels.start_scale == 1);
    REQUIRE(named_run("dpm++2m", "", stable, 10).levels.start_scale < 1);
    for (const char* name : {"magic", "", "karras", "MagicScheduler", "EDMEulerScheduler", "DDIMInverseScheduler",
                             "FlowMatchEulerDiscreteScheduler"})
        REQUIRE_THROWS_AS(named_run(name, "", stable, 10), Error);
    try {
        named_run("magic", "", stable, 10);
    } catch (const Error& error) {
        for (const std::string& name : sampler_names()) REQUIRE(contains(error.what(), " " + name));
    }
}

TEST_CASE("levels go by the names that other programs give them") {
    const auto sigma = [](const Levels& levels, std::size_t k) { return sigma_ve(levels.steps.at(k).from); };
    for (const std::string& name : level_names())
        for (const Index steps : {1, 2, 10}) {
            const Levels levels = named_run("euler", name, stable, steps).levels;
            INFO(name << " " << steps);
            REQUIRE(levels.steps.size() == static_cast<std::size_t>(steps));
            REQUIRE(std::abs(sigma(levels, 0) - 14.6146412) < 1e-6);
            REQUIRE(levels.steps.back().to.sigma == 0);
        }
    const auto at = [&](const std::string& method, const std::string& scheduler, std::size_t k) {
        return named_run(method, scheduler, stable, 10).levels.steps.at(k).from;
    };
    REQUIRE(std::abs(sigma_ve(at("DPM++ 2M Karras", "", 1)) - 9.10293) < 6e-6);
    REQUIRE(sigma_ve(at("Euler a", "Karras", 1)) == sigma_ve(at("DPM++ 2M Karras", "", 1)));
    REQUIRE(sigma_ve(at("DPM++ 2M Karras", "exponential", 1)) == sigma_ve(at("euler", "exponential", 1)));
    REQUIRE(at("euler", "", 1).t == 888);
    REQUIRE(at("euler", "normal", 1).t == 888);
    REQUIRE(std::abs(at("euler", "SGM Uniform", 1).t - 899.1) < 1e-9);
    REQUIRE(at("euler", "simple", 1).t == 899);
    REQUIRE(at("lcm", "", 1).t == 899);
    REQUIRE(std::abs(sigma_ve(at("euler", "ays", 1)) - 6.4745760956) < 1e-9);
    REQUIRE(named_run("ddim", "", stable, 10, {Spacing::trailing}).levels.steps[1].from.t == 899);
    REQUIRE(named_run("ddim_trailing", "", stable, 10).levels.steps[1].from.t == 899);
    REQUIRE_THROWS_AS(named_run("euler", "magic", stable, 10), Error);
    REQUIRE_THROWS_AS(named_run("euler", "karras", stable, 0), Error);
    REQUIRE_THROWS_AS(named_run("euler", "karras", stable, 1001), Error);
}

}  // namespace scheduler_file_test
