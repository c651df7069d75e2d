// What every part of a normalizing flow is: an invertible map that knows how it changes volume; and chains of them.
#pragma once

#include <concepts>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"

namespace genmod::flows {

// The image of a batch under a map, and log |det dy/dx| of each sample, [batch].
template <class T>
struct Transformed {
    Var<T> y;
    Var<T> log_det;
};

// An invertible map of batches [n, ...]. forward() leads from data to noise; inverse() leads back, and its log_det is
// that of the inverse map. A transform whose start depends on data has initialize(const Tensor<T>& x), to be called
// once on a batch before training. A conditional one takes a context Var as second argument of all three.
template <class F, class T>
concept Transform = requires(const F& f, const Var<T>& x) {
    { f.forward(x) } -> std::same_as<Transformed<T>>;
    { f.inverse(x) } -> std::same_as<Transformed<T>>;
}
|| requires(const F& f, const Var<T>& x, const Var<T>& context) {
    { f.forward(x, context) } -> std::same_as<Transformed<T>>;
    { f.inverse(x, context) } -> std::same_as<Transformed<T>>;
};

// log_det of a map that keeps volumes: zeros [n].
template <class T>
Var<T> no_log_det(const Var<T>& x) {
    return Var<T>(Tensor<T>::zeros({x.dim(0)}));
}

namespace detail {

// f(transform) of a transform or of the one that a variant holds.
template <class Step, class F>
decltype(auto) visit_step(Step& step, F&& f) {
    if constexpr (nn::IsModule<Step>)
        return f(step);
    else
        return std::visit(f, step);
}

// The context goes to the transforms that take one.
template <class T, class Step>
Transformed<T> forward(const Step& step, const Var<T>& x, const Var<T>& context) {
    return visit_step(step, [&](const auto& transform) -> Transformed<T> {
        if constexpr (requires { transform.forward(x, context); })
            return transform.forward(x, context);
        else
            return transform.forward(x);
    });
}
template <class T, class Step>
Transformed<T> inverse(const Step& step, const Var<T>& y, const Var<T>& context) {
    return visit_step(step, [&](const auto& transform) -> Transformed<T> {
        if constexpr (requires { transform.inverse(y, context); })
            return transform.inverse(y, context);
        else
            return transform.inverse(y);
    });
}
template <class T, class Step>
void initialize(Step& step, const Tensor<T>& x, const Var<T>& context) {
    visit_step(step, [&](auto& transform) {
        if constexpr (requires { transform.initialize(x, context); })
            transform.initialize(x, context);
        else if constexpr (requires { transform.initialize(x); })
            transform.initialize(x);
    });
}

}  // namespace detail

// Transforms one after the other. Step is a transform, or a std::variant of transforms. An empty sequence is the
// identity.
template <class T, class Step>
struct Sequence : nn::Module {
    std::vector<Step> steps;

    Sequence() = default;
    explicit Sequence(std::vector<Step> list) : steps(std::move(list)) {}

    Transformed<T> forward(const Var<T>& x, const Var<T>& context = {}) const {
        Transformed<T> at{x, no_log_det(x)};
        for (const Step& step : steps) at = join(at.log_det, detail::forward<T>(step, at.y, context));
        return at;
    }
    Transformed<T> inverse(const Var<T>& y, const Var<T>& context = {}) const {
        Transformed<T> at{y, no_log_det(y)};
        for (auto step = steps.rbegin(); step != steps.rend(); ++step)
            at = join(at.log_det, detail::inverse<T>(*step, at.y, context));
        return at;
    }
    // Each transform starts from what those before make of x.
    void initialize(const Tensor<T>& x, const Var<T>& context = {}) {
        const NoGrad off;
        Var<T> h(x);
        for (Step& step : steps) {
            detail::initialize<T>(step, h.value(), context);
            h = detail::forward<T>(step, h, context).y;
        }
    }

    static void visit(auto& self, auto&& f) { f("transforms", self.steps); }

private:
    static Transformed<T> join(const Var<T>& before, const Transformed<T>& now) {
        return {now.y, ops::add(before, now.log_det)};
    }
};

}  // namespace genmod::flows
