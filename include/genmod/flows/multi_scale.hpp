// The multi-scale architecture: after each level half of the channels are done (Dinh et al. 2017, section 3.6), under
// a prior that the other half gives (Kingma and Dhariwal 2018).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// A normal distribution of z [n, h, w, c] whose mean and deviation come from context [n, h, w, in] by one convolution,
// which starts at zero: y = (z - mean) exp(-log_deviation).
template <class T>
struct SplitPrior : nn::Module {
    nn::Conv2d<T> conv;

    SplitPrior(Index in, Index channels, Rng& rng) : conv(in, 2 * channels, rng, {.padding = 1}) {
        conv.weight.value().fill(0);
        conv.bias.value().fill(0);
    }

    Transformed<T> forward(const Var<T>& z, const Var<T>& context) const {
        const Moments at = moments(z, context);
        const Var<T> scale = ops::exp(ops::negate(at.log_deviation));
        return {ops::mul(ops::sub(z, at.mean), scale), ops::negate(per_sample(at.log_deviation))};
    }
    Transformed<T> inverse(const Var<T>& y, const Var<T>& context) const {
        const Moments at = moments(y, context);
        return {ops::add(ops::mul(y, ops::exp(at.log_deviation)), at.mean), per_sample(at.log_deviation)};
    }

    static void visit(auto& self, auto&& f) { f("conv", self.conv); }

private:
    struct Moments {
        Var<T> mean, log_deviation;
    };
    Moments moments(const Var<T>& z, const Var<T>& context) const {
        const Var<T> both = conv(context);
        const Index c = z.dim(-1);
        check(both.dim(-1) == 2 * c, "split prior: ", both.shape(), " for ", z.shape());
        return {ops::slice(both, -1, 0, c), ops::slice(both, -1, c, 2 * c)};
    }
};

// One level: transforms that lead to samples of `shape` [h, w, c], of which, but in the last level, the second half of
// the channels is done, as it is or under a learned prior.
template <class T, class Step>
struct Level : nn::Module {
    Sequence<T, Step> steps;
    Shape shape;
    std::optional<SplitPrior<T>> prior;

    Level(Sequence<T, Step> transforms, const Shape& after) : steps(std::move(transforms)), shape(after) {
        check(after.rank() == 3, "multi-scale: a level ends with [h, w, c], found ", after);
    }

    Index going_on() const { return (shape.dim(2) + 1) / 2; }
    Index done() const { return shape.dim(2) / 2; }

    static void visit(auto& self, auto&& f) {
        f("", self.steps);
        f("prior", self.prior);
    }
};

// x [n, h, w, c] -> y [n, h w c]: what each level has done, one after the other.
template <class T, class Step>
struct MultiScale : nn::Module {
    std::vector<Level<T, Step>> levels;

    // Throws Error when there is no level.
    explicit MultiScale(std::vector<Level<T, Step>> list) : levels(std::move(list)) {
        check(!levels.empty(), "multi-scale: no levels");
    }

    Transformed<T> forward(const Var<T>& x) const {
        std::vector<Var<T>> parts;
        Var<T> h = x, log_det = no_log_det(x);
        for (std::size_t k = 0; k < levels.size(); ++k) {
            const Transformed<T> moved = through(levels[k], h);
            log_det = ops::add(log_det, moved.log_det);
            h = moved.y;
            if (k + 1 == levels.size()) break;
            const Transformed<T> out = finished(levels[k], h);
            parts.push_back(ops::flatten(out.y));
            log_det = ops::add(log_det, out.log_det);
            h = ops::slice(h, -1, 0, levels[k].going_on());
        }
        parts.push_back(ops::flatten(h));
        return {ops::concat(parts, 1), log_det};
    }

    Transformed<T> inverse(const Var<T>& y) const {
        const std::vector<Var<T>> parts = ops::split(y, sizes(), 1);
        const Shape& last = levels.back().shape;
        Var<T> h = ops::reshape(parts.back(), last.inserted(0, y.dim(0))), log_det = no_log_det(y);
        for (std::size_t k = levels.size(); k-- > 0;) {
            const Level<T, Step>& level = levels[k];
            if (k + 1 < levels.size()) {
                const Shape shape = level.shape.with(2, level.done()).inserted(0, y.dim(0));
                const Var<T> part = ops::reshape(parts[k], shape);
                const Transformed<T> out =
                    level.prior ? level.prior->inverse(part, h) : Transformed<T>{part, no_log_det(y)};
                log_det = ops::add(log_det, out.log_det);
                h = ops::concat({h, out.y}, -1);
            }
            const Transformed<T> moved = level.steps.inverse(h);
            log_det = ops::add(log_det, moved.log_det);
            h = moved.y;
        }
        return {h, log_det};
    }

    void initialize(const Tensor<T>& x) {
        const NoGrad off;
        Var<T> h(x);
        for (Level<T, Step>& level : levels) {
            level.steps.initialize(h.value());
            h = ops::slice(level.steps.forward(h).y, -1, 0, level.going_on());
        }
    }

    // Shows each transform and its input to f(name, transform, x).
    template <class F>
    void walk(const Var<T>& x, const std::string& path, F&& f) const {
        Var<T> h = x;
        for (std::size_t k = 0; k < levels.size(); ++k) {
            const std::string own = path + (path.empty() ? "" : ".") + "level" + std::to_string(k);
            levels[k].steps.walk(h, own, f);
            h = levels[k].steps.forward(h).y;
            if (k + 1 == levels.size()) return;
            const Var<T> context = ops::slice(h, -1, 0, levels[k].going_on());
            if (levels[k].prior)
                f(own + ".prior (split)", Given{*levels[k].prior, context},
                  ops::slice(h, -1, levels[k].going_on(), h.dim(-1)));
            h = context;
        }
    }

    static void visit(auto& self, auto&& f) { f("levels", self.levels); }

private:
    // A prior with its context.
    struct Given {
        const SplitPrior<T>& prior;
        Var<T> context;
        Transformed<T> forward(const Var<T>& z) const { return prior.forward(z, context); }
        Transformed<T> inverse(const Var<T>& y) const { return prior.inverse(y, context); }
    };

    static Transformed<T> through(const Level<T, Step>& level, const Var<T>& h) {
        const Transformed<T> moved = level.steps.forward(h);
        check(moved.y.shape() == level.shape.inserted(0, h.dim(0)), "multi-scale: a level made ", moved.y.shape(),
              " and should make samples ", level.shape);
        return moved;
    }
    static Transformed<T> finished(const Level<T, Step>& level, const Var<T>& h) {
        const Var<T> part = ops::slice(h, -1, level.going_on(), h.dim(-1));
        if (!level.prior) return {part, no_log_det(part)};
        return level.prior->forward(part, ops::slice(h, -1, 0, level.going_on()));
    }
    std::vector<Index> sizes() const {
        std::vector<Index> result;
        for (const Level<T, Step>& level : levels)
            result.push_back(level.shape.dim(0) * level.shape.dim(1) * level.done());
        const Shape& last = levels.back().shape;
        result.back() = last.size();
        return result;
    }
};

}  // namespace genmod::flows
