// The unified predictor-corrector (UniPC; Zhao et al. 2023).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/exponential.hpp"

namespace genmod::diffusion {

// B(h) of the paper, which only matters where one slope is weighed by half of it: h, or e^h - 1.
enum class UniPcType { bh1, bh2 };

inline std::string to_string(UniPcType type) { return type == UniPcType::bh1 ? "bh1" : "bh2"; }

// The type of that name. Throws Error for an unknown one.
inline UniPcType parse_unipc_type(std::string_view name) {
    for (const auto type : {UniPcType::bh1, UniPcType::bh2})
        if (to_string(type) == name) return type;
    fail(ErrorCode::argument, "unipc: unknown solver_type \"", name, "\"; known are bh1, bh2");
}

// Each step predicts x' from the last answers (UniP), and the next one, once it knows the answer there, corrects it
// (UniC): orders p and p + 1 for one question a step. As in diffusers' UniPCMultistep, whose defaults these are, the
// answer kept is the one before the correction, the first steps and (unless lower_order_final is off) the last ones are
// of lower order, and a change of x between steps acts through the network's answer only: the correction starts from
// the x before. A step to no noise gives x0. Unlike there, clipping also reaches the noise form (predict_x0 false).
struct UniPc {
    Index solver_order = 2;  // 1..6
    bool predict_x0 = true;  // integrate x0, or else the noise
    UniPcType solver_type = UniPcType::bh2;
    bool lower_order_final = true;
    std::vector<Index> disable_corrector = {};  // steps, from 0, whose x' stays as predicted

    template <class T>
    struct State {
        AnswerHistory<T> history;
        Tensor<T> x;      // that the last step began from, corrected
        Index order = 0;  // of the last step

        static void visit(auto& self, auto&& f) {
            f("history", self.history);
            f("x", self.x);
            f("order", self.order);
        }
    };

    // predict(x, level) -> Prediction. Throws Error when the order is out of its range, or a bh1 correction meets pure
    // noise.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state,
                   Noise& /*noise*/) const {
        check(solver_order >= 1 && solver_order <= 6, "unipc: order ", solver_order, " is not in 1..6");
        const Integrand integrand = predict_x0 ? Integrand::x0 : Integrand::eps;
        const Prediction<T> said = ask<T>(predict, x, at.from);
        const Tensor<T> answer = answer_of(said, integrand, x, at.from);
        const Tensor<T> begin = corrects(at.index - 1, state) ? corrected(state, integrand, answer, at.from) : x;
        state.history.push(answer, at.from, solver_order);
        if (at.to.sigma == 0) return clean(said, at.to);
        const ExponentialStep move(integrand, at.from, at.to);
        const Index order = lower_order_final ? order_near_end(solver_order, at) : solver_order;
        const auto nodes = state.history.nodes(move.h, order);
        state.x = begin;
        state.order = static_cast<Index>(nodes.size());
        return state.history.sum(move.x_weight, begin, predictor_weights(move, nodes));
    }

private:
    template <class T>
    bool corrects(Index predicted, const State<T>& state) const {
        return state.order > 0 && predicted >= 0 &&
               std::find(disable_corrector.begin(), disable_corrector.end(), predicted) == disable_corrector.end();
    }

    // The weight of one slope.
    double half(const ExponentialStep& move) const {
        return move.front / 2 * (solver_type == UniPcType::bh1 ? move.z : std::expm1(move.z));
    }

    // Of the answers, newest first (eq. 8 to 10).
    std::vector<double> predictor_weights(const ExponentialStep& move, const std::vector<double>& nodes) const {
        if (nodes.size() != 2) return answer_weights(move, nodes);
        return slope_weights(move, half(move), nodes[1]);
    }

    // The x of `to`, now that its answer is known (eq. 7).
    template <class T>
    Tensor<T> corrected(const State<T>& state, Integrand integrand, const Tensor<T>& answer,
                        const NoiseLevel& to) const {
        const ExponentialStep move(integrand, state.history.level(0), to);
        auto nodes = state.history.nodes(move.h, state.order);
        nodes.push_back(1);
        auto weights = nodes.size() == 2 ? slope_weights(move, half(move), 1) : answer_weights(move, nodes);
        const double last = weights.back();
        weights.pop_back();
        return combine(1, state.history.sum(move.x_weight, state.x, weights), last, answer);
    }
};

}  // namespace genmod::diffusion
