// Pictures of chosen classes from a trained diffusion model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/model_file.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/spacing.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/io/progress.hpp"

namespace examples {

using genmod::Tensor;

// What works well for the model that is shipped (score_samples --compare).
inline constexpr double default_guidance = 2.0;
inline constexpr const char* default_sampler = "dpm++2m_karras";

struct DrawOptions {
    std::string sampler = default_sampler;  // a name of named_run()
    std::string scheduler = {};             // of its levels; empty: the sampler's own
    Index steps = 20;
    double cfg_scale = default_guidance;  // 1: no guidance; 0: no class at all
    double cfg_rescale = 0;
    double eta = 0;  // of ddim
    genmod::diffusion::Spacing spacing = genmod::diffusion::Spacing::trailing;
    Index batch = 64;                              // pictures in the network at a time; does not change them
    Index negative = -1;                           // a class to be led away from; -1: none
    double guidance_start = 0, guidance_stop = 1;  // the part of the steps that are guided
    Tensor<float> init_image = {};                 // [1, h, w, c] to start from instead of noise
    double strength = 0.75;                        // the part of the steps that are done on init_image
    Tensor<float> mask = {};                       // [1, h, w, 1]: 1 is repainted, 0 keeps init_image
};

// Called after each step of each batch.
using AfterStep = std::function<void(genmod::diffusion::SampleStep<float>&)>;

// The progress line as such a call.
inline AfterStep shown(genmod::io::Progress progress) {
    return [progress = std::move(progress)](const genmod::diffusion::SampleStep<float>& step) mutable {
        progress(step.step, step.total);
    };
}

// One picture for each label, [labels, h, w, c] in [-1, 1]; picture k has seed + k.
Tensor<float> draw(const ModelConfig& config, const genmod::diffusion::Unet<float>& network,
                   const std::vector<Index>& labels, std::uint64_t seed, const DrawOptions& options,
                   const AfterStep& after_step);

}  // namespace examples
