// The logit transform of bounded data (Dinh et al. 2017, section 4.1).
#pragma once

#include <cmath>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"

namespace genmod::flows {

// The defaults are for bytes in [-1, 1] made continuous by noise over a step of 1 / 127.5.
struct LogitOptions {
    double alpha = 1e-6;          // how far data stay away from 0 and 1
    double low = -1 - 1.0 / 255;  // least number of the data, which becomes alpha
    double high = 1 + 1.0 / 255;  // largest number of the data, which becomes 1 - alpha
};

// y = logit(p) with p = alpha + (1 - 2 alpha) (x - low) / (high - low). Numbers of x a little outside low..high are
// fine as long as 0 < p < 1.
template <class T>
struct Logit : nn::Module {
    static constexpr const char* name = "logit";
    LogitOptions options;

    // Throws Error unless 0 < alpha < 1/2 and low < high.
    explicit Logit(LogitOptions o = {}) : options(o) {
        check(o.alpha > 0 && o.alpha < 0.5 && o.low < o.high, "Logit: alpha ", o.alpha, " or bounds ", o.low, " and ",
              o.high, " are out of range");
    }

    Transformed<T> forward(const Var<T>& x) const {
        const Var<T> p = ops::add_scalar(ops::scale(x, slope()), options.alpha - slope() * options.low);
        const Var<T> rest = ops::add_scalar(ops::negate(p), 1);
        const Var<T> y = ops::sub(ops::log(p), ops::log(rest));
        return {y, log_det(y)};
    }
    Transformed<T> inverse(const Var<T>& y) const {
        const Var<T> p = ops::sigmoid(y);
        const Var<T> x = ops::add_scalar(ops::scale(p, 1 / slope()), options.low - options.alpha / slope());
        return {x, ops::negate(log_det(y))};
    }

    static void visit(auto&, auto&&) {}

private:
    double slope() const { return (1 - 2 * options.alpha) / (options.high - options.low); }
    // dy/dx = slope / (p (1 - p)), and -log p(y) (1 - p(y)) = softplus(y) + softplus(-y)
    Var<T> log_det(const Var<T>& y) const {
        const Var<T> above = ops::softplus(y), below = ops::softplus(ops::negate(y));
        return per_sample(ops::add_scalar(ops::add(above, below), std::log(slope())));
    }
};

}  // namespace genmod::flows
