// Samplers by the names that programs, k-diffusion, web UIs and diffusers give them ("sampling method").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/level_names.hpp"
#include "genmod/diffusion/sampler/any.hpp"
#include "genmod/diffusion/sampler/dpmpp_3m_sde.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "genmod/diffusion/sampler/tcd.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/scheduler_class.hpp"
#include "genmod/diffusion/scheduler_config.hpp"
#include "genmod/diffusion/scheduler_plan.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// A sampler and the levels of its run.
template <class Sampler>
struct NamedRunOf {
    Sampler sampler;
    Levels levels;
};
using NamedRun = NamedRunOf<AnySampler>;

namespace detail {

template <class Sampler>
struct NamedSampler {
    const char* name;
    const char* also;  // a spelling that plain_name() does not make equal, or null
    Sampler (*make)();
};

// k-diffusion's multistep solvers lower the order at the first step and at the one to no noise only.
inline DpmSolverMultistep k_diffusion_2m(DpmAlgorithm algorithm, DpmSolverType type) {
    return {.algorithm_type = algorithm, .solver_type = type, .lower_order_final = false, .brownian = true};
}

// A sampler with its defaults.
template <class Sampler, class Plain>
Sampler plain() {
    return {Plain{}};
}
template <class Sampler, DpmAlgorithm algorithm, DpmSolverType type>
Sampler plain_2m() {
    return {k_diffusion_2m(algorithm, type)};
}

template <class Sampler>
inline constexpr NamedSampler<Sampler> sampler_table[] = {
    {"ddim", nullptr, plain<Sampler, Ddim>},
    {"ddim_trailing", nullptr, plain<Sampler, Ddim>},
    {"ddpm", nullptr, plain<Sampler, Ddpm>},
    {"pndm", "plms", plain<Sampler, Pndm>},
    {"euler", nullptr, plain<Sampler, Euler>},
    {"euler_a", "euler_ancestral", plain<Sampler, EulerAncestral>},
    {"heun", nullptr, plain<Sampler, Heun>},
    {"lms", nullptr, plain<Sampler, Lms>},
    {"dpm2", nullptr, plain<Sampler, Kdpm2>},
    {"dpm2_a", "dpm2_ancestral", plain<Sampler, Kdpm2Ancestral>},
    {"dpm++2s_a", "dpm++2s_ancestral", plain<Sampler, Dpmpp2sAncestral>},
    {"dpm++2m", nullptr, plain_2m<Sampler, DpmAlgorithm::dpmsolver_pp, DpmSolverType::midpoint>},
    {"dpm++2m_sde", nullptr, plain_2m<Sampler, DpmAlgorithm::sde_dpmsolver_pp, DpmSolverType::midpoint>},
    {"dpm++2m_sde_heun", nullptr, plain_2m<Sampler, DpmAlgorithm::sde_dpmsolver_pp, DpmSolverType::heun>},
    {"dpm++3m_sde", nullptr, [] { return Sampler{dpmpp_3m_sde()}; }},
    {"dpm++sde", nullptr, plain<Sampler, DpmppSde>},
    {"unipc", nullptr, plain<Sampler, UniPc>},
    {"deis", nullptr, plain<Sampler, Deis>},
    {"sa_solver", nullptr, plain<Sampler, SaSolver>},
    {"lcm", nullptr, plain<Sampler, Lcm>},
    {"tcd", nullptr, plain<Sampler, Tcd>},
};

template <class Sampler>
const NamedSampler<Sampler>* find_sampler(std::string_view name) {
    const std::string plain = plain_name(name);
    for (const NamedSampler<Sampler>& row : sampler_table<Sampler>)
        if (plain_name(row.name) == plain || (row.also != nullptr && plain_name(row.also) == plain)) return &row;
    return nullptr;
}

// A name as it is found, and the scheduler's name that it ended in, if any ("DPM++ 2M Karras").
template <class Sampler>
struct FoundSampler {
    const NamedSampler<Sampler>* row;
    std::string scheduler = {};
};

template <class Sampler>
FoundSampler<Sampler> find_with_suffix(std::string_view name) {
    if (const auto* row = find_sampler<Sampler>(name)) return {row};
    const std::string plain = plain_name(name);
    for (const std::string& scheduler : level_names()) {
        const std::string end = plain_name(scheduler);
        if (!plain.ends_with(end)) continue;
        if (const auto* row = find_sampler<Sampler>(plain.substr(0, plain.size() - end.size())))
            return {row, scheduler};
    }
    return {nullptr};
}

// The levels that a sampler has where no scheduler is named.
inline Levels own_levels(const std::string& sampler, const Schedule& schedule, Index count,
                         const SpacingOptions& spacing) {
    if (sampler == "ddim") return ddim_levels(schedule, count, {.spacing = spacing});
    if (sampler == "ddim_trailing") return ddim_levels(schedule, count, {.spacing = {Spacing::trailing}});
    if (sampler == "ddpm") return ddpm_levels(schedule, count, spacing);
    if (sampler == "pndm") return pndm_levels(schedule, count, {.spacing = spacing, .skip_prk_steps = true});
    if (sampler == "lcm") return lcm_levels(schedule, count);
    if (sampler == "tcd") return tcd_levels(schedule, count);
    return named_levels("discrete", schedule, count);
}

// One of diffusers' classes with its defaults, on that schedule.
inline SchedulerConfig class_config(SchedulerClass scheduler, const ScheduleOptions& schedule) {
    check(has_setting(scheduler, "beta_start") && scheduler != SchedulerClass::ddim_inverse, "sampling method ",
          scheduler, " does not draw from networks that were trained on a table of betas");
    SchedulerConfig config = scheduler_defaults(scheduler);
    config.schedule = schedule;
    return config;
}

inline std::optional<SchedulerClass> find_class(std::string_view name) {
    if (!name.ends_with("Scheduler")) return {};
    try {
        return parse_scheduler_class(name);
    } catch (const Error&) {
        return {};
    }
}

}  // namespace detail

