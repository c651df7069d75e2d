// What flows of points and of images are made of.
#pragma once

#include <utility>
#include <variant>
#include <vector>

#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/actnorm.hpp"
#include "genmod/flows/affine.hpp"
#include "genmod/flows/batch_norm.hpp"
#include "genmod/flows/conditioner.hpp"
#include "genmod/flows/coupling.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/flows/inv_conv1x1.hpp"
#include "genmod/flows/logit.hpp"
#include "genmod/flows/multi_scale.hpp"
#include "genmod/flows/spline.hpp"
#include "genmod/flows/squeeze.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/mlp.hpp"

namespace genmod::flows {

// Points [n, d].
template <class T>
using PointStep = std::variant<Coupling<T, nn::Mlp<T>, Affine<T>>, Coupling<T, nn::Mlp<T>, Spline<T>>, ActNorm<T>,
                               BatchNorm<T>, InvConv1x1<T>>;
template <class T>
using PointFlow = Flow<T, Sequence<T, PointStep<T>>>;

// Images [n, h, w, c].
template <class T>
using ImageStep = std::variant<Coupling<T, ConvNet<T>, Affine<T>>, Squeeze<T>, ActNorm<T>, BatchNorm<T>, InvConv1x1<T>>;
template <class T>
using ImageFlow = Flow<T, Sequence<T, std::variant<Logit<T>, MultiScale<T, ImageStep<T>>>>>;

// What stands beside the couplings.
enum class Normalisation { none, actnorm, batch_norm };

namespace detail {

template <class Step, class T>
void add_normalisation(std::vector<Step>& steps, Normalisation kind, Index channels) {
    if (kind == Normalisation::actnorm) steps.emplace_back(ActNorm<T>(channels));
    if (kind == Normalisation::batch_norm) steps.emplace_back(BatchNorm<T>(channels));
}

// A flow of images with its levels, which leave latents of one axis.
template <class T>
ImageFlow<T> image_flow(std::vector<Level<T, ImageStep<T>>> levels, const Shape& image, const LogitOptions* logit) {
    std::vector<std::variant<Logit<T>, MultiScale<T, ImageStep<T>>>> steps;
    if (logit != nullptr) steps.emplace_back(Logit<T>(*logit));
    steps.emplace_back(MultiScale<T, ImageStep<T>>(std::move(levels)));
    return {Sequence<T, std::variant<Logit<T>, MultiScale<T, ImageStep<T>>>>(std::move(steps)), Shape{image.size()}};
}

}  // namespace detail

}  // namespace genmod::flows
