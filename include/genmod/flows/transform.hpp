// What every part of a normalizing flow is: an invertible map that knows how it changes volume; and chains of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

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

// Sums of numbers [n, ...] over each sample: [n].
template <class T>
Var<T> per_sample(const Var<T>& numbers) {
    return ops::sum(ops::flatten(numbers), {1});
}

// factor times one number, for each of n samples: [n].
template <class T>
Var<T> for_each_sample(const Var<T>& number, Index n, double factor = 1) {
    return ops::broadcast_to(ops::reshape(ops::scale(number, factor), Shape{1}), Shape{n});
}

// How many times a transform of channels acts on one sample [h, w, c] of x [n, h, w, c]: the number of pixels.
inline double pixels(const Shape& x) {
    check(x.rank() >= 2, "flow: expected samples [n, ..., c], found shape ", x);
    return static_cast<double>(x.product(1, x.rank() - 1));
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
// f(name, transform, x) for each transform that is not made of others, and what comes to it of x.
template <class T, class Step, class F>
void walk(const Step& step, const Var<T>& x, const std::string& path, F&& f) {
    visit_step(step, [&](const auto& transform) {
        if constexpr (requires { transform.walk(x, path, f); })
            transform.walk(x, path, f);
        else if constexpr (requires { transform.name; })
            f(path + " (" + transform.name + ")", transform, x);
        else
            f(path, transform, x);
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

    // Shows each transform and its input to f(name, transform, x).
    template <class F>
    void walk(const Var<T>& x, const std::string& path, F&& f) const {
        Var<T> h = x;
        for (std::size_t k = 0; k < steps.size(); ++k) {
            detail::walk<T>(steps[k], h, path + (path.empty() ? "" : ".") + std::to_string(k), f);
            h = detail::forward<T>(steps[k], h, {}).y;
        }
    }

    static void visit(auto& self, auto&& f) { f("transforms", self.steps); }

private:
    static Transformed<T> join(const Var<T>& before, const Transformed<T>& now) {
        return {now.y, ops::add(before, now.log_det)};
    }
};

}  // namespace genmod::flows
