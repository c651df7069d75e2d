// Whether the parts of a flow keep what they promise: each is measured on the samples that come to it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::flows {

// What may differ: numbers of samples, in parts of max(1, |x|), and log-determinants, in nats.
template <class T>
struct AuditOptions {
    double inverse_tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;
    double log_det_tolerance = std::is_same_v<T, float> ? 1e-3 : 1e-6;
};

// The largest errors of one transform.
struct LayerAudit {
    std::string name;            // where it is and what it is: "level0.3 (coupling)"
    double inverse = 0;          // of inverse(forward(x)) against x
    double log_det = 0;          // of forward's log_det against the dense Jacobian's
    double inverse_log_det = 0;  // of the sum of the two log_dets against 0
    bool ok = true;
};

struct Audit {
    std::vector<LayerAudit> layers;

    bool ok() const {
        return std::all_of(layers.begin(), layers.end(), [](const LayerAudit& layer) { return layer.ok; });
    }
    // One line for each layer that fails, or for all.
    std::string text(bool all = false) const {
        std::string lines;
        for (const LayerAudit& layer : layers) {
            if (layer.ok && !all) continue;
            char errors[120];
            std::snprintf(errors, sizeof errors,
                          ": inverse off by %.2g, log_det by %.2g, log_det of the inverse by %.2g\n", layer.inverse,
                          layer.log_det, layer.inverse_log_det);
            lines += layer.name + (layer.ok ? "" : " FAILS") + errors;
        }
        return lines;
    }
};

namespace detail {

// |a - b|, infinite for NaN.
inline double audit_difference(double a, double b) {
    const double difference = std::abs(a - b);
    return is_finite(difference) ? difference : HUGE_VAL;
}

// The dense Jacobians [n, d, d] of transform.forward at x [n, ...], in double.
template <class T, class F>
Tensor<double> jacobians(const F& transform, const Tensor<T>& x) {
    const WithGrad on;
    const auto leaf = Var<T>::parameter(x.clone());
    const Var<T> y = transform.forward(leaf).y;
    const Index n = x.dim(0), d = x.size() / n;
    check(y.size() == x.size(), "audit: ", x.shape(), " became ", y.shape());
    Tensor<double> result({n, d, d});
    for (Index row = 0; row < d; ++row) {
        auto dy = Tensor<T>::zeros(y.shape());
        for (Index k = 0; k < n; ++k) dy[k * d + row] = 1;
        const Tensor<T> found = grad(y, {leaf}, dy).front();
        for (Index k = 0; k < n * d; ++k) result[(k / d * d + row) * d + k % d] = static_cast<double>(found[k]);
    }
    return result;
}

template <class T, class F>
LayerAudit audit_layer(const std::string& name, const F& transform, const Tensor<T>& x,
                       const AuditOptions<T>& options) {
    LayerAudit result{.name = name};
    const Tensor<double> dense = jacobians<T>(transform, x);
    const NoGrad off;
    const Transformed<T> there = transform.forward(Var<T>(x)), back = transform.inverse(there.y);
    check(back.y.shape() == x.shape(), "audit: ", name, " brought ", x.shape(), " back as ", back.y.shape());
    for (Index k = 0; k < x.size(); ++k) {
        const auto was = static_cast<double>(x[k]), is = static_cast<double>(back.y.value()[k]);
        result.inverse = std::max(result.inverse, audit_difference(is, was) / std::max(1.0, std::abs(was)));
    }
    const Index d = dense.dim(1);
    for (Index k = 0; k < x.dim(0); ++k) {
        double exact = HUGE_VAL;
        kernels::invert<double>(d, dense.data() + k * d * d, nullptr, &exact);
        const auto said = static_cast<double>(there.log_det.value()[k]);
        const auto inverse_said = static_cast<double>(back.log_det.value()[k]);
        result.log_det = std::max(result.log_det, audit_difference(said, exact));
        result.inverse_log_det = std::max(result.inverse_log_det, audit_difference(said, -inverse_said));
    }
    result.ok = result.inverse <= options.inverse_tolerance && result.log_det <= options.log_det_tolerance &&
                result.inverse_log_det <= options.log_det_tolerance;
    return result;
}

}  // namespace detail

// Measures each transform of a flow's transform on x [n, ...] and what becomes of it. The Jacobian of a sample of d
// numbers takes d backward passes and d^2 numbers, so this is for small samples; double tells errors of formulas from
// those of rounding. Throws Error when shapes do not fit.
template <class T, class F>
Audit audit(const F& transform, const Tensor<T>& x, const AuditOptions<T>& options = {}) {
    Audit result;
    detail::walk<T>(transform, Var<T>(x), "", [&](const std::string& name, const auto& layer, const Var<T>& input) {
        result.layers.push_back(detail::audit_layer<T>(name, layer, input.value(), options));
    });
    return result;
}

}  // namespace genmod::flows
