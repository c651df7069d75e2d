// Ordinary differential equations dy/dt = f(t, y): methods of fixed steps, and one that chooses its steps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/runge_kutta.hpp"

namespace genmod::nn {

struct OdeOptions {
    OdeMethod method = OdeMethod::dopri5;
    Index steps = 100;  // equal ones, of the other three methods
    // The rest is dopri5's: a step is taken when the root mean square of error / (atol + rtol |y|) is at most 1.
    double atol = 1e-5;
    double rtol = 1e-5;
    double first_step = 0;    // 0: chosen (Hairer, Norsett and Wanner 1993, II.4)
    double safety = 0.9;      // the next step is safety / error^(1/5) times the last one,
    double ifactor = 10;      // at most ifactor times
    double dfactor = 0.2;     // and, after a refused one, at least dfactor times
    Index max_steps = 10000;  // the refused ones count too
    Index steering = 0;       // how many of the state's first tensors have a say in the error; 0: all of them
    bool keep_path = false;   // whether the solution holds the states between the steps
};

// Where a solution ends, and what it took.
template <class State>
struct OdeSolution {
    State y;
    Index evaluations = 0;  // calls of f
    Index steps = 0;
    Index rejected = 0;
    std::vector<double> times = {};  // if kept: the beginning and the end of every step
    std::vector<State> path = {};    // the states at these times
};

namespace detail {

// One solve: f, its counted calls, and where it is.
template <class T, class Function>
class OdeRun {
public:
    OdeRun(const Function& f, OdeState<T> y, double t, const OdeOptions& options)
        : f_(f), options_(options), tableau_(butcher_tableau(options.method)), t_(t) {
        solution_.y = std::move(y);
        keep();
    }

    // A solve of no length.
    OdeSolution<OdeState<T>> nowhere() const { return solution_; }

    OdeSolution<OdeState<T>> fixed(double end) {
        const double begin = t_;
        for (Index k = 1; k <= options_.steps; ++k) {
            check_stop();
            const double part = static_cast<double>(k) / static_cast<double>(options_.steps);
            const double next = k == options_.steps ? end : begin + (end - begin) * part;
            const auto slopes = stages(ask(t_, solution_.y), next);
            solution_.y = moved(solution_.y, next - t_, tableau_.weights, slopes);
            t_ = next;
            ++solution_.steps;
            keep();
        }
        return solution_;
    }

    OdeSolution<OdeState<T>> adaptive(double end) {
        const double direction = end > t_ ? 1 : -1;
        OdeState<T> slope = ask(t_, solution_.y);
        double h = options_.first_step > 0 ? options_.first_step : first_step(slope, end);
        while (t_ != end) {
            check_stop();
            const bool last = h >= std::abs(end - t_);
            const double next = last ? end : t_ + direction * h;
            check_step(h, last);
            const auto slopes = stages(slope, next);
            OdeState<T> y = moved(solution_.y, next - t_, tableau_.weights, slopes);
            const double error = error_ratio(y, next - t_, slopes);
            h = std::abs(next - t_) * factor(error);
            if (error <= 1) {
                solution_.y = std::move(y);
                slope = slopes.back();
                t_ = next;
                keep();
            }
            ++(error <= 1 ? solution_.steps : solution_.rejected);
        }
        return solution_;
    }

private:
    void keep() {
        if (!options_.keep_path) return;
        solution_.times.push_back(t_);
        solution_.path.push_back(solution_.y);
    }

    OdeState<T> ask(double t, const OdeState<T>& y) {
        ++solution_.evaluations;
        OdeState<T> slope = f_(t, y);
        bool fits = slope.size() == y.size();
        for (std::size_t part = 0; fits && part < y.size(); ++part) fits = slope[part].shape() == y[part].shape();
        check(fits, "ode: f gave tensors of other shapes than those of the state at t ", t);
        return slope;
    }

    // The slopes of a step to `next` whose first one is known.
    std::vector<OdeState<T>> stages(OdeState<T> first, double next) {
        const double h = next - t_;
        std::vector<OdeState<T>> slopes{std::move(first)};
        for (std::size_t i = 1; i < tableau_.times.size(); ++i) {
            const double at = tableau_.times[i] == 1 ? next : t_ + tableau_.times[i] * h;
            slopes.push_back(ask(at, moved(solution_.y, h, tableau_.stages[i], slopes)));
        }
        return slopes;
    }

    // Hairer, Norsett and Wanner's guess, of which torchdiffeq has the constants; never beyond the end.
    double first_step(const OdeState<T>& slope, double end) {
        const OdeState<T> y = solution_.y;
        const auto scaled = [&](const OdeState<T>& x) {
            return largest_rms(y, [&](std::size_t part, Index k) {
                return static_cast<double>(x[part][k]) / scale(std::abs(static_cast<double>(y[part][k])));
            });
        };
        const double d0 = scaled(y), d1 = scaled(slope), whole = std::abs(end - t_);
        if (!is_finite(d0 + d1)) fail(ErrorCode::non_finite, "ode: NaN or infinity at the beginning, t ", t_);
        const double h0 = std::min(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1, whole);
        const double signed_h0 = end > t_ ? h0 : -h0;
        const OdeState<T> after = ask(t_ + signed_h0, moved(y, signed_h0, {1}, {slope}));
        const double d2 =
            largest_rms(y,
                        [&](std::size_t part, Index k) {
                            return (static_cast<double>(after[part][k]) - static_cast<double>(slope[part][k])) /
                                   scale(std::abs(static_cast<double>(y[part][k])));
                        }) /
            h0;
        const double h1 =
            d1 <= 1e-15 && d2 <= 1e-15 ? std::max(1e-6, h0 * 1e-3) : std::pow(0.01 / std::max(d1, d2), 1.0 / 5);
        return std::min(100 * h0, h1);
    }

