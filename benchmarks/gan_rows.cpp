// Rows of the DCGAN on pictures of 28 x 28 x 1: a training step of both networks, plain and with the gradient penalty
// of WGAN-GP, and drawing. The number is that of the pictures.
#include <memory>
#include <utility>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/gan/trainer.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

constexpr double gflop_step = 0.160776448, gflop_drawing = 0.014500864;  // of one picture (peers/count_gflop.py)

using Trainer = gan::Trainer<float, gan::Generator<float>, gan::Discriminator<float>>;

Work train(const std::string& sizes, const gan::DcganConfig& config, const gan::TrainerOptions& options,
           double gflop = 0) {
    const Index batch = numbers(sizes, 1)[0];
    Rng rng(0);
    gan::Generator<float> generator(config, rng);
    gan::Discriminator<float> discriminator(config, rng);
    const auto trainer =
        std::make_shared<Trainer>(std::move(generator), std::move(discriminator), config.latent, options);
    return {.run = [=, images = random({batch, 28, 28, 1})] { trainer->step(images); },
            .gflop = gflop * static_cast<double>(batch),
            .parameters = nn::count(trainer->generator()) + nn::count(trainer->discriminator())};
}

Work train_dcgan(const std::string& sizes) { return train(sizes, {}, {}, gflop_step); }

Work train_wgan(const std::string& sizes) {
    gan::DcganConfig config;
    config.norm = gan::Norm::layer;
    return train(sizes, config, {.loss = gan::LossKind::wasserstein, .gradient_penalty = 10});
}

Work draw(const std::string& sizes) {
    const Index count = numbers(sizes, 1)[0];
    Rng rng(0);
    const auto generator = std::make_shared<gan::Generator<float>>(gan::DcganConfig{}, rng);
    return {.run = [=] { generator->sample(count, 0); },
            .gflop = gflop_drawing * static_cast<double>(count),
            .parameters = nn::count(*generator)};
}

}  // namespace

std::vector<Family> gan_families() {
    return {{"gan_train", {"64"}, train_dcgan}, {"wgan_train", {"64"}, train_wgan}, {"gan_draw", {"1000"}, draw}};
}

}  // namespace benchmarks
