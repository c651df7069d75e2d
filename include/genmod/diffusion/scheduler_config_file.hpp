// diffusers' scheduler_config.json, read with diffusers' own rules for settings of other classes, and written.
#pragma once

#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/diffusion/scheduler_settings.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::diffusion {

namespace detail {

inline void check_in(const char* key, double value, double least, double most) {
    check(value >= least && value <= most, "key '", key, "': ", value, " is not in ", least, "..", most);
}

inline void check_above_zero(const char* key, double value) {
    check(value > 0 && is_finite(value), "key '", key, "': ", value, " is not above 0");
}

inline void check_process(const SchedulerConfig& config) {
    const auto& betas = config.schedule.trained_betas;
    const Index steps = config.schedule.num_train_timesteps;
    check_in("num_train_timesteps", static_cast<double>(steps), 1, 1e6);
    check_in("beta_start", config.schedule.beta_start, 0, 1);
    check_in("beta_end", config.schedule.beta_end, 0, 1);
    check(betas.empty() || static_cast<Index>(betas.size()) == steps, "key 'trained_betas': ", betas.size(),
          " numbers for num_train_timesteps ", steps);
    check_in("steps_offset", static_cast<double>(config.spacing.steps_offset), 0, static_cast<double>(steps));
    check_above_zero("clip_sample_range", config.denoiser.clip_sample_range);
    check_in("dynamic_thresholding_ratio", config.denoiser.dynamic_thresholding_ratio, 0, 1);
    check_in("sample_max_value", config.denoiser.sample_max_value, 1, 1e30);
    check_in("sigma_data", config.denoiser.sigma_data, 0, 1e6);
}

inline void check_sigmas(const SchedulerConfig& config) {
    check_in("sigma_min", config.sigma_min.value_or(1), 1e-30, 1e30);
    check_in("sigma_max", config.sigma_max.value_or(1), 1e-30, 1e30);
    check(!config.sigma_min || !config.sigma_max || *config.sigma_min < *config.sigma_max,
          "key 'sigma_min': ", config.sigma_min.value_or(0), " is not below sigma_max ", config.sigma_max.value_or(0));
    check_in("rho", config.rho, 1e-3, 1e3);
    check(!std::isnan(config.lambda_min_clipped), "key 'lambda_min_clipped': expected a number, found NaN");
    const int lists = config.use_karras_sigmas + config.use_exponential_sigmas + config.use_beta_sigmas;
    check(lists <= 1, "key '", config.use_karras_sigmas ? "use_karras_sigmas" : "use_exponential_sigmas",
          "': only one list of sigmas can replace the schedule's");
}

inline void check_solver(const SchedulerConfig& config) {
    check_in("solver_order", static_cast<double>(config.solver_order), 1,
             config.scheduler == SchedulerClass::unipc ? 6 : 3);
    check_in("predictor_order", static_cast<double>(config.predictor_order), 1, 4);
    check_in("corrector_order", static_cast<double>(config.corrector_order), 0, 4);
    check(config.disable_corrector.size() <= 100000, "key 'disable_corrector': ", config.disable_corrector.size(),
          " entries are too many");
    check_in("original_inference_steps", static_cast<double>(config.original_inference_steps), 1, 1e6);
    check_in("timestep_scaling", config.timestep_scaling, 0, 1e6);
    check_in("s_noise", config.s_noise, 0, 1e6);
    const bool x0_form = config.algorithm_type != "dpmsolver" && config.algorithm_type != "sde-dpmsolver";
    check(x0_form || config.final_sigmas_type == "sigma_min", "key 'final_sigmas_type': ", config.algorithm_type,
          " cannot end at zero, only at sigma_min");
}

inline void check_flow_settings(const SchedulerConfig& config) {
    check_above_zero("flow_shift", config.flow_shift);
    check_above_zero("shift", config.shift);
    check_in("shift_terminal", config.shift_terminal.value_or(0), 0, 0.999999);
    check(!config.shift_terminal || config.scheduler != SchedulerClass::unipc || config.use_flow_sigmas,
          "key 'shift_terminal': needs use_flow_sigmas");
    check_in("base_shift", config.base_shift, -1e3, 1e3);
    check_in("max_shift", config.max_shift, -1e3, 1e3);
    const bool lists = config.use_karras_sigmas || config.use_exponential_sigmas || config.use_beta_sigmas;
    const bool karras_flow = config.scheduler == SchedulerClass::unipc && config.use_karras_sigmas;
    check(!config.use_flow_sigmas || !lists || karras_flow,
          "key 'use_flow_sigmas': does not go with sigmas of a variance-preserving process");
    check(!config.invert_sigmas, "key 'invert_sigmas': a flow that runs from 0 to 1 is not supported");
    const bool flow = config.use_flow_sigmas || !has_setting(config.scheduler, "beta_start");
    check(flow || config.denoiser.prediction_type != PredictionType::flow_prediction,
          "key 'prediction_type': flow_prediction needs use_flow_sigmas");
    const bool edm =
        config.scheduler == SchedulerClass::edm_euler || config.scheduler == SchedulerClass::edm_dpm_multistep;
    const auto said = config.denoiser.prediction_type;
    check(!edm || said == PredictionType::epsilon || said == PredictionType::v_prediction,
          "key 'prediction_type': ", said, " is not one of EDM's");
}

// Foreign ends of a replacing list of sigmas: diffusers looks for them in the whole configuration.
inline bool takes_foreign_sigma_ends(SchedulerClass scheduler) {
    return has_setting(scheduler, "use_karras_sigmas") && !has_setting(scheduler, "sigma_min");
}

inline void read_foreign_sigma_ends(SettingsReader& reader, const io::Config& file, SchedulerConfig& config) {
    if (!takes_foreign_sigma_ends(config.scheduler)) return;
    for (const auto& [key, end] : {std::pair{"sigma_min", &config.sigma_min}, {"sigma_max", &config.sigma_max}}) {
        if (!file.has(key)) continue;
        *end = reader.number(key);
        reader.tell(message(key, ": of another class, but taken for an end of karras, exponential or beta sigmas"));
    }
}

// Settings that are code in Python: nothing here but null.
inline void refuse_code(const io::Config& file, SchedulerClass scheduler) {
    for (const char* key : {"solver_p", "tau_func"})
        if (has_setting(scheduler, key) && file.has(key))
            fail(ErrorCode::bad_file, file.name(), ": key '", key, "': expected null, found ",
                 io::kind_of(*file.find(key)));
}

inline void report_ignored(SettingsReader& reader, const io::Config& file, SchedulerClass scheduler) {
    std::set<std::string, std::less<>> settings{"solver_p", "tau_func", "noise_sampler_seed"};
    const SchedulerConfig any;
    SchedulerConfig::visit(any, [&](const char* key, const auto&) { settings.insert(key); });
    for (const auto& [key, value] : file.members()) {
        if (key.starts_with('_') || has_setting(scheduler, key)) continue;
        if (takes_foreign_sigma_ends(scheduler) && (key == "sigma_min" || key == "sigma_max")) continue;
        const bool known = settings.contains(key);
        reader.tell(message(io::detail::in_quotes(key), known ? ": no setting of " + to_string(scheduler) : ": unknown",
                            ", ignored"));
    }
    if (has_setting(scheduler, "noise_sampler_seed") && file.has("noise_sampler_seed"))
        reader.tell("noise_sampler_seed: ignored, the run's seeds are used");
    for (const char* key : {"clip_sample", "thresholding"})
        if (scheduler == SchedulerClass::tcd && file.has(key) && file.flag(key))
            reader.tell(message(key, ": ignored, as TCDScheduler does itself"));
}

inline SchedulerClass class_of(const io::Config& file) {
    try {
        return parse_scheduler_class(file.text("_class_name"));
    } catch (const Error& error) {
        if (error.code() == ErrorCode::bad_file) throw;
        fail(ErrorCode::bad_file, file.name(), ": key '_class_name': ", error.what());
    }
}

}  // namespace detail

