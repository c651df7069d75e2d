// The shipped U-Net, frozen, draws the same pictures, and in bf16 pictures that cannot be told apart.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/nn/freeze.hpp"

#include "examples/support/model_file.hpp"
#include "tests/support/catch.hpp"

namespace freeze_unet_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

examples::TrainedModel shipped() {
    return examples::load_model(
        io::Safetensors(std::string(GENMOD_SOURCE_DIR) + "/examples/weights/fashion_mnist.safetensors"));
}

// One picture of each class in ten steps, guided as sample_images does by default.
Tensor<float> pictures(const examples::TrainedModel& model) {
    const std::vector<Index> labels{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const auto ask = [&](const Tensor<float>& x, const Tensor<float>& t, const std::vector<Index>& classes) {
        return model.network(Var<float>(x), t, classes).value();
    };
    const auto guided = classifier_free(ask, labels, {.weight = 2, .null_class = model.config.null_class()});
    return sample(denoiser(guided, {.prediction_type = model.config.prediction_type}),
                  Ddim{.use_clipped_model_output = true}, ddim_levels(Schedule(model.config.schedule), 10),
                  SampleOptions<float>{.shape = {10, 28, 28, 1}, .seed = 42});
}

// Peak signal-to-noise ratio in dB of pictures in -1..1.
double psnr(const Tensor<float>& a, const Tensor<float>& b) {
    double squares = 0;
    for (Index k = 0; k < a.size(); ++k) squares += std::pow(static_cast<double>(a[k]) - static_cast<double>(b[k]), 2);
    return 10 * std::log10(4 * static_cast<double>(a.size()) / squares);
}

}  // namespace

TEST_CASE("a frozen U-Net draws the same bits, and pictures of 35 dB in bf16") {
    examples::TrainedModel model = shipped();
    const Tensor<float> before = pictures(model);
    nn::freeze(model.network);
    const Tensor<float> frozen = pictures(model);
    REQUIRE(std::equal(frozen.begin(), frozen.end(), before.begin(), before.end()));
    for (const Precision precision : {Precision::bf16, Precision::bf16_tiles}) {
        nn::freeze(model.network, precision);
        const double ratio = psnr(pictures(model), before);
        WARN((precision == Precision::bf16 ? "pictures in bf16: " : "pictures in bf16_tiles: ") << ratio << " dB");
        REQUIRE(ratio > 35);
    }
}

}  // namespace freeze_unet_test
