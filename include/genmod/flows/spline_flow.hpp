// Neural spline flows of points: rational-quadratic couplings with alternating masks (Durkan et al. 2019).
#pragma once

#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/flows/steps.hpp"

namespace genmod::flows {

struct SplineFlowOptions {
    Index couplings = 4;
    nn::MlpOptions network = {};
    SplineOptions spline = {};
    bool linear = true;  // an invertible matrix before each coupling
};

// A flow of points [n, dims], dims >= 2: after an actnorm, which brings the data into the splines' interval, couplings
// that move the even and the odd coordinates by turns. Throws Error when the options are out of range.
template <class T>
PointFlow<T> spline_flow(Index dims, Rng& rng, const SplineFlowOptions& options = {}) {
    check(dims >= 2 && options.couplings >= 1, "spline flow: ", options.couplings, " couplings of ", dims, " numbers");
    std::vector<PointStep<T>> steps;
    steps.emplace_back(ActNorm<T>(dims));
    for (Index k = 0; k < options.couplings; ++k) {
        const Mask mask = k % 2 == 0 ? Mask::odd : Mask::even;
        Spline<T> spline(options.spline);
        const Index numbers = spline.parameters() * moved_channels(mask, dims);
        if (options.linear) steps.emplace_back(InvConv1x1<T>(dims, rng));
        steps.emplace_back(Coupling<T, nn::Mlp<T>, Spline<T>>(
            zero_last(nn::Mlp<T>(kept_channels(mask, dims), numbers, rng, options.network)), std::move(spline), mask));
    }
    return {Sequence<T, PointStep<T>>(std::move(steps)), Shape{dims}};
}

}  // namespace genmod::flows
