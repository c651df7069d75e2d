// Exponential integrators, the ground of the multistep and single-step solvers: one step of the linear part is exact,
// and what the network says is integrated along lambda = log(alpha / sigma) (Lu et al. 2022, DPM-Solver,
// proposition 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise_level.hpp"
#include "genmod/diffusion/prediction.hpp"

namespace genmod::diffusion {

// What a solver integrates: the clean picture (DPM-Solver++) or the noise (DPM-Solver).
enum class Integrand { x0, eps };

// phi_0(z) = e^z, phi_k(z) = (phi_{k-1}(z) - 1/(k-1)!) / z, or the integral of e^{(1-s) z} s^{k-1} / (k-1)! over s in
// 0..1 (Hochbruck and Ostermann 2010, eq. 2.10). k >= 1.
inline double phi(int k, double z) {
    double term = 1;
    for (int j = 2; j <= k; ++j) term /= j;
    if (std::abs(z) < 1) {  // its power series, where the recurrence would cancel
        double sum = term;
        for (int n = 1; n <= 20; ++n) sum += term *= z / (k + n);
        return sum;
    }
    double value = std::expm1(z) / z, inverse_factorial = 1;
    for (int j = 2; j <= k; ++j) {
        value = (value - inverse_factorial) / z;
        inverse_factorial /= j;
    }
    return value;
}

// A step x' = x_weight x + front z (phi_1(z) m + phi_2(z) D_1 + phi_3(z) D_2 + ...) + noise_std * normals, where m is
// the answer at the beginning and D_k is h^k times its k-th derivative with respect to lambda there. `eta` is the share
// of the reverse SDE: 0 is the ODE, 1 the SDE of the forward process (tau^2 of SA-Solver, Xue et al. 2023, eq. 11).
struct ExponentialStep {
    double h = 0;  // lambda' - lambda; infinite from pure noise
    double z = 0;
    double x_weight = 0;
    double front = 0;
    double noise_std = 0;

    // Throws Error when `from` has no noise or `to` no signal, when eps is integrated from pure noise, and when eta > 0
    // and the step does not go down.
    ExponentialStep(Integrand integrand, const NoiseLevel& from, const NoiseLevel& to, double eta = 0) {
        check(from.sigma > 0 && from.alpha >= 0 && to.alpha > 0 && to.sigma > 0, "solver: no step from (alpha ",
              from.alpha, ", sigma ", from.sigma, ") to (alpha ", to.alpha, ", sigma ", to.sigma, ")");
        check(eta >= 0 && std::isfinite(eta), "solver: eta ", eta, " is not a number from 0 on");
        h = half_log_snr(to) - half_log_snr(from);
        check(eta == 0 || h >= 0, "solver: noise (eta ", eta, ") on a step to more noise, from t ", from.t, " to t ",
              to.t);
        if (integrand == Integrand::x0) {
            z = -(1 + eta) * h;
            x_weight = to.sigma / from.sigma * (eta == 0 ? 1 : std::exp(-eta * h));
            front = -to.alpha;
            noise_std = eta == 0 ? 0 : to.sigma * std::sqrt(-std::expm1(-2 * eta * h));
        } else {
            check(from.alpha > 0, "solver: noise cannot be integrated from pure noise (alpha 0); use the x0 form (++)");
            z = h;
            x_weight = to.alpha / from.alpha;
            front = -(1 + eta) * to.sigma;
            noise_std = eta == 0 ? 0 : to.sigma * std::sqrt(eta * std::expm1(2 * h));
        }
    }

    // The weight of D_k, where D_0 = m.
    double weight(int k) const { return k == 0 ? front * std::expm1(z) : front * z * phi(k + 1, z); }
};

// The weights w_j that integrate e^{(1-s) z} times the polynomial through the answers at s = nodes[j] over s in 0..1:
// Adams-Bashforth weights of an exponential integrator, or Adams-Moulton ones when s = 1 is among the nodes.
inline std::vector<double> adams_weights(double z, const std::vector<double>& nodes) {
    std::vector<double> weights;
    for (std::size_t j = 0; j < nodes.size(); ++j) {
        std::vector<double> polynomial{1};  // 1 at nodes[j], 0 at the others; lowest power first
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            if (i == j) continue;
            const double scale = 1 / (nodes[j] - nodes[i]);
            polynomial.push_back(0);
            for (std::size_t k = polynomial.size(); k-- > 0;)
                polynomial[k] = scale * ((k > 0 ? polynomial[k - 1] : 0) - nodes[i] * polynomial[k]);
        }
        double sum = 0, factorial = 1;
        for (std::size_t k = 0; k < polynomial.size(); ++k) {
            factorial *= k == 0 ? 1 : static_cast<double>(k);
            sum += polynomial[k] * factorial * phi(static_cast<int>(k) + 1, z);
        }
        weights.push_back(sum);
    }
    return weights;
}

