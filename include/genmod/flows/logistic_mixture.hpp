// The distribution function of a mixture of logistics as a map of numbers (Ho et al. 2019, "Flow++", section 3.2).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/ops/softmax.hpp"

namespace genmod::flows {

struct LogisticMixtureOptions {
    Index components = 8;
    double min_log_scale = -7;
};

namespace detail {

// y = logit F(x) for the distribution function F of a mixture of logistics, [n], and log dy/dx, [n].
template <class T>
struct MixtureLogit {
    Var<T> y, log_slope;
};

// The mixtures of n numbers, [n, components] each. Everything stays in logarithms: F near 0 and near 1 keep their
// digits.
template <class T>
struct LogisticMixtures {
    Var<T> log_weight, mean, log_scale;

    // x [n]
    MixtureLogit<T> operator()(const Var<T>& x) const {
        const Var<T> centred = ops::sub(ops::reshape(x, Shape{x.size(), 1}), mean);
        const Var<T> z = ops::mul(centred, ops::exp(ops::negate(log_scale)));
        const Var<T> soft = ops::softplus(z);  // log F = z - soft, log(1 - F) = -soft of each component
        const Var<T> above = ops::sub(log_weight, soft);
        const Var<T> below = ops::add(above, z);
        const Var<T> density = ops::sub(ops::sub(below, soft), log_scale);
        const Var<T> log_above = ops::logsumexp(above, 1);
        const Var<T> log_below = ops::logsumexp(below, 1);
        const Var<T> log_density = ops::logsumexp(density, 1);
        return {ops::sub(log_below, log_above), ops::sub(log_density, ops::add(log_below, log_above))};
    }

    LogisticMixtures detached() const { return {log_weight.detach(), mean.detach(), log_scale.detach()}; }
};

// Where one number's solution lies, and how far its last two steps went.
struct RootBracket {
    double low, high, step, step_before;
    bool found = false;
};

// Moves x on: to where a straight line leads if that is in the bracket and the steps shrink, else to its middle.
template <class T>
void narrow(RootBracket& bracket, T& x, double difference, double newton) {
    const auto at = static_cast<double>(x);
    (difference > 0 ? bracket.high : bracket.low) = at;
    double next = at - newton;
    const bool inside = next >= bracket.low && next <= bracket.high && std::abs(newton) <= 0.5 * bracket.step_before;
    if (!inside) next = bracket.low + 0.5 * (bracket.high - bracket.low);
    bracket.step_before = bracket.step;
    bracket.step = std::abs(next - at);
    x = static_cast<T>(next);
    const double tolerance = std::max(1e-12, 2.0 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    bracket.found = bracket.step <= tolerance * (1 + std::abs(next));
}

// The x [n] with logit F(x) = y: Newton's steps, held in a bracket by bisection. Each number is solved by itself,
// whatever the others do.
template <class T>
Tensor<T> invert_mixtures(const LogisticMixtures<T>& mixtures, const Tensor<T>& y) {
    const NoGrad off;
    const Index k = mixtures.mean.dim(1);
    // The component with logit F = y furthest to the left has less of its mass below there than the mixture.
    const Var<T> own = ops::add(mixtures.mean, ops::mul(ops::exp(mixtures.log_scale), Var<T>(y.reshape({-1, 1}))));
    std::vector<RootBracket> brackets;
    Tensor<T> x(y.shape());
    for (Index i = 0; i < y.size(); ++i) {
        const auto ends = std::minmax_element(own.data() + i * k, own.data() + (i + 1) * k);
        const auto low = static_cast<double>(*ends.first), high = static_cast<double>(*ends.second);
        brackets.push_back({low, high, high - low, high - low});
        x[i] = static_cast<T>(low + 0.5 * (high - low));
    }
    constexpr Index most = 200;
    bool all = false;
    for (Index iteration = 0; iteration < most && !all; ++iteration) {
        const MixtureLogit<T> at = mixtures(Var<T>(x.clone()));
        const Var<T> difference = ops::sub(at.y, Var<T>(y));
        const Var<T> newton = ops::mul(difference, ops::exp(ops::negate(at.log_slope)));
        all = true;
        for (Index i = 0; i < y.size(); ++i) {
            RootBracket& bracket = brackets[static_cast<std::size_t>(i)];
            if (!bracket.found)
                narrow(bracket, x[i], static_cast<double>(difference.value()[i]),
                       static_cast<double>(newton.value()[i]));
            all = all && bracket.found;
        }
    }
    return x;
}

}  // namespace detail

// y = logit(F(x)) exp(tanh a) + b with the mixture's distribution function F (equations 9 to 11; 32 components in the
// paper). Parameters [..., (2 + 3 components) c]: of each number a, b, the logits of the weights, the means and the
// logarithms of the scales; zeros mean the identity.
template <class T>
struct LogisticMixture : nn::Module {
    LogisticMixtureOptions options;

