// Single-step DPM-Solver and DPM-Solver++ (Lu et al. 2022a, 2022b).
#pragma once

#include <algorithm>
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

// Steps in blocks of solver_order: the first of a block is of order 1, the next one goes from the block's beginning
// again, now with two answers, and so on (DPM-Solver, algorithms 1 and 2; DPM-Solver++, algorithm 1). So every step
// asks once, and the levels of the run are the points between. As diffusers' DPMSolverSinglestep, whose defaults these
// are; a step to no noise gives x0 itself.
struct DpmSolverSinglestep {
    Index solver_order = 2;                                    // 1..3
    DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;  // not sde-dpmsolver
    DpmSolverType solver_type = DpmSolverType::midpoint;
    bool lower_order_final = false;          // a last step that would end a block is of order 1
    bool diffusers_sde_third_order = false;  // with the sign that diffusers' third-order SDE has wrong, see sde_slip()

    template <class T>
    struct State {
        AnswerHistory<T> history;
        Tensor<T> x;      // at the block's beginning
        Index order = 0;  // of the last step

        static void visit(auto& self, auto&& f) {
            f("history", self.history);
            f("x", self.x);
            f("order", self.order);
        }
    };

    // predict(x, level) -> Prediction. Throws Error when an option is out of its range or does not fit the levels.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        check(solver_order >= 1 && solver_order <= 3, "dpm solver: order ", solver_order, " is not in 1..3");
        check(algorithm_type != DpmAlgorithm::sde_dpmsolver, "dpm solver: no single-step form of ", algorithm_type);
        const Integrand integrand = integrand_of(algorithm_type);
        const Prediction<T> said = ask<T>(predict, x, at.from);
        const bool sde = is_sde(algorithm_type);  // diffusers draws in every step, also where it adds none
        const Tensor<T> z = sde ? noise.template normals<T>(x.shape()) : Tensor<T>();
        state.history.push(answer_of(said, integrand, x, at.from), at.from, solver_order);
        state.order = begins_block(at) ? 1 : std::min(state.order, at.index % solver_order) + 1;
        if (state.order > 1 && state.history.level(state.order - 1).alpha == 0)
            state.order = 1;  // pure noise is no end of a slope
        if (state.order == 1) state.x = x;
        if (at.to.sigma == 0) return clean(said, at.to);
        const NoiseLevel begin = state.history.level(state.order - 1);
        const ExponentialStep move(integrand, begin, at.to, sde ? 1 : 0);
        std::vector<double> places;  // of the answers on the way from `begin`, newest first
        for (Index k = 0; k + 1 < state.order; ++k)
            places.push_back((half_log_snr(state.history.level(k)) - half_log_snr(begin)) / move.h);
        const Tensor<T> next = state.history.sum(move.x_weight, state.x, weights(move, places));
        return sde ? combine(1, next, move.noise_std, z) : next;
    }

private:
    bool begins_block(const Step& at) const {
        const Index place = at.index % solver_order;
        return place == 0 || (lower_order_final && at.index + 1 == at.total && place + 1 == solver_order);
    }

    // Of the answers, newest first; the oldest lies at 0, the others at `places`.
    std::vector<double> weights(const ExponentialStep& move, const std::vector<double>& places) const {
        if (places.empty()) return {move.weight(0)};
        if (places.size() == 1) {
            const auto two = slope_weights(move, slope_weight(move, solver_type), places[0]);
            return {two[1], two[0]};
        }
        const double r0 = places[0], r1 = places[1], slope = move.weight(1);
        if (solver_type == DpmSolverType::midpoint) {
            const auto two = slope_weights(move, slope, r0);
            return {two[1], 0, two[0]};
        }
        // The parabola through the answers, by d0 = (m0 - m2) / r0 and d1 = (m1 - m2) / r1.
        const double bend = 2 * (move.weight(2) + (diffusers_sde_third_order ? sde_slip(move, algorithm_type) : 0));
        const double of_m0 = (bend - slope * r1) / (r0 - r1) / r0, of_m1 = (slope * r0 - bend) / (r0 - r1) / r1;
        return {of_m0, of_m1, move.weight(0) - of_m0 - of_m1};
    }
};

}  // namespace genmod::diffusion
