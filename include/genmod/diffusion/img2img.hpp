// Starting from a picture instead of noise (SDEdit: Meng et al. 2022).
#pragma once

#include <algorithm>
#include <cstddef>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"

namespace genmod::diffusion {

// The step to begin with so that the part `strength` (0..1) of all steps is done: total - min(int(total * strength),
// total), diffusers' rule. Throws Error when none is left.
inline Index first_step(Index total, double strength) {
    check(strength >= 0 && strength <= 1, "img2img: strength ", strength, " is not in 0..1");
    const Index left = std::min(static_cast<Index>(static_cast<double>(total) * strength), total);
    check(left >= 1, "img2img: strength ", strength, " leaves none of ", total, " steps");
    return total - left;
}

// Options of sample() that start from pictures [n, ..., c] with the noise of that step's level; strength 1 starts at
// the first level. The noise is the source's, or that of the options' seeds. Throws Error as first_step() does.
template <class T, StartNoise Source>
SampleOptions<T> img2img(const Levels& levels, const Tensor<T>& pictures, double strength, Source& source,
                         SampleOptions<T> options = {}) {
    options.first = first_step(static_cast<Index>(levels.steps.size()), strength);
    const NoiseLevel& level = levels.steps[static_cast<std::size_t>(options.first)].from;
    options.start = combine(level.alpha, pictures, level.sigma, source.template start<T>(pictures.shape()));
    return options;
}
template <class T>
SampleOptions<T> img2img(const Levels& levels, const Tensor<T>& pictures, double strength,
                         const SampleOptions<T>& options = {}) {
    check(pictures.rank() >= 2, "img2img: expected a batch of pictures, found shape ", pictures.shape());
    const SeededNoise source(detail::seeds(options, pictures.dim(0)));
    return img2img(levels, pictures, strength, source, options);
}

}  // namespace genmod::diffusion
