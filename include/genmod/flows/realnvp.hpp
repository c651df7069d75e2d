// RealNVP (Dinh et al. 2017): affine couplings with alternating masks for points, the multi-scale model for images.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/flows/steps.hpp"

namespace genmod::flows {

struct RealNvpOptions {
    Index couplings = 8;
    nn::MlpOptions network = {};
    Normalisation normalisation = Normalisation::none;  // after each coupling
};

// A flow of points [n, dims], dims >= 2, whose couplings move the even and the odd coordinates by turns. Throws Error
// when the options are out of range.
template <class T>
PointFlow<T> real_nvp(Index dims, Rng& rng, const RealNvpOptions& options = {}) {
    check(dims >= 2 && options.couplings >= 1, "RealNVP: ", options.couplings, " couplings of ", dims, " numbers");
    std::vector<PointStep<T>> steps;
    for (Index k = 0; k < options.couplings; ++k) {
        const Mask mask = k % 2 == 0 ? Mask::odd : Mask::even;
        const Index moving = moved_channels(mask, dims);
        steps.emplace_back(Coupling<T, nn::Mlp<T>, Affine<T>>(
            zero_last(nn::Mlp<T>(kept_channels(mask, dims), 2 * moving, rng, options.network)),
            Affine<T>(moving, ScaleForm::exp_tanh), mask));
        detail::add_normalisation<PointStep<T>, T>(steps, options.normalisation, dims);
    }
    return {Sequence<T, PointStep<T>>(std::move(steps)), Shape{dims}};
}

struct ImageRealNvpOptions {
    Index halvings = 2;   // of height and width; each ends a level
    Index couplings = 3;  // of pixels and of channels each in a level; the last level has one more of pixels
    Index hidden = 64;    // channels of the networks, doubled at each halving
    Normalisation normalisation = Normalisation::batch_norm;
    std::optional<LogitOptions> logit = LogitOptions{};  // of bounded data
};

namespace detail {

template <class T>
void add_image_coupling(std::vector<ImageStep<T>>& steps, Mask mask, Index channels, Index hidden, ScaleForm form,
                        Rng& rng) {
    const Index moving = moved_channels(mask, channels);
    steps.emplace_back(Coupling<T, ConvNet<T>, Affine<T>>(
        ConvNet<T>(kept_channels(mask, channels), 2 * moving, hidden, rng), Affine<T>(moving, form), mask));
}

template <class T>
void add_image_couplings(std::vector<ImageStep<T>>& steps, Mask first, Index count, const Shape& shape, Index hidden,
                         Normalisation normalisation, Rng& rng) {
    for (Index k = 0; k < count; ++k) {
        add_image_coupling<T>(steps, k % 2 == 0 ? first : opposite(first), shape.dim(2), hidden, ScaleForm::exp_tanh,
                              rng);
        add_normalisation<ImageStep<T>, T>(steps, normalisation, shape.dim(2));
    }
}

// A shape [h, w, c] squeezed. Throws Error when h or w is odd.
inline Shape squeezed(const Shape& shape) {
    check(shape.rank() == 3 && shape.dim(0) % 2 == 0 && shape.dim(1) % 2 == 0, "flow: images ", shape,
          " cannot be halved");
    return {shape.dim(0) / 2, shape.dim(1) / 2, 4 * shape.dim(2)};
}

}  // namespace detail

// A flow of images [n, h, w, c] (section 4.1): in each level couplings of pixels, squeezing, couplings of channels,
// and half of the channels are done; at last couplings of pixels. Throws Error when the options are out of range.
template <class T>
ImageFlow<T> image_real_nvp(const Shape& image, Rng& rng, const ImageRealNvpOptions& options = {}) {
    check(image.rank() == 3 && options.couplings >= 1 && options.hidden >= 1 && options.halvings >= 0,
          "RealNVP: options are out of range for images ", image);
    std::vector<Level<T, ImageStep<T>>> levels;
    Shape shape = image;
    Index hidden = options.hidden;
    for (Index level = 0; level <= options.halvings; ++level, hidden *= 2) {
        const bool last = level == options.halvings;
        std::vector<ImageStep<T>> steps;
        detail::add_image_couplings<T>(steps, Mask::even_pixels, options.couplings + (last ? 1 : 0), shape, hidden,
                                       options.normalisation, rng);
        if (!last) {
            shape = detail::squeezed(shape);
            steps.emplace_back(Squeeze<T>());
            detail::add_image_couplings<T>(steps, Mask::second_half, options.couplings, shape, hidden,
                                           options.normalisation, rng);
        }
        levels.emplace_back(Sequence<T, ImageStep<T>>(std::move(steps)), shape);
        shape = shape.with(2, levels.back().going_on());
    }
    return detail::image_flow<T>(std::move(levels), image, options.logit ? &*options.logit : nullptr);
}

}  // namespace genmod::flows
