// Rows of the U-Net of 3.9 million parameters, on pictures of 28 x 28 x 1: a training step, a call of the network, and
// sampling in 50 steps of DDIM. The number is that of the pictures.
#include <memory>
#include <utility>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/nn/freeze.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

using Unet = diffusion::Unet<float>;

// Of products and convolutions for one picture (peers/count_gflop.py).
constexpr double gflop_forward = 0.823530496, gflop_step = 2.47381965;

Unet network() {
    Rng rng(0);
    return {{.size = 28, .channels = 1, .width = 32, .mults = {1, 2, 4}, .layers = 2, .attention = {7}}, rng};
}

std::shared_ptr<const Unet> frozen_network() {
    const auto unet = std::make_shared<Unet>(network());
    nn::freeze(*unet);
    return unet;
}

Work train(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto trainer = std::make_shared<diffusion::Trainer<float, Unet>>(
        network(), diffusion::Schedule(), diffusion::TrainerOptions{.adam = {.lr = 2e-4}});
    return {.run = [=, images = random({batch, 28, 28, 1})] { trainer->step(images); },
            .gflop = gflop_step * static_cast<double>(batch),
            .parameters = nn::count(trainer->model())};
}

Work forward(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto unet = frozen_network();
    const auto run = [=, images = random({batch, 28, 28, 1}), t = Tensor<float>::full({batch}, 500)] {
        const NoGrad off;
        (*unet)(Var<float>(images), t);
    };
    return {.run = run, .gflop = gflop_forward * static_cast<double>(batch)};
}

Work ddim(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto unet = frozen_network();
    const auto run = [=] {
        const auto predict = diffusion::denoiser(
            [&](const Tensor<float>& x, const Tensor<float>& t) { return (*unet)(Var<float>(x), t); });
        diffusion::sample(predict, diffusion::Ddim{}, diffusion::ddim_levels(diffusion::Schedule(), 50),
                          {.shape = {batch, 28, 28, 1}, .seed = 1});
    };
    return {.run = run, .gflop = 50 * gflop_forward * static_cast<double>(batch)};
}

}  // namespace

std::vector<Family> unet_families() {
    return {{"unet_train", {"64", "16", "4"}, train},
            {"unet_forward", {"64", "16", "4", "1"}, forward},
            {"unet_ddim", {"64"}, ddim}};
}

}  // namespace benchmarks
