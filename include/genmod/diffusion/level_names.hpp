// Noise levels by the names that programs and web pages give them ("scheduler").
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_lists.hpp"
#include "genmod/diffusion/sigma_table.hpp"

namespace genmod::diffusion {

namespace detail {

// Names are compared without case, spaces, hyphens and underscores, and k-diffusion's "dpmpp" is "dpm++".
inline std::string plain_name(std::string_view name) {
    std::string result;
    for (const char c : name) {
        if (c == ' ' || c == '_' || c == '-') continue;
        result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (result.starts_with("dpmpp")) result.replace(0, 5, "dpm++");
    return result;
}

// The steps that a list of that name visits, of T training steps; empty for the lists of sigmas.
inline std::vector<double> steps_named(std::string_view name, Index train_steps, Index count) {
    const auto last = static_cast<double>(train_steps - 1), n = static_cast<double>(count);
    std::vector<double> steps;
    for (Index index = 0; index < count; ++index) {
        const auto k = static_cast<double>(index);
        if (name == "discrete") {
            steps.push_back(count == 1 ? last : last * (n - 1 - k) / (n - 1));
        } else if (name == "sgm_uniform") {
            steps.push_back(last * (n - k) / n);
        } else if (name == "simple") {
            steps.push_back(last - std::floor(k * ((last + 1) / n)));
        } else if (name == "smoothstep") {
            const double u = 1 - k / n;
            steps.push_back(std::round(u * u * (3 - 2 * u) * last));
        }
    }
    if (name == "lcm")
        for (const Index t : lcm_timesteps(train_steps, count)) steps.push_back(static_cast<double>(t));
    return steps;
}

inline std::vector<double> sigmas_named(std::string_view name, const SigmaRange& range, Index count) {
    if (name == "ays") return ays_sigmas(count);
    if (name == "ays_sdxl") return ays_sigmas(count, AysModel::stable_diffusion_xl);
    if (name == "karras") return karras_sigmas(count, range);
    if (name == "exponential") return exponential_sigmas(count, range);
    if (name == "polyexponential") return polyexponential_sigmas(count, range);
    if (name == "beta") return beta_sigmas(count, range);
    return kl_optimal_sigmas(count, range);
}

}  // namespace detail

// What named_levels() knows. discrete (also: normal, uniform) is even in the training steps from the last to the first
// one, sgm_uniform the same without the first; simple, smoothstep and lcm are stable-diffusion.cpp's; the others are
// lists of sigmas, see sigma_lists.hpp, where ays has Stable Diffusion's own levels whatever the schedule.
inline const std::vector<std::string>& level_names() {
    static const std::vector<std::string> names{"discrete",    "karras", "exponential", "polyexponential",
                                                "sgm_uniform", "simple", "smoothstep",  "beta",
                                                "kl_optimal",  "ays",    "ays_sdxl",    "lcm"};
    return names;
}

// The known name that is meant, as level_names() spells it; empty for an unknown one.
inline std::string find_level_name(std::string_view name) {
    const std::string plain = detail::plain_name(name);
    if (plain == "normal" || plain == "uniform") return "discrete";
    for (const std::string& known : level_names())
        if (detail::plain_name(known) == plain) return known;
    return "";
}

// `count` steps of that name, down to no noise, as k-diffusion, web UIs and stable-diffusion.cpp take them: log(sigma)
// is linear between training steps, and the start is sigma times noise. Throws Error for an unknown name, and for more
// steps than are there.
inline Levels named_levels(std::string_view name, const Schedule& schedule, Index count) {
    const std::string known = find_level_name(name);
    if (known.empty()) {
        std::string list;
        for (const std::string& each : level_names()) list += (list.empty() ? "" : ", ") + each;
        fail(ErrorCode::argument, "unknown scheduler \"", name, "\"; known are ", list);
    }
    check(count >= 1 && count <= schedule.steps(), "scheduler: asked for ", count, " of ", schedule.steps(), " steps");
    const std::vector<double> steps = detail::steps_named(known, schedule.steps(), count);
    if (!steps.empty()) return levels_of_timesteps(schedule, steps, {.log_linear = true});
    const SigmaTable table(schedule);
    std::vector<double> sigmas = detail::sigmas_named(known, {table.smallest(), table.largest()}, count);
    sigmas.push_back(0);
    return levels_of_sigmas(schedule, sigmas);
}

}  // namespace genmod::diffusion