    double scale(double size) const { return options_.atol + options_.rtol * size; }

    double error_ratio(const OdeState<T>& after, double h, const std::vector<OdeState<T>>& slopes) const {
        OdeState<T> error;
        const auto steering = static_cast<std::size_t>(options_.steering);
        for (std::size_t part = 0; part < (steering > 0 ? std::min(steering, after.size()) : after.size()); ++part)
            error.push_back(weighted_slopes<T>(nullptr, h, tableau_.error, slopes, part));
        return largest_rms(error, [&](std::size_t part, Index k) {
            const double size = std::max(std::abs(static_cast<double>(solution_.y[part][k])),
                                         std::abs(static_cast<double>(after[part][k])));
            return static_cast<double>(error[part][k]) / scale(size);
        });
    }

    // How much longer the next step is.
    double factor(double error) const {
        if (error == 0) return options_.ifactor;
        if (!is_finite(error)) return options_.dfactor;
        const double wanted = options_.safety / std::pow(error, 1.0 / 5);
        return std::min(options_.ifactor, std::max(wanted, error < 1 ? 1 : options_.dfactor));
    }

    void check_stop() const {
        if (stop_requested()) fail(ErrorCode::stopped, "ode: stopped at t ", t_);
    }

    void check_step(double h, bool last) const {
        check(solution_.steps + solution_.rejected < options_.max_steps, "ode: ", options_.max_steps,
              " steps lead no further than t ", t_, "; atol ", options_.atol, " and rtol ", options_.rtol,
              " may be too small");
        if (!last && !(h > 1e-15 * std::abs(t_)))
            fail(ErrorCode::non_finite, "ode: no step at t ", t_, " is small enough: f jumps, or is not finite there");
    }

    const Function& f_;
    OdeOptions options_;
    ButcherTableau tableau_;
    double t_;
    OdeSolution<OdeState<T>> solution_ = {};
};

inline void check_ode(double begin, double end, const OdeOptions& options) {
    check(is_finite(begin) && is_finite(end), "ode: times ", begin, " and ", end, " are not finite");
    check(options.steps >= 1 && options.max_steps >= 1, "ode: steps ", options.steps, " and max_steps ",
          options.max_steps, " must be positive");
    check(options.steering >= 0, "ode: ", options.steering, " tensors cannot steer the steps");
    check(options.atol >= 0 && options.rtol >= 0 && options.atol + options.rtol > 0 && options.first_step >= 0,
          "ode: atol ", options.atol, ", rtol ", options.rtol, " and first_step ", options.first_step,
          " must not be negative, nor both tolerances 0");
    check(options.safety > 0 && options.ifactor >= 1 && options.dfactor > 0 && options.dfactor < 1, "ode: safety ",
          options.safety, ", ifactor ", options.ifactor, " and dfactor ", options.dfactor, " do not make sense");
}

}  // namespace detail

// y at `end`, for a state of several tensors that is y at `begin`; `end` may lie before `begin`. f(t, y) gives one
// slope for each tensor and is never asked outside of [begin, end]. dopri5 measures its error as torchdiffeq does, by
// the largest of the tensors' root mean squares: all samples of a batch share its steps, so that a sample's solution
// depends on the others, within the tolerance. With the other methods, or alone in its batch, it does not. Throws Error
// when options or shapes do not fit or max_steps are not enough, Error(stopped) when asked to; dopri5 throws
// Error(non_finite) where f is not finite or jumps.
template <class T, class Function>
OdeSolution<std::vector<Tensor<T>>> solve_ode(const Function& f, std::vector<Tensor<T>> y, double begin, double end,
                                              const OdeOptions& options = {}) {
    detail::check_ode(begin, end, options);
    detail::OdeRun<T, Function> run(f, std::move(y), begin, options);
    if (begin == end) return run.nowhere();
    return options.method == OdeMethod::dopri5 ? run.adaptive(end) : run.fixed(end);
}

// The same for a state of one tensor: f(t, y) -> dy/dt, shaped like y.
template <class T, class Function>
OdeSolution<Tensor<T>> solve_ode(const Function& f, const Tensor<T>& y, double begin, double end,
                                 const OdeOptions& options = {}) {
    const auto listed = [&f](double t, const std::vector<Tensor<T>>& state) {
        return std::vector<Tensor<T>>{f(t, state.front())};
    };
    auto found = solve_ode(listed, std::vector<Tensor<T>>{y}, begin, end, options);
    OdeSolution<Tensor<T>> result{std::move(found.y.front()), found.evaluations, found.steps, found.rejected};
    result.times = std::move(found.times);
    for (auto& state : found.path) result.path.push_back(std::move(state.front()));
    return result;
}

}  // namespace genmod::nn
