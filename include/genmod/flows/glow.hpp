// Glow (Kingma and Dhariwal 2018).
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/flows/steps.hpp"

namespace genmod::flows {

struct GlowOptions {
    Index levels = 2;   // L: halvings of height and width
    Index steps = 8;    // K, in each level
    Index hidden = 64;  // channels of the networks
    MatrixForm matrix = MatrixForm::lu;
    bool learned_prior = true;                           // of what a level has done
    std::optional<LogitOptions> logit = LogitOptions{};  // of bounded data
};

// Adds one step of flow: actnorm, invertible 1x1 convolution, affine coupling (figure 2a).
template <class T>
void add_glow_step(std::vector<ImageStep<T>>& steps, Index channels, Index hidden, MatrixForm matrix, Rng& rng) {
    steps.emplace_back(ActNorm<T>(channels));
    steps.emplace_back(InvConv1x1<T>(channels, rng, matrix));
    detail::add_image_coupling<T>(steps, Mask::second_half, channels, hidden, ScaleForm::sigmoid, rng);
}

// A flow of images [n, h, w, c], to be initialized() (figure 2b). An actnorm at the end is the learned prior of the
// last level. Throws Error when the options are out of range.
template <class T>
ImageFlow<T> glow(const Shape& image, Rng& rng, const GlowOptions& options = {}) {
    check(image.rank() == 3 && options.levels >= 1 && options.steps >= 1 && options.hidden >= 1,
          "Glow: options are out of range for images ", image);
    std::vector<Level<T, ImageStep<T>>> levels;
    Shape shape = image;
    for (Index level = 0; level < options.levels; ++level) {
        shape = detail::squeezed(shape);
        const bool last = level + 1 == options.levels;
        std::vector<ImageStep<T>> steps;
        steps.emplace_back(Squeeze<T>());
        for (Index k = 0; k < options.steps; ++k)
            add_glow_step<T>(steps, shape.dim(2), options.hidden, options.matrix, rng);
        if (last && options.learned_prior) steps.emplace_back(ActNorm<T>(shape.dim(2)));
        levels.emplace_back(Sequence<T, ImageStep<T>>(std::move(steps)), shape);
        if (last) break;
        Level<T, ImageStep<T>>& made = levels.back();
        if (options.learned_prior) made.prior.emplace(made.going_on(), made.done(), rng);
        shape = shape.with(2, made.going_on());
    }
    return detail::image_flow<T>(std::move(levels), image, options.logit ? &*options.logit : nullptr);
}

}  // namespace genmod::flows