    // Throws Error unless there is a component.
    explicit LogisticMixture(LogisticMixtureOptions o = {}) : options(o) {
        check(o.components >= 1, "LogisticMixture: ", o.components, " components");
    }

    Index parameters() const { return 2 + 3 * options.components; }

    // log_det holds the logarithm of each number's derivative. Throws Error when the shapes do not fit.
    Transformed<T> forward(const Var<T>& x, const Var<T>& numbers) const {
        const Read read = read_parameters(x, numbers);
        const auto at = read.mixtures(ops::reshape(x, Shape{x.size()}));
        const Var<T> y = ops::add(ops::mul(at.y, ops::exp(read.log_factor)), read.shift);
        const Var<T> log = ops::add(at.log_slope, read.log_factor);
        return {ops::reshape(y, x.shape()), ops::reshape(log, x.shape())};
    }

    // As exact as T allows, or to 1e-12. Gradients are those of the solution (implicit function theorem), by one more
    // step of Newton's.
    Transformed<T> inverse(const Var<T>& y, const Var<T>& numbers) const {
        const Read read = read_parameters(y, numbers);
        const Var<T> centred = ops::sub(ops::reshape(y, Shape{y.size()}), read.shift);
        const Var<T> wanted = ops::mul(centred, ops::exp(ops::negate(read.log_factor)));
        Var<T> x(detail::invert_mixtures(read.mixtures.detached(), wanted.value()));
        if (recording(y, numbers)) {
            const auto near = read.mixtures(x);
            const Var<T> slope = ops::exp(ops::negate(near.log_slope.detach()));
            x = ops::add(x, ops::mul(ops::sub(wanted, near.y), slope));
        }
        const Var<T> log = ops::negate(ops::add(read.mixtures(x).log_slope, read.log_factor));
        return {ops::reshape(x, y.shape()), ops::reshape(log, y.shape())};
    }

    static void visit(auto&, auto&&) {}

private:
    struct Read {
        Var<T> log_factor, shift;  // [n]
        detail::LogisticMixtures<T> mixtures;
    };

    Read read_parameters(const Var<T>& x, const Var<T>& numbers) const {
        const Index k = options.components, n = x.size();
        check(numbers.shape() == x.shape().with(-1, x.dim(-1) * parameters()), "logistic mixture: parameters ",
              numbers.shape(), " for numbers ", x.shape());
        const Var<T> rows = ops::reshape(numbers, Shape{n, parameters()});
        const auto parts = ops::split(rows, {1, 1, k, k, k}, 1);
        const Var<T> log_scale = ops::clamp(parts[4], options.min_log_scale, std::numeric_limits<T>::max());
        return {ops::tanh(ops::reshape(parts[0], Shape{n})),
                ops::reshape(parts[1], Shape{n}),
                {ops::log_softmax(parts[2]), parts[3], log_scale}};
    }
};

}  // namespace genmod::flows
