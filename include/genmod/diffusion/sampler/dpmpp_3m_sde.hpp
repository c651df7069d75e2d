// DPM-Solver++(3M) SDE, as k-diffusion has it.
#pragma once

#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"

namespace genmod::diffusion {

// Third-order multistep DPM-Solver++ for the reverse SDE with the noise of a Brownian motion (k-diffusion's
// sample_dpmpp_3m_sde). Only the first two steps and the one to no noise are of lower order. eta 0 is the ODE; s_noise
// is a factor of the noise.
inline DpmSolverMultistep dpmpp_3m_sde(double eta = 1, double s_noise = 1) {
    return {.solver_order = 3,
            .algorithm_type = DpmAlgorithm::sde_dpmsolver_pp,
            .solver_type = DpmSolverType::heun,
            .lower_order_final = false,
            .brownian = true,
            .eta = eta,
            .s_noise = s_noise};
}

}  // namespace genmod::diffusion
