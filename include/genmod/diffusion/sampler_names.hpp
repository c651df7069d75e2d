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
struct NamedRun {
    AnySampler sampler;
    Levels levels;
};

namespace detail {

struct NamedSampler {
    const char* name;
    const char* also;  // a spelling that plain_name() does not make equal, or null
    AnySampler (*make)();
};

// k-diffusion's multistep solvers lower the order at the first step and at the one to no noise only.
inline AnySampler k_diffusion_2m(DpmAlgorithm algorithm, DpmSolverType type) {
    return {DpmSolverMultistep{
        .algorithm_type = algorithm, .solver_type = type, .lower_order_final = false, .brownian = true}};
}

// A sampler with its defaults.
template <class Sampler>
AnySampler plain_sampler() {
    return {Sampler{}};
}

inline constexpr NamedSampler sampler_table[] = {
    {"ddim", nullptr, plain_sampler<Ddim>},
    {"ddim_trailing", nullptr, plain_sampler<Ddim>},
    {"ddpm", nullptr, plain_sampler<Ddpm>},
    {"pndm", "plms", plain_sampler<Pndm>},
    {"euler", nullptr, plain_sampler<Euler>},
    {"euler_a", "euler_ancestral", plain_sampler<EulerAncestral>},
    {"heun", nullptr, plain_sampler<Heun>},
    {"lms", nullptr, plain_sampler<Lms>},
    {"dpm2", nullptr, plain_sampler<Kdpm2>},
    {"dpm2_a", "dpm2_ancestral", plain_sampler<Kdpm2Ancestral>},
    {"dpm++2s_a", "dpm++2s_ancestral", plain_sampler<Dpmpp2sAncestral>},
    {"dpm++2m", nullptr, [] { return k_diffusion_2m(DpmAlgorithm::dpmsolver_pp, DpmSolverType::midpoint); }},
    {"dpm++2m_sde", nullptr, [] { return k_diffusion_2m(DpmAlgorithm::sde_dpmsolver_pp, DpmSolverType::midpoint); }},
    {"dpm++2m_sde_heun", nullptr, [] { return k_diffusion_2m(DpmAlgorithm::sde_dpmsolver_pp, DpmSolverType::heun); }},
    {"dpm++3m_sde", nullptr, [] { return AnySampler{dpmpp_3m_sde()}; }},
    {"dpm++sde", nullptr, plain_sampler<DpmppSde>},
    {"unipc", nullptr, plain_sampler<UniPc>},
    {"deis", nullptr, plain_sampler<Deis>},
    {"sa_solver", nullptr, plain_sampler<SaSolver>},
    {"lcm", nullptr, plain_sampler<Lcm>},
    {"tcd", nullptr, plain_sampler<Tcd>},
};

inline const NamedSampler* find_sampler(std::string_view name) {
    const std::string plain = plain_name(name);
    for (const NamedSampler& row : sampler_table)
        if (plain_name(row.name) == plain || (row.also != nullptr && plain_name(row.also) == plain)) return &row;
    return nullptr;
}

// A name as it is found, and the scheduler's name that it ended in, if any ("DPM++ 2M Karras").
struct FoundSampler {
    const NamedSampler* row;
    std::string scheduler = {};
};

inline FoundSampler find_with_suffix(std::string_view name) {
    if (const NamedSampler* row = find_sampler(name)) return {row};
    const std::string plain = plain_name(name);
    for (const std::string& scheduler : level_names()) {
        const std::string end = plain_name(scheduler);
        if (!plain.ends_with(end)) continue;
        if (const NamedSampler* row = find_sampler(plain.substr(0, plain.size() - end.size()))) return {row, scheduler};
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
inline std::vector<std::string> sampler_names() {
    std::vector<std::string> names;
    for (const detail::NamedSampler& row : detail::sampler_table) names.emplace_back(row.name);
    return names;
}

// A run of `count` steps for a network that was trained on a schedule of betas. `method` is a name of
// stable-diffusion.cpp (euler_a, dpm++2m), k-diffusion (dpmpp_2s_ancestral), web UIs (Euler a, DPM++ 2M Karras: the
// last word names the scheduler) or diffusers (DDIMScheduler, with all of that class's defaults); `scheduler` one of
// level_names(), or empty for the sampler's own levels, where `spacing` acts for ddim, ddpm and pndm only. Throws Error
// for an unknown name, listing the known ones.
inline NamedRun named_run(std::string_view method, std::string_view scheduler, const ScheduleOptions& schedule,
                          Index count, const SpacingOptions& spacing = {}) {
    const auto of_diffusers = detail::find_class(method);
    detail::FoundSampler found = detail::find_with_suffix(method);
    if (!of_diffusers && found.row == nullptr) {
        std::string list;
        for (const std::string& name : sampler_names()) list += name + ", ";
        fail(ErrorCode::argument, "unknown sampling method \"", method, "\"; known are ", list,
             "and diffusers' class names");
    }
    const std::string name = scheduler.empty() ? found.scheduler : std::string(scheduler);
    if (of_diffusers) {
        const SchedulerConfig config = detail::class_config(*of_diffusers, schedule);
        return {scheduler_sampler(config), name.empty() ? scheduler_levels(config, {.steps = count})
                                                        : named_levels(name, Schedule(schedule), count)};
    }
    return {found.row->make(), name.empty() ? detail::own_levels(found.row->name, Schedule(schedule), count, spacing)
                                            : named_levels(name, Schedule(schedule), count)};
}

}  // namespace genmod::diffusion
