// Presets that make a run draw and step as another program does, so that one seed gives one picture in both.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "genmod/core/error.hpp"
#include "genmod/core/rng_torch.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/drawn_noise.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sigma_levels.hpp"

namespace genmod::diffusion {

// The programs: diffusers' schedulers; k-diffusion's own functions; the web UIs (and stable-diffusion.cpp), which run
// those picture by picture.
enum class Program { diffusers, k_diffusion, webui };

inline std::string to_string(Program program) {
    switch (program) {
        case Program::diffusers: return "diffusers";
        case Program::k_diffusion: return "k_diffusion";
        case Program::webui: return "webui";
    }
    return "unknown";
}

// The program of that name. Throws Error for an unknown one.
inline Program parse_program(std::string_view name) {
    for (const auto program : {Program::diffusers, Program::k_diffusion, Program::webui})
        if (to_string(program) == name) return program;
    fail(ErrorCode::argument, "program: unknown name \"", name, "\"; known are diffusers, k_diffusion, webui");
}

// In what they differ, for the same sampler, levels and seed. The defaults are diffusers'.
struct Conventions {
    bool log_linear_sigmas = false;   // between training steps log(sigma) is linear, not sigma
    bool draw_on_last_step = true;    // Euler ancestral draws in a step that adds no noise
    bool draw_without_churn = false;  // Euler, Heun and KDPM2 draw in each step, with or without churn
    bool lower_order_final = true;    // multistep DPM-Solver++ below 15 steps ends with orders 2 and 1
    bool brownian = false;            // its SDE variants follow a Brownian motion, not plain normals
    bool seed_for_each = false;       // picture k has a generator of its own with seed + k, not one for all
};

inline Conventions conventions(Program program) {
    if (program == Program::diffusers) return {};
    return {.log_linear_sigmas = true,
            .draw_on_last_step = false,
            .draw_without_churn = true,
            .lower_order_final = false,
            .brownian = true,
            .seed_for_each = program == Program::webui};
}

// The sampler with the program's conventions instead of its own; what it does not know is left.
template <class Sampler>
Sampler as_in(const Conventions& conventions, Sampler sampler) {
    if constexpr (requires { sampler.chosen; })  // AnySampler
        std::visit([&](auto& chosen) { chosen = as_in(conventions, std::move(chosen)); }, sampler.chosen);
    if constexpr (requires { sampler.churn; }) sampler.churn.draw_always = conventions.draw_without_churn;
    if constexpr (requires { sampler.draw_on_last_step; }) sampler.draw_on_last_step = conventions.draw_on_last_step;
    if constexpr (std::same_as<Sampler, DpmSolverMultistep>) {
        sampler.lower_order_final = conventions.lower_order_final;
        sampler.brownian = conventions.brownian;
    }
    return sampler;
}

// The options of sigma levels with the program's interpolation.
inline SigmaLevelOptions as_in(const Conventions& conventions, const SigmaLevelOptions& options) {
    SigmaLevelOptions own = options;
    own.log_linear = conventions.log_linear_sigmas;
    return own;
}

// The program's noise for a batch; `more` are the generator's other arguments (TorchRules, CudaCard). Within a
// TorchsdeNoise, Brownian motions are the program's, too.
template <class Generator = TorchGenerator, class... More>
DrawnNoise<Generator> noise_as_in(const Conventions& conventions, std::uint64_t seed, Index pictures,
                                  const More&... more) {
    return DrawnNoise<Generator>(generators_from<Generator>(seed, conventions.seed_for_each ? pictures : 1, more...));
}

}  // namespace genmod::diffusion
