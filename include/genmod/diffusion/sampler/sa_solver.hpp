// SA-Solver, the stochastic Adams method (Xue et al. 2023).
#pragma once

#include <algorithm>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// Each step predicts x' from the last answers (algorithm 1, Adams-Bashforth) with noise of strength tau, and the next
// one, once it knows the answer there, corrects it with the same noise (Adams-Moulton): one question a step. As in
// diffusers' SASolver, whose defaults these are, second-order formulas for x0 weigh the slope by half the step, the
// first steps and (unless lower_order_final is off) the last ones are of lower order, noise is drawn in every step,
// also where tau is 0, and a change of x between steps acts through the network's answer only. A step to no noise,
// which diffusers never takes, gives x0.
struct SaSolver {
    Index predictor_order = 2;    // 1..4
    Index corrector_order = 2;    // 1..4; it counts the new answer
    bool data_prediction = true;  // integrate x0, or else the noise
    bool lower_order_final = true;
    double tau = 1;  // 0 is the ODE, 1 the reverse SDE; where t is in tau_first..tau_last, and 0 elsewhere
    double tau_first = 200;
    double tau_last = 800;

    template <class T>
    struct State {
        AnswerHistory<T> history;
        Tensor<T> x;      // that the last step began from, corrected
        Tensor<T> noise;  // of the last step
        double eta = 0;   // tau^2 of the last step
        Index order = 0;  // of the correction to come

        static void visit(auto& self, auto&& f) {
            f("history", self.history);
            f("x", self.x);
            f("noise", self.noise);
            f("eta", self.eta);
            f("order", self.order);
        }
    };

    // predict(x, level) -> Prediction. Throws Error when an order is out of its range, or as ExponentialStep does.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        check(predictor_order >= 1 && predictor_order <= 4 && corrector_order >= 1 && corrector_order <= 4,
              "sa solver: orders ", predictor_order, " and ", corrector_order, " are not in 1..4");
        const Integrand integrand = data_prediction ? Integrand::x0 : Integrand::eps;
        const Prediction<T> said = ask<T>(predict, x, at.from);
        const Tensor<T> answer = answer_of(said, integrand, x, at.from);
        state.x = state.order > 0 ? corrected(state, integrand, answer, at.from) : x;
        state.history.push(answer, at.from, std::max(predictor_order, corrector_order - 1));
        if (at.to.sigma == 0) return clean(said, at.to);
        state.eta = at.from.t >= tau_first && at.from.t <= tau_last ? tau * tau : 0;
        state.noise = noise.template normals<T>(x.shape());
        const ExponentialStep move(integrand, at.from, at.to, state.eta);
        const Index left = lower_order_final ? order_near_end(predictor_order, at) : predictor_order;
        // A correction may use one answer more than lies behind the step.
        state.order = lower_order_final ? order_near_end(corrector_order - 1, at) + 1 : corrector_order;
        const auto nodes = state.history.nodes(move.h, left);
        return with_noise(state.history.sum(move.x_weight, state.x, weights(move, nodes)), move, state);
    }

private:
    // Of answers at `nodes`, s = 0 first.
    std::vector<double> weights(const ExponentialStep& move, const std::vector<double>& nodes) const {
        if (!data_prediction || nodes.size() != 2) return answer_weights(move, nodes);
        return slope_weights(move, move.front * move.z / 2, nodes[1]);
    }

    template <class T>
    static Tensor<T> with_noise(const Tensor<T>& x, const ExponentialStep& move, const State<T>& state) {
        return move.noise_std == 0 ? x : combine(1, x, move.noise_std, state.noise);
    }

    // The x of `to`, now that its answer is known.
    template <class T>
    Tensor<T> corrected(const State<T>& state, Integrand integrand, const Tensor<T>& answer,
                        const NoiseLevel& to) const {
        const ExponentialStep move(integrand, state.history.level(0), to, state.eta);
        std::vector<double> of_answers{0, move.weight(0)};  // of order 1: the new answer alone
        if (state.order > 1) {
            auto nodes = state.history.nodes(move.h, state.order - 1);
            nodes.push_back(1);
            of_answers = weights(move, nodes);
        }
        const double last = of_answers.back();
        of_answers.pop_back();
        const Tensor<T> next = combine(1, state.history.sum(move.x_weight, state.x, of_answers), last, answer);
        return with_noise(next, move, state);
    }
};

}  // namespace genmod::diffusion
