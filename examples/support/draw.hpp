// Pictures of chosen classes from a trained diffusion model.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "examples/support/model_file.hpp"
#include "examples/support/picture_file.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/guidance_schedule.hpp"
#include "genmod/diffusion/img2img.hpp"
#include "genmod/diffusion/inpaint.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler_names.hpp"
#include "genmod/diffusion/spacing.hpp"

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

namespace detail {

inline genmod::diffusion::GuidanceOptions guidance(const ModelConfig& config, const genmod::diffusion::Levels& levels,
                                                   const DrawOptions& options) {
    genmod::diffusion::GuidanceOptions result{
        .weight = options.cfg_scale,
        .rescale = options.cfg_rescale,
        .null_class = options.negative < 0 ? config.null_class() : options.negative};
    if (options.guidance_start > 0 || options.guidance_stop < 1)
        result.weight_at = genmod::diffusion::guidance_in_steps(levels, options.cfg_scale, options.guidance_start,
                                                                options.guidance_stop);
    return result;
}

// The sampler and the levels that the options name.
inline genmod::diffusion::NamedRun named_run(const ModelConfig& config, const DrawOptions& options) {
    auto run = genmod::diffusion::named_run(options.sampler, options.scheduler, config.schedule, options.steps,
                                            {.timestep_spacing = options.spacing});
    // eps from the clipped x0: where guidance drives x0 out of range, the steps would drift otherwise, more so when
    // there are many (the judge then sees the right class in 60 % of the pictures at 50 steps).
    if (auto* ddim = std::get_if<genmod::diffusion::Ddim>(&run.sampler.chosen))
        *ddim = {.eta = options.eta, .use_clipped_model_output = true};
    return run;
}

template <class Callback>
Tensor<float> draw_batch(const ModelConfig& config, const genmod::diffusion::Unet<float>& network,
                         const std::vector<Index>& labels, std::uint64_t seed, const DrawOptions& options,
                         Callback&& callback) {
    namespace diffusion = genmod::diffusion;
    const diffusion::NamedRun run = detail::named_run(config, options);
    const auto ask = [&network](const Tensor<float>& x, const Tensor<float>& t, const std::vector<Index>& classes) {
        return network(genmod::Var<float>(x), t, classes).value();
    };
    const auto predict =
        diffusion::denoiser(diffusion::classifier_free(ask, labels, guidance(config, run.levels, options)),
                            {.prediction_type = config.prediction_type});
    const auto count = static_cast<Index>(labels.size());
    const Index size = config.size();
    const diffusion::SampleOptions<float> noise{.shape = {count, size, size, config.unet.in_channels}, .seed = seed};
    if (options.init_image.empty()) return diffusion::sample(predict, run.sampler, run.levels, noise, callback);
    const Tensor<float> pictures = repeated(options.init_image, count);
    const auto start = diffusion::img2img(run.levels, pictures, options.strength, noise);
    if (options.mask.empty()) return diffusion::sample(predict, run.sampler, run.levels, start, callback);
    return diffusion::sample(predict, run.sampler, run.levels, start,
                             diffusion::in_turn(diffusion::inpaint(pictures, options.mask, noise), callback));
}

}  // namespace detail

// One picture for each label, [labels, h, w, c] in [-1, 1]; picture k has seed + k. `callback(step, total)` or
// callback(SampleStep&) is called after each step of each batch.
template <class Callback>
Tensor<float> draw(const ModelConfig& config, const genmod::diffusion::Unet<float>& network,
                   const std::vector<Index>& labels, std::uint64_t seed, const DrawOptions& options,
                   Callback&& callback) {
    const auto count = static_cast<Index>(labels.size());
    const Index size = config.size();
    Tensor<float> pictures({count, size, size, config.unet.in_channels});
    const Index numbers = pictures.size() / std::max<Index>(1, count);
    for (Index first = 0; first < count; first += options.batch) {
        const Index last = std::min(count, first + options.batch);
        const std::vector<Index> own(labels.begin() + first, labels.begin() + last);
        const Tensor<float> part =
            detail::draw_batch(config, network, own, seed + static_cast<std::uint64_t>(first), options, callback);
        std::copy(part.begin(), part.end(), pictures.data() + first * numbers);
    }
    return pictures;
}

}  // namespace examples
