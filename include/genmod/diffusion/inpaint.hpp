// Repainting a part of a picture, with any sampler.
#pragma once

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"

namespace genmod::diffusion {

// mask * painted + (1 - mask) * kept. The mask has the shape of the pictures, where the batch and the channels may be 1
// for all alike: [1, h, w, 1], say. Throws Error when shapes do not fit.
template <class T>
Tensor<T> blend(const Tensor<T>& mask, const Tensor<T>& painted, const Tensor<T>& kept) {
    const Shape &all = painted.shape(), &own = mask.shape();
    check(kept.shape() == all && all.rank() >= 2 && own.rank() == all.rank(), "mask: ", own, " for pictures ", all,
          " and ", kept.shape());
    const Index c = all.dim(-1), mask_n = own.dim(0), mask_c = own.dim(-1), size = all.product(1, all.rank());
    check((mask_n == 1 || mask_n == all.dim(0)) && (mask_c == 1 || mask_c == c) &&
              own.with(0, all.dim(0)).with(-1, c) == all,
          "mask: ", own, " does not fit pictures ", all);
    return zip(painted, kept, [=, values = mask.data()](T a, T b, Index k) {
        const Index pixel = (mask_n == 1 ? k % size : k) / c;
        const T m = values[mask_c == 1 ? pixel : pixel * c + k % c];
        return m * a + (T(1) - m) * b;
    });
}

// A callback of sample() that keeps the original where the mask is 0: after each step it puts the original there, with
// as much noise as x has now, and after the last one the original itself.
template <class T>
struct Inpaint {
    Tensor<T> original;  // [n, ..., c]
    Tensor<T> mask;      // see blend(); 1 is repainted
    Tensor<T> noise;     // standard normals of the original's shape, the same for all steps

    void operator()(SampleStep<T>& step) const {
        const NoiseLevel& now = step.level;
        const bool last = step.step == step.total;
        step.x = blend(mask, step.x, last ? original : combine(now.alpha, original, now.sigma, noise));
    }
};

// The callback for a run with these options; the noise is the one that it starts from. Throws Error when shapes do not
// fit or the mask leaves 0..1.
template <class T>
Inpaint<T> inpaint(const Tensor<T>& original, const Tensor<T>& mask, const SampleOptions<T>& options) {
    for (const T value : mask) check(value >= 0 && value <= 1, "mask: ", value, " is not in 0..1");
    blend(mask, original, original);
    const SeededNoise source(detail::seeds(options, original.dim(0)));
    return {original, mask, source.start<T>(original.shape())};
}

}  // namespace genmod::diffusion