// The weights in a step of answers that lie at `nodes` (s = 0 first), exact for a polynomial through them.
inline std::vector<double> answer_weights(const ExponentialStep& move, const std::vector<double>& nodes) {
    if (nodes.size() == 1) return {move.weight(0)};
    std::vector<double> weights = adams_weights(move.z, nodes);
    for (double& weight : weights) weight *= move.front * move.z;
    return weights;
}

// The weights in a step of the answers at s = 0 and s = `place`, when their slope D_1 weighs `slope`. Throws Error when
// the slope is infinite, which some weights are on a step from pure noise.
inline std::vector<double> slope_weights(const ExponentialStep& move, double slope, double place) {
    check(std::isfinite(slope), "solver: this method cannot correct a step from pure noise (alpha 0)");
    return {move.weight(0) - slope / place, slope / place};
}

// The network's last answers and the levels where it gave them, newest first.
template <class T>
struct AnswerHistory {
    std::vector<Tensor<T>> answers;
    std::vector<NoiseLevel> levels;

    // Where answer k was given. Throws Error when there is none, as this and sum() do for a state that was damaged.
    const NoiseLevel& level(Index k) const {
        const auto place = static_cast<std::size_t>(k);
        check(place < answers.size() && place < levels.size(), "solver: the state has no answer ", k);
        return levels[place];
    }

    // Remembers at most `keep` answers.
    void push(Tensor<T> answer, const NoiseLevel& at, Index keep) {
        answers.insert(answers.begin(), std::move(answer));
        levels.insert(levels.begin(), at);
        const auto count = std::min(answers.size(), static_cast<std::size_t>(keep));
        answers.resize(count);
        levels.resize(count);
    }

    // Where the last answers lie on a step of length h that begins at the newest one: at 0, and below 0 for the older
    // ones. At most `order` of them, and as many as lie behind one another at finite distances: one after a start, a
    // turn, or a level of pure noise.
    std::vector<double> nodes(double h, Index order) const {
        std::vector<double> places{0};
        const double begin = half_log_snr(level(0));
        for (Index k = 1; k < std::min(order, static_cast<Index>(answers.size())); ++k) {
            const double place = (half_log_snr(level(k)) - begin) / h;
            if (!(place < places.back()) || !std::isfinite(place)) break;
            places.push_back(place);
        }
        return places;
    }

    // weight * x + the sum of weights[k] * answers[k].
    Tensor<T> sum(double weight, const Tensor<T>& x, const std::vector<double>& weights) const {
        check(!weights.empty() && weights.size() <= answers.size(), "solver: the state has ", answers.size(),
              " answers, expected ", weights.size());
        Tensor<T> result = combine(weight, x, weights[0], answers[0]);
        for (std::size_t k = 1; k < weights.size(); ++k) result = combine(1, result, weights[k], answers[k]);
        return result;
    }

    static void visit(auto& self, auto&& f) {
        f("answers", self.answers);
        f("levels", self.levels);
    }
};

// What the solver integrates, of a prediction for x. The noise is that of the clipped x0.
template <class T>
Tensor<T> answer_of(const Prediction<T>& said, Integrand integrand, const Tensor<T>& x, const NoiseLevel& at) {
    return integrand == Integrand::x0 ? said.x0 : eps_from_x0(x, said.x0, at);
}

// The end of every run: a step to no noise gives the predicted picture itself.
template <class T>
Tensor<T> clean(const Prediction<T>& said, const NoiseLevel& to) {
    return combine(to.alpha, said.x0, 0, said.x0);
}

// The order for a step in a run that should end gently: at most the steps left, this one included.
inline Index order_near_end(Index order, const Step& at) { return std::min(order, at.total - at.index); }

}  // namespace genmod::diffusion
