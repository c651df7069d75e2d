// The affine map of a coupling layer: a scale and a shift for each number.
#pragma once

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// From a shift t and a number h of the network:
enum class ScaleForm {
    exp_tanh,      // y = x exp(factor tanh(h)) + t with one learned factor for each channel (RealNVP, section 4.1)
    sigmoid,       // y = (x + t) sigmoid(h + 2) (Glow's code)
    sigmoid_shift  // y = x (sigmoid(h + 2) + 0.001) + t (nflows)
};

// Parameters [..., 2 c] are the shifts, then the h of all channels; both 0 leave RealNVP's x as it is.
template <class T>
struct Affine : nn::Module {
    ScaleForm form;
    Var<T> factor;  // [c], of exp_tanh; otherwise empty

    // For `channels` moved ones.
    Affine(Index channels, ScaleForm scale_form) : form(scale_form) {
        check(channels >= 1, "Affine: ", channels, " channels");
        if (form == ScaleForm::exp_tanh) factor = nn::constant_parameter<T>({channels}, 1);
    }

    static constexpr Index parameters() { return 2; }

    // log_det holds the logarithm of each number's derivative. Throws Error when the shapes do not fit.
    Transformed<T> forward(const Var<T>& x, const Var<T>& numbers) const {
        const Var<T> t = part(x, numbers, 0), h = part(x, numbers, 1);
        const Scale s = scale(h);
        if (form == ScaleForm::sigmoid) return {ops::mul(ops::add(x, t), s.value), s.log};
        return {ops::add(ops::mul(x, s.value), t), s.log};
    }
    Transformed<T> inverse(const Var<T>& y, const Var<T>& numbers) const {
        const Var<T> t = part(y, numbers, 0), h = part(y, numbers, 1);
        const Scale s = scale(h);
        const Var<T> log = ops::negate(s.log);
        if (form == ScaleForm::sigmoid) return {ops::sub(ops::div(y, s.value), t), log};
        return {ops::div(ops::sub(y, t), s.value), log};
    }

    static void visit(auto& self, auto&& f) { f("factor", self.factor); }

private:
    struct Scale {
        Var<T> value, log;
    };

    static Var<T> part(const Var<T>& x, const Var<T>& numbers, Index which) {
        const Index c = x.dim(-1);
        check(numbers.shape() == x.shape().with(-1, 2 * c), "affine: parameters ", numbers.shape(), " for numbers ",
              x.shape());
        return ops::slice(numbers, -1, which * c, (which + 1) * c);
    }

    Scale scale(const Var<T>& h) const {
        if (form == ScaleForm::exp_tanh) {
            const Var<T> log = ops::mul(ops::tanh(h), factor);
            return {ops::exp(log), log};
        }
        const Var<T> shifted = ops::add_scalar(h, 2);
        if (form == ScaleForm::sigmoid)
            return {ops::sigmoid(shifted), ops::negate(ops::softplus(ops::negate(shifted)))};
        const Var<T> value = ops::add_scalar(ops::sigmoid(shifted), 1e-3);
        return {value, ops::log(value)};
    }
};

}  // namespace genmod::flows
