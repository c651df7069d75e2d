// DPM-Solver-12 and -23 with step sizes of their own choice (Lu et al. 2022; k-diffusion's dpm_adaptive).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sampler/ancestral.hpp"
#include "genmod/diffusion/sampler/dpm_step.hpp"
#include "genmod/diffusion/sampler/line.hpp"

namespace genmod::diffusion {

// A controller of step sizes that looks at the errors of the last three steps (Soderlind 2003).
struct StepController {
    double h = 0;
    std::array<double, 3> powers = {};
    double accept_safety = 0.81;
    std::array<double, 3> inverse_errors = {};  // the newest first; all 0 before the first step

    // Whether a step of this error, in units of what is allowed, will do. Sets the size to try next.
    bool accept(double error) {
        inverse_errors[0] = 1 / (error + 1e-8);
        if (inverse_errors[1] == 0) inverse_errors[1] = inverse_errors[2] = inverse_errors[0];
        double factor = 1;
        for (std::size_t k = 0; k < 3; ++k) factor *= std::pow(inverse_errors[k], powers[k]);
        factor = 1 + std::atan(factor - 1);
        h *= factor;
        if (!(factor >= accept_safety)) return false;
        inverse_errors[2] = inverse_errors[1];
        inverse_errors[1] = inverse_errors[0];
        return true;
    }
};

// Each step of the run, from at.from to at.to, is solved in as many parts as its errors ask for; adaptive_levels()
// makes one step of a whole run. A step to no noise gives x0. The sizes of the parts come from the root mean square
// error of the whole batch, so here a picture depends on the others of its batch (one picture at a time, it does not).
struct DpmAdaptive {
    Index order = 3;       // of the better answer: 2 or 3
    double rtol = 0.05;    // of the numbers of x at signal 1
    double atol = 0.0078;  // 1/128: half a step of an 8-bit picture in [-1, 1]
    double h_init = 0.05;  // in log(alpha / sigma)
    double pcoeff = 0;
    double icoeff = 1;
    double dcoeff = 0;
    double accept_safety = 0.81;
    double eta = 0;
    double s_noise = 1;

    // Counts over the run.
    template <class T>
    struct State {
        Index nfe = 0;  // questions to the network
        Index accepted = 0;
        Index rejected = 0;

        static void visit(auto& self, auto&& f) {
            f("nfe", self.nfe);
            f("accepted", self.accepted);
            f("rejected", self.rejected);
        }
    };

    // predict(x, level) -> Prediction. Throws Error when an option is out of its range, the step starts from pure noise
    // or from none, or the error is NaN or asks for steps below 1e-9; Error(stopped) at a stop request.
    template <class T, class Predict, class Noise>
    Tensor<T> step(const Predict& predict, const Tensor<T>& x, const Step& at, State<T>& state, Noise& noise) const {
        check(order == 2 || order == 3, "dpm adaptive: order ", order, " is not 2 or 3");
        check(rtol >= 0 && atol > 0 && h_init > 0 && accept_safety > 0, "dpm adaptive: rtol ", rtol, ", atol ", atol,
              ", h_init ", h_init, " and accept_safety ", accept_safety, " are not positive");
        if (at.to.sigma == 0) {
            ++state.nfe;
            return euler_step(x, ask<T>(predict, x, at.from).x0, at.from, at.to);
        }
        check_dpm_step(at);
        const Tensor<T> y = solve(predict, combine(1 / at.from.alpha, x, 0, x), at, state, noise);
        return combine(at.to.alpha, y, 0, y);
    }

private:
    StepController controller(double direction) const {
        const double exponent = eta > 0 ? 1.5 : static_cast<double>(order);
        return {.h = std::copysign(h_init, direction),
                .powers = {(pcoeff + icoeff + dcoeff) / exponent, -(pcoeff + 2 * dcoeff) / exponent, dcoeff / exponent},
                .accept_safety = accept_safety};
    }

    // From y = x / alpha at at.from to that at at.to.
    template <class T, class Predict, class Noise>
    Tensor<T> solve(const Predict& predict, Tensor<T> y, const Step& at, State<T>& state, Noise& noise) const {
        double lambda = half_log_snr(at.from);
        const double end = half_log_snr(at.to);
        StepController control = controller(end - lambda);
        State<T> count = state;  // kept as it was when a stop request ends this step
        Tensor<T> before = y;
        while (std::abs(end - lambda) > 1e-5) {
            DpmStep<T, Predict> from(predict, at, y, lambda);
            for (bool done = false; !done;) {
                if (stop_requested()) fail(ErrorCode::stopped, "dpm adaptive: stopped");
                const double next = std::abs(end - lambda) <= std::abs(control.h) ? end : lambda + control.h;
                const AncestralSplit split({1, std::exp(-lambda)}, {1, std::exp(-next)}, eta, std::exp(-end));
                const double target = eta > 0 ? half_log_snr(split.down) : next;
                DpmPair<T> answers = order == 2 ? from.first_and_second(target) : from.second_and_third(target);
                done = accept(control, answers, before);
                ++(done ? count.accepted : count.rejected);
                if (!done) continue;
                before = std::move(answers.low);
                y = eta > 0 ? split.renew(answers.high, s_noise, noise.template normals<T>(y.shape())) : answers.high;
                lambda = next;
            }
            count.nfe += from.asked();
        }
        state = count;
        return y;
    }

    template <class T>
    bool accept(StepController& control, const DpmPair<T>& answers, const Tensor<T>& before) const {
        double sum = 0;
        for (Index k = 0; k < before.size(); ++k) {
            const double low = static_cast<double>(answers.low[k]), high = static_cast<double>(answers.high[k]);
            const double size = std::max(std::abs(low), std::abs(static_cast<double>(before[k])));
            const double part = (low - high) / std::max(atol, rtol * size);
            sum += part * part;
        }
        const bool accepted = control.accept(std::sqrt(sum / static_cast<double>(before.size())));
        if (!(std::abs(control.h) > 1e-9))
            fail(ErrorCode::non_finite, "dpm adaptive: the error asks for a step of ", control.h,
                 " in log(alpha/sigma)");
        return accepted;
    }
};

// The way of DpmAdaptive: one step from the first level to the last one that has noise, and a step to no noise if that
// is where `way` ends. Throws Error when the way has no step between two noisy levels.
inline Levels adaptive_levels(const Levels& way) {
    check(!way.steps.empty(), "dpm adaptive: no levels");
    const LevelPair &first = way.steps.front(), &last = way.steps.back();
    Levels result = way;
    const NoiseLevel end = last.to.sigma > 0 ? last.to : last.from;
    check(last.to.sigma > 0 || way.steps.size() > 1, "dpm adaptive: no way between two noisy levels");
    result.steps = {{first.from, end}};
    if (last.to.sigma == 0) result.steps.push_back({end, last.to});
    return result;
}

}  // namespace genmod::diffusion
