// How one class of scheduler reads a configuration that may have been written for another one.
#pragma once

#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::diffusion {

namespace detail {

// What a class makes of a text: which values it has, and what it takes others for.
struct Choices {
    std::vector<std::string_view> known;
    std::vector<std::string_view> foreign = {};
    const char* counts_as = nullptr;
};

inline Choices solver_type_choices(SchedulerClass scheduler) {
    if (scheduler == SchedulerClass::deis) return {{"logrho"}, {"midpoint", "heun", "bh1", "bh2"}, "logrho"};
    if (scheduler == SchedulerClass::unipc) return {{"bh1", "bh2"}, {"midpoint", "heun", "logrho"}, "bh2"};
    return {{"midpoint", "heun"}, {"logrho", "bh1", "bh2"}, "midpoint"};
}

inline Choices algorithm_choices(SchedulerClass scheduler) {
    switch (scheduler) {
        case SchedulerClass::deis: return {{"deis"}, {"dpmsolver", "dpmsolver++"}, "deis"};
        case SchedulerClass::sa_solver: return {{"data_prediction", "noise_prediction"}};
        case SchedulerClass::edm_dpm_multistep: return {{"dpmsolver++", "sde-dpmsolver++"}, {"deis"}, "dpmsolver++"};
        case SchedulerClass::dpm_singlestep:
            return {{"dpmsolver", "dpmsolver++", "sde-dpmsolver++"}, {"deis"}, "dpmsolver++"};
        default: return {{"dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"}, {"deis"}, "dpmsolver++"};
    }
}

inline Choices text_choices(SchedulerClass scheduler, std::string_view key) {
    if (key == "algorithm_type") return algorithm_choices(scheduler);
    if (key == "solver_type") return solver_type_choices(scheduler);
    if (key == "final_sigmas_type") return {{"zero", "sigma_min"}};
    if (key == "interpolation_type") return {{"linear", "log_linear"}};
    if (key == "timestep_type") return {{"discrete", "continuous"}};
    if (key == "sigma_schedule") return {{"karras", "exponential"}};
    if (key == "time_shift_type") return {{"exponential", "linear"}};
    if (key == "timestep_spacing") return {{"leading", "linspace", "trailing"}};
    if (key == "beta_schedule") return {{"linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"}};
    if (key == "prediction_type")
        return {{"epsilon", "sample", "v_prediction", "flow_prediction"}, {"original_sample"}, "sample"};
    const std::vector<std::string_view> fixed{"fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"};
    if (scheduler != SchedulerClass::ddpm) return {{"learned", "learned_range"}, fixed, ""};  // variance_type
    return {{"fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"}};
}

// Reads the settings that a class has, one by one.
class SettingsReader {
public:
    SettingsReader(const io::Config& file, SchedulerClass scheduler) : file_(file), scheduler_(scheduler) {
        // A saved list of what was not in the configuration that it came from: diffusers takes the class's own
        // defaults.
        if (file.has("_use_default_values"))
            for (std::string& key : file.texts("_use_default_values")) left_out_.insert(std::move(key));
    }

    const std::vector<std::string>& report() const { return report_; }
    void tell(std::string line) { report_.push_back(std::move(line)); }

    // Whether the file sets it and the class has it.
    bool sets(std::string_view key) const {
        return file_.find(key) != nullptr && has_setting(scheduler_, key) && !left_out_.contains(key);
    }

    template <class Value>
    void operator()(const char* key, Value& value) {
        if (sets(key)) read(key, value);
    }

    // The number of a key that the class may not have. Python's writer has names for numbers that JSON has not.
    double number(std::string_view key) const {
        const io::Json* json = file_.find(key);
        if (json != nullptr && json->kind == io::Json::Kind::text) {
            if (json->text == "Infinity") return std::numeric_limits<double>::infinity();
            if (json->text == "-Infinity") return -std::numeric_limits<double>::infinity();
        }
        return file_.number(key);
    }

private:
    void read(const char* key, Index& value) { value = file_.integer(key); }
    void read(const char* key, double& value) { value = number(key); }
    void read(const char* key, bool& value) { value = file_.has(key) && file_.flag(key); }  // null is false in Python
    void read(const char* key, std::string& value) { value = choose(key); }
    void read(const char* key, BetaSchedule& value) { value = parse_beta_schedule(choose(key)); }
    void read(const char* key, Spacing& value) { value = parse_spacing(choose(key)); }
    void read(const char* key, PredictionType& value) { value = parse_prediction_type(choose(key)); }
    void read(const char* key, std::vector<Index>& value) { value = file_.integers(key); }
    void read(const char* key, std::optional<double>& value) {
        value.reset();
        if (file_.has(key)) value = number(key);
    }
    void read(const char* key, std::optional<std::string>& value) {
        value.reset();
        if (!file_.has(key)) return;
        value = choose(key);
        if (value->empty()) value.reset();
    }
    void read(const char* key, std::vector<double>& value) {
        value.clear();
        if (!file_.has(key)) return;
        for (const io::Json& item : file_.list(key)) {
            const bool whole = item.kind == io::Json::Kind::whole;
            if (!whole && item.kind != io::Json::Kind::real)
                fail(ErrorCode::bad_file, file_.name(), ": key '", key, "': expected a list of numbers, found ",
                     io::kind_of(item), " in it");
            value.push_back(whole ? static_cast<double>(item.whole) : item.real);
        }
    }

    // The text of a key, or what the class takes it for.
    std::string choose(const char* key) {
        const std::string& text = file_.text(key);
        const Choices choices = text_choices(scheduler_, key);
        for (const auto known : choices.known)
            if (known == text) return text;
        for (const auto foreign : choices.foreign)
            if (foreign == text) {
                tell(message(key, " \"", text, "\" counts as ", choices.counts_as[0] == 0 ? "none" : choices.counts_as,
                             " in ", to_string(scheduler_)));
                return choices.counts_as;
            }
        std::string list;
        for (const auto known : choices.known) list += (list.empty() ? "" : ", ") + std::string(known);
        fail(ErrorCode::bad_file, file_.name(), ": key '", key, "': unknown value ", io::detail::in_quotes(text),
             "; known are ", list);
    }

    const io::Config& file_;
    SchedulerClass scheduler_;
    std::set<std::string, std::less<>> left_out_;
    std::vector<std::string> report_;
};

}  // namespace detail

}  // namespace genmod::diffusion
