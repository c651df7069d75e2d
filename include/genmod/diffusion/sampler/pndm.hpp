// Pseudo numerical methods for diffusion models (Liu et al. 2022): PLMS, alone or after Runge-Kutta steps.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/spacing.hpp"

namespace genmod::diffusion {

// Moves x along a noise e that is extrapolated from those of earlier steps: (3, -1) / 2, then (23, -16, 5) / 12, then
// (55, -59, 37, -9) / 24. A run's first step asks twice and takes the mean, which is CompVis' PLMS and what diffusers
// spreads over a doubled entry of its list. A step whose levels name three inner ones (pndm_levels with Runge-Kutta)
// asks four times: algorithm 2 of the paper.
struct Pndm {
    // What is extrapolated: what the network says, as in diffusers, which knows epsilon and v_prediction here.
    PredictionType prediction_type = PredictionType::epsilon;

    template <class T>
    struct State {
        std::vector<Tensor<T>> said;  // at most four, the newest last
        static void visit(auto& self, auto&& f) { f("said", self.said); }
    };

    // predict(x, level) -> Prediction. No noise is drawn. Throws Error for another prediction type.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state,
                   Noise& /*noise*/) const {
        check(prediction_type == PredictionType::epsilon || prediction_type == PredictionType::v_prediction,
              "pndm: extrapolates epsilon or v_prediction, not ", prediction_type);
        const std::size_t inner = at.inner().size();
        check(inner == 0 || inner == 2 || inner == 3, "pndm: a step names two or three inner levels, found ", inner);
        const Tensor<T> said = question<T>(predict, x, at.from);
        if (state.said.size() == 4) state.said.erase(state.said.begin());
        state.said.push_back(said);
        if (inner == 3) return transfer(x, at.from, at.to, runge_kutta(predict, x, at, said));
        if (state.said.size() == 1) return first_step(predict, x, at, said);
        return transfer(x, at.from, at.to, extrapolated(state.said));
    }

private:
    // What the network says there: its noise, or v = alpha eps - sigma x0.
    template <class T, class Predict>
    Tensor<T> question(const Predict& predict, const Tensor<T>& x, const NoiseLevel& level) const {
        const Prediction<T> said = ask<T>(predict, x, level);
        if (prediction_type == PredictionType::epsilon) return said.eps;
        return combine(level.alpha, said.eps, -level.sigma, said.x0);
    }

    // Eq. 9: x' = (alpha' / alpha) x + (sigma' - sigma alpha' / alpha) e; of a v, e = (alpha v + sigma x) / (alpha^2 +
    // sigma^2).
    template <class T>
    Tensor<T> transfer(const Tensor<T>& x, const NoiseLevel& from, const NoiseLevel& to, const Tensor<T>& said) const {
        check(from.alpha != 0, "pndm: cannot start from pure noise (t ", from.t, ")");
        const double a = to.alpha / from.alpha, b = to.sigma - from.sigma * a;
        if (prediction_type == PredictionType::epsilon) return combine(a, x, b, said);
        const double whole = from.alpha * from.alpha + from.sigma * from.sigma;
        return combine(a + b * from.sigma / whole, x, b * from.alpha / whole, said);
    }

    // Both inner levels are where the second question lies and where the corrected move starts.
    template <class T, class Predict>
    Tensor<T> first_step(const Predict& predict, const Tensor<T>& x, const Step& at, const Tensor<T>& said) const {
        const bool given = !at.inner().empty();
        const NoiseLevel &ahead = given ? at.inner()[0] : at.to, &start = given ? at.inner()[1] : at.from;
        const Tensor<T> guess = transfer(x, at.from, ahead, said);
        if (ahead.t < 0 || ahead.sigma == 0) return guess;  // there is nothing to ask at the end
        return transfer(x, start, at.to, combine(0.5, said, 0.5, question<T>(predict, guess, ahead)));
    }

    // The weighted mean of what the network says at the start, twice in the middle, and at the end.
    template <class T, class Predict>
    Tensor<T> runge_kutta(const Predict& predict, const Tensor<T>& x, const Step& at, const Tensor<T>& first) const {
        const std::vector<NoiseLevel>& inner = at.inner();
        constexpr std::array<double, 3> weights{1.0 / 3, 1.0 / 3, 1.0 / 6};
        Tensor<T> said = first, sum = combine(1.0 / 6, first, 0, first);
        for (std::size_t k = 0; k < 3; ++k) {
            said = question<T>(predict, transfer(x, at.from, inner[k], said), inner[k]);
            sum = combine(1, sum, weights[k], said);
        }
        return sum;
    }

    // Adams and Bashforth's rules, the newest last.
    template <class T>
    static Tensor<T> extrapolated(const std::vector<Tensor<T>>& said) {
        const std::size_t n = said.size();
        const auto e = [&](std::size_t age) -> const Tensor<T>& { return said[n - 1 - age]; };
        if (n == 2) return combine(3.0 / 2, e(0), -1.0 / 2, e(1));
        if (n == 3) return combine(1, combine(23.0 / 12, e(0), -16.0 / 12, e(1)), 5.0 / 12, e(2));
        return combine(1, combine(55.0 / 24, e(0), -59.0 / 24, e(1)), 1, combine(37.0 / 24, e(2), -9.0 / 24, e(3)));
    }
};

struct PndmLevelOptions {
    SpacingOptions spacing = {};
    bool set_alpha_to_one = false;
    bool skip_prk_steps = false;  // PLMS alone
};

namespace detail {

// What a network is told at a step it was not asked to reach.
inline NoiseLevel told(NoiseLevel level, double t) {
    level.t = t;
    return level;
}

}  // namespace detail

// PNDM's steps as diffusers takes them, names and defaults too: `count` moves, from t to t - T div n, for one question
// each. The first one asks twice, or the first three four times. Where the list's entries are not T div n apart, the
// inner levels of these steps repeat where diffusers moves x. Throws Error as timesteps() does, and for Runge-Kutta
// with fewer than four steps.
inline Levels pndm_levels(const Schedule& schedule, Index count, const PndmLevelOptions& options = {}) {
    const std::vector<Index> steps = timesteps(schedule.steps(), count, options.spacing);
    const bool even = options.spacing.timestep_spacing != Spacing::quadratic;
    const auto at = [&](Index t) { return level(schedule, t); };
    Levels levels = ddim_levels(schedule, count, {options.spacing, options.set_alpha_to_one});
    if (options.skip_prk_steps) {
        if (count == 1 || !even) return levels;
        LevelPair& first = levels.steps[0];
        first.inner = {detail::told(first.to, static_cast<double>(steps[1])), at(steps[1] + schedule.steps() / count)};
        first.to = at(steps[1]);
        return levels;
    }
    check(count >= 4, "pndm: Runge-Kutta needs at least 4 steps, found ", count);
    for (std::size_t k = 0; k < 3; ++k) {
        const Index from = steps[k], to = steps[k + 1], half = (even ? schedule.steps() / count : from - to) / 2;
        const NoiseLevel middle = at(to + half), end = at(to);
        levels.steps[k] = {at(from), end, {detail::told(at(from - half), middle.t), middle, end}};
    }
    return levels;
}

}  // namespace genmod::diffusion
