// DEIS, the diffusion exponential integrator sampler (Zhang and Chen 2023).
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// Multistep "log rho" DEIS (eq. 15): the noise as a polynomial in log(sigma / alpha) through the last answers,
// integrated exactly; of order 2 it is DpmSolverMultistep in its eps form of type heun. The defaults are those of
// diffusers' DEISMultistep. A step to no noise, which diffusers never takes, gives x0.
struct Deis {
    Index solver_order = 2;         // 1..3
    bool lower_order_final = true;  // runs below 15 steps end with orders 2 and 1

    template <class T>
    using State = AnswerHistory<T>;

    // predict(x, level) -> Prediction. Throws Error when the order is out of its range, or at pure noise (alpha 0).
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state,
                   Noise& /*noise*/) const {
        check(solver_order >= 1 && solver_order <= 3, "deis: order ", solver_order, " is not in 1..3");
        const Prediction<T> said = ask<T>(predict, x, at.from);
        state.push(answer_of(said, Integrand::eps, x, at.from), at.from, solver_order);
        if (at.to.sigma == 0) return clean(said, at.to);
        const ExponentialStep move(Integrand::eps, at.from, at.to);
        const bool low = lower_order_final && at.total < 15;
        const auto nodes = state.nodes(move.h, low ? order_near_end(solver_order, at) : solver_order);
        return state.sum(move.x_weight, x, answer_weights(move, nodes));
    }
};

}  // namespace genmod::diffusion
