// Linear multistep (Adams-Bashforth) along sigma, as k-diffusion's lms.
#pragma once

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// The integral from `places[0]` to `end` of the polynomial that is 1 at places[j] and 0 at the others. Two points of
// Gauss and Legendre, which are exact up to the third degree, so for four places at most.
inline double lagrange_integral(const std::vector<double>& places, std::size_t j, double end) {
    const double middle = (places[0] + end) / 2, half = (end - places[0]) / 2;
    double sum = 0;
    for (const double side : {-1.0, 1.0}) {
        const double at = middle + side * half / std::sqrt(3.0);
        double product = 1;
        for (std::size_t k = 0; k < places.size(); ++k)
            if (k != j) product *= (at - places[k]) / (places[j] - places[k]);
        sum += half * product;
    }
    return sum;
}

// The step integrates the polynomial through the slopes of this step and of those before. A run that begins anywhere
// warms up: its first steps use as many slopes as there are.
struct Lms {
    Index order = 4;  // 1..4; 1 is Euler

    // The newest first.
    template <class T>
    struct State {
        std::vector<Tensor<T>> slopes;
        std::vector<double> places;  // their sigma, at signal 1 (of a flow: sigma)

        static void visit(auto& self, auto&& f) {
            f("slopes", self.slopes);
            f("places", self.places);
        }
    };

    // predict(x, level) -> Prediction. Throws Error unless order is in 1..4 and the step starts with noise.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state,
                   Noise& /*noise*/) const {
        check(order >= 1 && order <= 4, "lms: order ", order, " is not in 1..4");
        const Line line(at);
        const Tensor<T> x0 = ask<T>(predict, x, at.from).x0;
        if (line.from_infinity(at)) return euler_step(x, x0, at.from, at.to);
        check(at.from.sigma > 0, "lms: a step that starts without noise (t ", at.from.t, ") has no slope");
        const double s = line.place(at.from), end = line.place(at.to), unit = line.unit(at.to);
        remember(state, combine(1 / (line.unit(at.from) * s), x, -1 / s, x0), s, end);
        Tensor<T> next =
            combine(unit / line.unit(at.from), x, unit * lagrange_integral(state.places, 0, end), state.slopes[0]);
        for (std::size_t j = 1; j < state.slopes.size(); ++j)
            next = combine(1, next, unit * lagrange_integral(state.places, j, end), state.slopes[j]);
        return next;
    }

private:
    // Keeps `order` slopes, or fewer when the run turned: the older ones must lie behind.
    template <class T>
    void remember(State<T>& state, Tensor<T> slope, double s, double end) const {
        state.slopes.insert(state.slopes.begin(), std::move(slope));
        state.places.insert(state.places.begin(), s);
        std::size_t kept = 1;
        while (kept < state.places.size() && kept < static_cast<std::size_t>(order) &&
               (state.places[kept] - state.places[kept - 1]) * (s - end) > 0)
            ++kept;
        state.slopes.resize(kept);
        state.places.resize(kept);
    }
};

}  // namespace genmod::diffusion
