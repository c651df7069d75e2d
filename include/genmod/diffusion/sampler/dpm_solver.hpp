// What the single-step and the multistep DPM-Solver share: the names of their variants.
#pragma once

#include <string>
#include <string_view>

#include "genmod/core/error.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// DPM-Solver++ integrates x0, DPM-Solver the noise; the others follow the reverse SDE in the same way. The names are
// diffusers': dpmsolver++, dpmsolver, sde-dpmsolver++, sde-dpmsolver.
enum class DpmAlgorithm { dpmsolver_pp, dpmsolver, sde_dpmsolver_pp, sde_dpmsolver };

inline std::string to_string(DpmAlgorithm type) {
    switch (type) {
        case DpmAlgorithm::dpmsolver_pp: return "dpmsolver++";
        case DpmAlgorithm::dpmsolver: return "dpmsolver";
        case DpmAlgorithm::sde_dpmsolver_pp: return "sde-dpmsolver++";
        case DpmAlgorithm::sde_dpmsolver: return "sde-dpmsolver";
    }
    return "unknown";
}

// The algorithm of that name. Throws Error for an unknown one.
inline DpmAlgorithm parse_dpm_algorithm(std::string_view name) {
    for (const auto type : {DpmAlgorithm::dpmsolver_pp, DpmAlgorithm::dpmsolver, DpmAlgorithm::sde_dpmsolver_pp,
                            DpmAlgorithm::sde_dpmsolver})
        if (to_string(type) == name) return type;
    fail(ErrorCode::argument, "dpm solver: unknown algorithm_type \"", name,
         "\"; known are dpmsolver++, dpmsolver, sde-dpmsolver++, sde-dpmsolver");
}

inline Integrand integrand_of(DpmAlgorithm type) {
    return type == DpmAlgorithm::dpmsolver_pp || type == DpmAlgorithm::sde_dpmsolver_pp ? Integrand::x0
                                                                                        : Integrand::eps;
}

inline bool is_sde(DpmAlgorithm type) {
    return type == DpmAlgorithm::sde_dpmsolver_pp || type == DpmAlgorithm::sde_dpmsolver;
}

// How the second order weighs the slope: midpoint by half the weight of m, heun exactly.
enum class DpmSolverType { midpoint, heun };

inline std::string to_string(DpmSolverType type) { return type == DpmSolverType::midpoint ? "midpoint" : "heun"; }

// The type of that name. Throws Error for an unknown one.
inline DpmSolverType parse_dpm_solver_type(std::string_view name) {
    for (const auto type : {DpmSolverType::midpoint, DpmSolverType::heun})
        if (to_string(type) == name) return type;
    fail(ErrorCode::argument, "dpm solver: unknown solver_type \"", name, "\"; known are midpoint, heun");
}

// The weight of the slope D_1 in a second-order step.
inline double slope_weight(const ExponentialStep& move, DpmSolverType type) {
    return type == DpmSolverType::midpoint ? move.weight(0) / 2 : move.weight(1);
}

// What diffusers' third-order steps of the SDE add to the weight of D_2, front (phi_2(z) - 1/2): they have + for -. On
// an exact score this makes the variance of the multistep solver converge with order 1 instead of 2, and that of the
// single-step solver not at all, so that it is left out unless asked for.
inline double sde_slip(const ExponentialStep& move, DpmAlgorithm type) {
    return type == DpmAlgorithm::sde_dpmsolver_pp ? move.front : 0;
}

}  // namespace genmod::diffusion