// What named_run() knows besides other spellings of these, and diffusers' class names.
template <class Sampler = AnySampler>
std::vector<std::string> sampler_names() {
    std::vector<std::string> names;
    for (const auto& row : detail::sampler_table<Sampler>) names.emplace_back(row.name);
    return names;
}

// A run of `count` steps for a network that was trained on a schedule of betas. `method` is a name of
// stable-diffusion.cpp (euler_a, dpm++2m), k-diffusion (dpmpp_2s_ancestral), web UIs (Euler a, DPM++ 2M Karras: the
// last word names the scheduler) or diffusers (DDIMScheduler, with all of that class's defaults); `scheduler` one of
// level_names(), or empty for the sampler's own levels, where `spacing` acts for ddim, ddpm and pndm only. Throws Error
// for an unknown name, listing the known ones.
template <class Sampler = AnySampler>
NamedRunOf<Sampler> named_run(std::string_view method, std::string_view scheduler, const ScheduleOptions& schedule,
                              Index count, const SpacingOptions& spacing = {}) {
    const auto of_diffusers = detail::find_class(method);
    const auto found = detail::find_with_suffix<Sampler>(method);
    if (!of_diffusers && found.row == nullptr) {
        std::string list;
        for (const std::string& name : sampler_names<Sampler>()) list += name + ", ";
        fail(ErrorCode::argument, "unknown sampling method \"", method, "\"; known are ", list,
             "and diffusers' class names");
    }
    const std::string name = scheduler.empty() ? found.scheduler : std::string(scheduler);
    if (of_diffusers) {
        const SchedulerConfig config = detail::class_config(*of_diffusers, schedule);
        return {scheduler_sampler<Sampler>(config), name.empty() ? scheduler_levels(config, {.steps = count})
                                                                 : named_levels(name, Schedule(schedule), count)};
    }
    return {found.row->make(), name.empty() ? detail::own_levels(found.row->name, Schedule(schedule), count, spacing)
                                            : named_levels(name, Schedule(schedule), count)};
}

}  // namespace genmod::diffusion