// Throws Error, naming the setting, when a value makes no sense.
inline void check_scheduler_config(const SchedulerConfig& config) {
    detail::check_process(config);
    detail::check_sigmas(config);
    detail::check_solver(config);
    detail::check_flow_settings(config);
}

// What a file says, and a line for everything in it that counts otherwise than it stands there, or not at all.
struct SchedulerConfigFile {
    SchedulerConfig config;
    std::vector<std::string> report;
};

// Reads a configuration of the class that it names, or `as` another one: settings that the other class has not are
// ignored, and values that it has not count as its own, as in diffusers' from_config. Throws Error(bad_file) with file
// and key for an unknown class, a value of the wrong kind, or one that makes no sense.
inline SchedulerConfigFile read_scheduler_config(const io::Config& file, std::optional<SchedulerClass> as = {}) {
    const SchedulerClass scheduler = as ? *as : detail::class_of(file);
    SchedulerConfig config = scheduler_defaults(scheduler);
    detail::SettingsReader reader(file, scheduler);
    detail::refuse_code(file, scheduler);
    SchedulerConfig::visit(config, reader);
    if (!reader.sets("num_train_timesteps") && !config.schedule.trained_betas.empty())
        config.schedule.num_train_timesteps = static_cast<Index>(config.schedule.trained_betas.size());
    detail::read_foreign_sigma_ends(reader, file, config);
    detail::report_ignored(reader, file, scheduler);
    try {
        check_scheduler_config(config);
    } catch (const Error& error) {
        fail(ErrorCode::bad_file, file.name(), ": ", error.what());
    }
    return {config, reader.report()};
}

