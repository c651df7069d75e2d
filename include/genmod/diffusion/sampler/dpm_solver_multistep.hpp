// Multistep DPM-Solver and DPM-Solver++ (Lu et al. 2022a, 2022b).
#pragma once

#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/dpm_solver.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// x' from the last one, two or three answers (DPM-Solver++, algorithm 2; appendix B). Order 1 is DDIM. Of lower order
// are the first steps (of any run, also one that begins in the middle) and, by the options, the last ones; a step to no
// noise gives x0 itself. The defaults are those of diffusers' DPMSolverMultistep, which also serves EDM levels (its
// EDMDPMSolverMultistep), flow levels, and on rising levels inversion. k-diffusion's dpmpp_2m is lower_order_final =
// false; its dpmpp_2m_sde is that with sde-dpmsolver++ and brownian = true. An eps form may end at no noise, too, where
// diffusers refuses.
struct DpmSolverMultistep {
    Index solver_order = 2;  // 1..3; sde-dpmsolver: 1..2
    DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;
    DpmSolverType solver_type = DpmSolverType::midpoint;  // of the second order
    bool lower_order_final = true;                        // runs below 15 steps end with orders 2 and 1
    bool euler_at_final = false;                          // the last step is of order 1 in any case
    // Only for the SDE variants:
    bool brownian = false;  // the noise is the way of one Brownian motion, whatever the steps, as in k-diffusion
    double eta = 1;         // 0 is the ODE
    double s_noise = 1;     // factor of the noise
    bool diffusers_sde_third_order = false;  // with the sign that diffusers' third-order SDE has wrong, see sde_slip()

    template <class T>
    using State = AnswerHistory<T>;

    // predict(x, level) -> Prediction. Throws Error when an option is out of its range or does not fit the levels.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        const Integrand integrand = integrand_of(algorithm_type);
        check_options();
        const Prediction<T> said = ask<T>(predict, x, at.from);
        const bool sde = is_sde(algorithm_type);  // diffusers draws in every step, also where it adds none
        const Tensor<T> drawn = sde && !brownian ? noise.template normals<T>(x.shape()) : Tensor<T>();
        state.push(answer_of(said, integrand, x, at.from), at.from, solver_order);
        if (at.to.sigma == 0) return clean(said, at.to);
        const ExponentialStep move(integrand, at.from, at.to, sde ? eta : 0);
        const Tensor<T> next = state.sum(move.x_weight, x, weights(move, state.nodes(move.h, order(at))));
        if (move.noise_std == 0) return next;
        const Tensor<T> z =
            brownian ? noise.template brownian<T>(x.shape(), sigma_ve(at.from), sigma_ve(at.to)) : drawn;
        return combine(1, next, s_noise * move.noise_std, z);
    }

private:
    void check_options() const {
        const Index most = algorithm_type == DpmAlgorithm::sde_dpmsolver ? 2 : 3;
        check(solver_order >= 1 && solver_order <= most, "dpm solver: order ", solver_order, " of ", algorithm_type,
              " is not in 1..", most);
    }

    Index order(const Step& at) const {
        if (euler_at_final && at.index + 1 == at.total) return 1;
        return lower_order_final && at.total < 15 ? order_near_end(solver_order, at) : solver_order;
    }

    // Of the answers, newest first.
    std::vector<double> weights(const ExponentialStep& move, const std::vector<double>& nodes) const {
        if (nodes.size() == 1) return {move.weight(0)};
        if (nodes.size() == 2) return slope_weights(move, slope_weight(move, solver_type), nodes[1]);
        // D_1 and D_2 by divided differences d0 = (m0 - m1) / r0 and d1 = (m1 - m2) / r1:
        // D_2 = (d0 - d1) / (r0 + r1), D_1 = d0 + r0 D_2. The published solver, followed here, takes half of the D_2
        // that the parabola through the answers has.
        const double r0 = -nodes[1], r1 = nodes[1] - nodes[2], slope = move.weight(1);
        const double bend = move.weight(2) + (diffusers_sde_third_order ? sde_slip(move, algorithm_type) : 0);
        const double second = (slope * r0 + bend) / (r0 + r1);
        const double of_d0 = (slope + second) / r0, of_d1 = -second / r1;
        return {move.weight(0) + of_d0, of_d1 - of_d0, -of_d1};
    }
};

}  // namespace genmod::diffusion
