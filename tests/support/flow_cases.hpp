// Every kind of transform with random weights, for tests that hold for all of them.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "genmod/core/rng.hpp"
#include "genmod/flows/steps.hpp"
#include "genmod/kernels/linalg.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::test {

// Adds normals of the given deviation to every trained number; running moments become random ones.
template <class Module>
void randomise(Module& module, Rng& rng, double deviation = 0.3) {
    nn::for_each_leaf(module, [&]<class Leaf>(const std::string& key, Leaf& leaf) {
        if constexpr (requires { leaf.requires_grad(); }) {
            const double own = key == "weight" ? deviation / 3 : deviation;  // a matrix stays well conditioned
            for (auto& number : leaf.value())
                number += static_cast<std::remove_reference_t<decltype(number)>>(own * rng.normal());
        } else if (key.ends_with("running_mean")) {
            for (auto& number : leaf) number = static_cast<typename Leaf::value_type>(rng.normal());
        } else if (key.ends_with("running_var")) {
            for (auto& number : leaf) number = static_cast<typename Leaf::value_type>(0.3 + rng.uniform());
        }
    });
}

template <class T>
auto point_coupling(Rng& rng, flows::Mask mask, Index dims, auto element) {
    nn::Mlp<T> network(flows::kept_channels(mask, dims), flows::moved_channels(mask, dims) * element.parameters(), rng,
                       {.hidden = {8}, .activation = nn::Activation::tanh});
    return flows::Coupling<T, nn::Mlp<T>, decltype(element)>(std::move(network), std::move(element), mask);
}

template <class T>
auto image_coupling(Rng& rng, flows::Mask mask, Index channels, flows::ScaleForm form) {
    const Index moving = flows::moved_channels(mask, channels);
    flows::ConvNet<T> network(flows::kept_channels(mask, channels), 2 * moving, 4, rng);
    return flows::Coupling<T, flows::ConvNet<T>, flows::Affine<T>>(std::move(network), flows::Affine<T>(moving, form),
                                                                   mask);
}

// Calls check(name, make, shape) for each kind: make(rng) gives a transform of samples of this shape, of at most 16
// numbers.
template <class T>
void for_each_transform(auto&& check) {
    using namespace flows;
    const auto affine = [&](const char* name, Mask mask, Index dims, ScaleForm form) {
        check(
            name,
            [=](Rng& rng) { return point_coupling<T>(rng, mask, dims, Affine<T>(moved_channels(mask, dims), form)); },
            Shape{dims});
    };
    affine("RealNVP coupling, even", Mask::even, 2, ScaleForm::exp_tanh);
    affine("RealNVP coupling, odd of five", Mask::odd, 5, ScaleForm::exp_tanh);
    affine("RealNVP coupling, even of five", Mask::even, 5, ScaleForm::exp_tanh);
    affine("Glow coupling, first half", Mask::first_half, 5, ScaleForm::sigmoid);
    affine("nflows coupling, second half", Mask::second_half, 4, ScaleForm::sigmoid_shift);
    const auto image = [&](const char* name, Mask mask, ScaleForm form, const Shape& shape) {
        check(
            name, [=](Rng& rng) { return image_coupling<T>(rng, mask, shape.dim(2), form); }, shape);
    };
    image("coupling of channels", Mask::second_half, ScaleForm::sigmoid, {2, 2, 4});
    image("coupling of even pixels", Mask::even_pixels, ScaleForm::exp_tanh, {3, 4, 1});
    image("coupling of odd pixels", Mask::odd_pixels, ScaleForm::exp_tanh, {4, 2, 2});
    check(
        "spline coupling",
        [](Rng& rng) { return point_coupling<T>(rng, Mask::odd, 3, Spline<T>({.bins = 5, .bound = 2})); }, Shape{3});
    check(
        "actnorm of points", [](Rng&) { return ActNorm<T>(3); }, Shape{3});
    check(
        "actnorm of images", [](Rng&) { return ActNorm<T>(2); }, Shape{2, 3, 2});
    check(
        "batch norm", [](Rng&) { return BatchNorm<T>(3); }, Shape{2, 2, 3});
    check(
        "1x1 convolution, full", [](Rng& rng) { return InvConv1x1<T>(4, rng, MatrixForm::full); }, Shape{2, 2, 4});
    check(
        "1x1 convolution, LU", [](Rng& rng) { return InvConv1x1<T>(4, rng, MatrixForm::lu); }, Shape{2, 2, 4});
    check(
        "squeeze", [](Rng&) { return Squeeze<T>(); }, Shape{4, 2, 2});
    check(
        "logit", [](Rng&) { return Logit<T>({.low = -10, .high = 10}); }, Shape{5});
}

// log |det| of the Jacobian of a transform at one sample x [1, ...], by central differences.
template <class Transform>
double numeric_log_det(const Transform& transform, const Tensor<double>& x, double step = 1e-5) {
    const NoGrad off;
    const Index d = x.size();
    Tensor<double> jacobian({d, d});
    for (Index k = 0; k < d; ++k) {
        Tensor<double> above = x.clone(), below = x.clone();
        above[k] += step;
        below[k] -= step;
        const Tensor<double> up = transform.forward(Var<double>(above)).y.value();
        const Tensor<double> down = transform.forward(Var<double>(below)).y.value();
        for (Index i = 0; i < d; ++i) jacobian[i * d + k] = (up[i] - down[i]) / (2 * step);
    }
    double result = HUGE_VAL;
    kernels::invert<double>(d, jacobian.data(), nullptr, &result);
    return result;
}

}  // namespace genmod::test