namespace detail {

// Python writes NaN, Infinity and -Infinity, which are no JSON: puts them in quotes.
inline std::string quote_python_numbers(std::string_view text) {
    std::string result;
    bool inside = false;  // of a string
    for (std::size_t k = 0; k < text.size(); ++k) {
        if (inside && text[k] == '\\') {
            result += text.substr(k++, 2);
            continue;
        }
        if (text[k] == '"') inside = !inside;
        std::string_view word;
        for (const std::string_view name : {"-Infinity", "Infinity", "NaN"})
            if (!inside && word.empty() && text.substr(k).starts_with(name)) word = name;
        if (word.empty()) {
            result += text[k];
            continue;
        }
        result += message('"', word, '"');
        k += word.size() - 1;
    }
    return result;
}

inline io::Json setting_json(Index value) { return value; }
inline io::Json setting_json(double value) { return value; }
inline io::Json setting_json(bool value) { return value; }
inline io::Json setting_json(const std::string& value) { return value; }
template <class Value>
io::Json setting_json(const std::optional<Value>& value) {
    return value ? setting_json(*value) : io::Json();
}
template <class Value>
io::Json setting_json(const std::vector<Value>& values) {
    io::Json::Items items;
    for (const Value& value : values) items.push_back(setting_json(value));
    return items;
}
template <class Value>
    requires std::is_enum_v<Value> io::Json setting_json(Value value) { return to_string(value); }

}  // namespace detail

// read_scheduler_config() of a file. Infinities as Python writes them are understood. Throws Error(io) too.
inline SchedulerConfigFile load_scheduler_config(const std::string& path, std::optional<SchedulerClass> as = {}) {
    const io::JsonLimits limits;
    const std::string text = detail::quote_python_numbers(io::read_text_file(path, limits.bytes));
    return read_scheduler_config(io::Config(io::parse_json(text, path, limits), path), as);
}

// The configuration that diffusers' from_pretrained reads; the class's own settings only.
inline io::Json to_json(const SchedulerConfig& config) {
    io::Json::Members members{{"_class_name", to_string(config.scheduler)}};
    SchedulerConfig::visit(config, [&](const std::string& key, const auto& value) {
        if (!has_setting(config.scheduler, key)) return;
        if (key == "lambda_min_clipped" && std::isinf(config.lambda_min_clipped)) return;
        if (key == "trained_betas" && config.schedule.trained_betas.empty())
            members[key] = io::Json();
        else
            members[key] = detail::setting_json(value);
    });
    return members;
}

}  // namespace genmod::diffusion
