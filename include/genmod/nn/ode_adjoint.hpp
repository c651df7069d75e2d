// Gradients through the solution of an ordinary differential equation.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/nn/ode.hpp"
#include "genmod/nn/runge_kutta.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::nn {

// How gradients come back. adjoint: a second ODE, solved from the end to the beginning, gives them within its tolerance
// (Chen et al. 2018, "Neural ordinary differential equations", algorithm 1), in memory for one evaluation. direct: the
// steps of the solve, each computed again, give those of the numbers that it found, in memory for its states and one
// step.
enum class OdeGradient { adjoint, direct };

struct IntegrateOptions {
    OdeOptions ode = {};
    OdeGradient gradient = OdeGradient::adjoint;
    std::optional<OdeOptions> backward = {};  // of the adjoint's own solve; none: as `ode`
    // Whether the gradients of parameters have no say in the adjoint's steps, as nothing there depends on them (Kidger
    // et al. 2021, "Hey, that's not an ODE").
    bool seminorm = false;
};

namespace detail {

// The numbers of several tensors one after another.
template <class T>
Var<T> joined(const std::vector<Var<T>>& parts) {
    std::vector<Var<T>> rows;
    for (const Var<T>& part : parts) rows.push_back(ops::reshape(part, Shape{part.size()}));
    return rows.size() == 1 ? rows.front() : ops::concat(rows, 0);
}
template <class T>
Tensor<T> joined(const std::vector<Tensor<T>>& parts) {
    return joined(std::vector<Var<T>>(parts.begin(), parts.end())).value();
}

// And back to tensors of the shapes of `like`. The tensors of a tensor share its buffer.
template <class T, class Like>
std::vector<Tensor<T>> parted(const Tensor<T>& row, const std::vector<Like>& like) {
    std::vector<Tensor<T>> parts;
    Index first = 0;
    for (const Like& part : like) {
        parts.push_back(row.slice(first, first + part.size()).reshape(part.shape()));
        first += part.size();
    }
    return parts;
}
template <class T>
std::vector<Var<T>> parted(const Var<T>& row, const std::vector<Var<T>>& like) {
    std::vector<Var<T>> parts;
    Index first = 0;
    for (const Var<T>& part : like) {
        parts.push_back(ops::reshape(ops::slice(row, 0, first, first + part.size()), part.shape()));
        first += part.size();
    }
    return parts;
}

template <class T>
std::vector<Tensor<T>> values(const std::vector<Var<T>>& vars) {
    std::vector<Tensor<T>> result;
    for (const Var<T>& var : vars) result.push_back(var.value());
    return result;
}

template <class T>
std::vector<Var<T>> leaves(const std::vector<Tensor<T>>& tensors) {
    std::vector<Var<T>> result;
    for (const Tensor<T>& tensor : tensors) result.push_back(Var<T>::parameter(tensor));
    return result;
}

template <class T>
std::vector<Var<T>> together(std::vector<Var<T>> first, const std::vector<Var<T>>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

// y + h * sum of weights * slopes, as moved() computes it.
template <class T>
std::vector<Var<T>> moved(const std::vector<Var<T>>& y, double h, const std::vector<double>& weights,
                          const std::vector<std::vector<Var<T>>>& slopes) {
    if (weights.empty()) return y;
    std::vector<OdeState<T>> numbers;
    for (const auto& slope : slopes) numbers.push_back(values(slope));
    const OdeState<T> next = moved(values(y), h, weights, numbers);
    std::vector<Var<T>> result;
    for (std::size_t part = 0; part < y.size(); ++part) {
        Var<T> moved_part(next[part]);
        std::vector<Var<T>> inputs{y[part]};
        for (std::size_t j = 0; j < weights.size(); ++j) inputs.push_back(slopes[j][part]);
        moved_part.attach(inputs, [h, weights](const Tensor<T>& dy, Sinks<T>& sinks) {
            sinks.give(0, dy);
            for (std::size_t j = 0; j < weights.size(); ++j) {
                if (weights[j] == 0) continue;
                if (const auto sink = sinks[j + 1])
                    kernels::unary_backward(kernels::Unary::scale, dy.data(), dy.data(), sink.data, dy.size(),
                                            sink.mode, static_cast<T>(h * weights[j]));
            }
        });
        result.push_back(std::move(moved_part));
    }
    return result;
}

// Gradients of <end_grad, y(end)> with respect to y(begin) and the parameters, through the steps that were taken.
template <class T, class Field>
std::vector<Tensor<T>> direct_gradients(const Field& f, const std::vector<Var<T>>& parameters,
                                        const std::vector<double>& times, const std::vector<OdeState<T>>& path,
                                        OdeMethod method, Tensor<T> end_grad) {
    const WithGrad on;
    const ButcherTableau tableau = butcher_tableau(method);
    std::vector<Tensor<T>> sums;
    for (const Var<T>& parameter : parameters) sums.push_back(Tensor<T>::zeros(parameter.shape()));
    for (std::size_t step = path.size() - 1; step-- > 0;) {
        const double t = times[step], h = times[step + 1] - t;
        const std::vector<Var<T>> y = leaves(path[step]);
        std::vector<std::vector<Var<T>>> slopes;
        for (std::size_t i = 0; i < tableau.weights.size(); ++i)
            slopes.push_back(f(t + tableau.times[i] * h, moved(y, h, tableau.stages[i], slopes)));
        const auto grads = grad(joined(moved(y, h, tableau.weights, slopes)), together(y, parameters), end_grad);
        end_grad = joined(std::vector<Tensor<T>>(grads.begin(), grads.begin() + static_cast<Index>(y.size())));
        for (std::size_t k = 0; k < sums.size(); ++k)
            kernels::accumulate(grads[y.size() + k].data(), sums[k].data(), sums[k].size());
    }
    std::vector<Tensor<T>> result = parted(end_grad, path.front());
    result.insert(result.end(), sums.begin(), sums.end());
    return result;
}

// The same by the adjoint: with a the gradient of the state, dy/dt = f, da/dt = -a df/dy and the parameters'
// gradients dg/dt = -a df/dparameters, from end to begin.
template <class T, class Field>
std::vector<Tensor<T>> adjoint_gradients(const Field& f, const std::vector<Var<T>>& parameters, double begin,
                                         double end, const OdeState<T>& y, OdeOptions options,
                                         const Tensor<T>& end_grad) {
    const auto parts = static_cast<Index>(y.size());
    OdeState<T> state = y;
    for (const Tensor<T>& part : parted(end_grad, y)) state.push_back(part);
    for (const Var<T>& parameter : parameters) state.push_back(Tensor<T>::zeros(parameter.shape()));
    const auto slope = [&](double t, const OdeState<T>& now) {
        const WithGrad on;
        const std::vector<Var<T>> at = leaves(OdeState<T>(now.begin(), now.begin() + parts));
        const Tensor<T> cotangent = joined(OdeState<T>(now.begin() + parts, now.begin() + 2 * parts));
        Tensor<T> negative(cotangent.shape());
        kernels::unary(kernels::Unary::scale, cotangent.data(), negative.data(), negative.size(), T(-1));
        const std::vector<Var<T>> moving = f(t, at);
        OdeState<T> result = values(moving);
        for (Tensor<T>& part : grad(joined(moving), together(at, parameters), negative)) result.push_back(part);
        return result;
    };
    options.keep_path = false;
    state = solve_ode(slope, std::move(state), end, begin, options).y;
    return {state.begin() + parts, state.end()};
}

}  // namespace detail

// The solution of dy/dt = f from `begin` to `end`, as solve_ode() finds it, with gradients to the state at `begin` and
// to the parameters. f(t, y), with time and a list of Vars, gives one slope for each; it must give the same again when
// asked again, and depends on no Var but y and the parameters. f is copied; what it refers to must live until gradients
// were asked for. Throws what solve_ode() throws, also when gradients are asked for.
template <class T, class Field>
OdeSolution<std::vector<Var<T>>> integrate(const Field& f, const std::vector<Var<T>>& y,
                                           const std::vector<Var<T>>& parameters, double begin, double end,
                                           const IntegrateOptions& options = {}) {
    const std::vector<Var<T>> sources = detail::together(y, parameters);
    const bool record = recording(sources), direct = options.gradient == OdeGradient::direct;
    OdeOptions forward = options.ode;
    forward.keep_path = record && direct;
    auto found = [&] {
        const NoGrad off;
        const auto slope = [&f](double t, const detail::OdeState<T>& state) {
            return detail::values(f(t, std::vector<Var<T>>(state.begin(), state.end())));
        };
        return solve_ode(slope, detail::values(y), begin, end, forward);
    }();
    Var<T> row(detail::joined(found.y));
    if (record && direct)
        row.attach(sources, [f, parameters, times = found.times, path = found.path, method = forward.method](
                                const Tensor<T>& dy, Sinks<T>& sinks) {
            const auto grads = detail::direct_gradients(f, parameters, times, path, method, dy);
            for (std::size_t k = 0; k < grads.size(); ++k) sinks.give(k, grads[k]);
        });
    if (record && !direct) {
        OdeOptions backward = options.backward.value_or(options.ode);
        if (options.seminorm) backward.steering = 2 * static_cast<Index>(y.size());
        row.attach(sources,
                   [f, parameters, begin, end, last = found.y, backward](const Tensor<T>& dy, Sinks<T>& sinks) {
                       const auto grads = detail::adjoint_gradients(f, parameters, begin, end, last, backward, dy);
                       for (std::size_t k = 0; k < grads.size(); ++k) sinks.give(k, grads[k]);
                   });
    }
    return {detail::parted(row, y), found.evaluations, found.steps, found.rejected};
}

}  // namespace genmod::nn
