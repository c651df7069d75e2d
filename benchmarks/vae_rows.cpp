// Rows of the convolutional VAE of 243,465 parameters, on pictures of 28 x 28 x 1. The number is that of the pictures.
#include <memory>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/nn/freeze.hpp"
#include "genmod/vae/trainer.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

constexpr double gflop_decode = 0.003537408, gflop_step = 0.017009664;  // of one picture (peers/count_gflop.py)

vae::Vae<float> model() {
    Rng rng(0);
    return {{}, rng};
}

Work train(const std::string& sizes) {
    const Index batch = numbers(sizes, 1)[0];
    const auto trainer = std::make_shared<vae::Trainer<float, vae::Vae<float>>>(model(), vae::TrainerOptions{});
    return {.run = [=, images = random({batch, 28, 28, 1})] { trainer->step(images); },
            .gflop = gflop_step * static_cast<double>(batch),
            .parameters = nn::count(trainer->model())};
}

Work decode(const std::string& sizes) {
    const Index count = numbers(sizes, 1)[0];
    const auto vae = std::make_shared<vae::Vae<float>>(model());
    nn::freeze(*vae);
    return {.run = [=] { vae->sample(count, 0); }, .gflop = gflop_decode * static_cast<double>(count)};
}

}  // namespace

std::vector<Family> vae_families() { return {{"vae_train", {"128"}, train}, {"vae_decode", {"1000"}, decode}}; }

}  // namespace benchmarks
