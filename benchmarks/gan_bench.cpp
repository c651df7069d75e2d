// The DCGAN of torch_gan.py in genmod: same shapes, same threads. Prints best and median milliseconds.
//
// Run: OMP_PROC_BIND=true OMP_PLACES=cores gan_bench [threads]
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/gan/trainer.hpp"

using namespace genmod;
using namespace benchmarks;

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 1);
    Rng rng(0);
    const gan::DcganConfig plain;
    gan::DcganConfig critic;
    critic.norm = gan::Norm::layer;
    using Trainer = gan::Trainer<float, gan::Generator<float>, gan::Discriminator<float>>;
    const auto trainer = [&](const gan::DcganConfig& config, const gan::TrainerOptions& options) {
        gan::Generator<float> generator(config, rng);
        return Trainer(std::move(generator), gan::Discriminator<float>(config, rng), config.latent, options);
    };
    Trainer dcgan = trainer(plain, {});
    Trainer penalised = trainer(critic, {.loss = gan::LossKind::wasserstein, .gradient_penalty = 10});
    const Tensor<float> images = rng.uniforms<float>({64, 28, 28, 1}, -1, 1);
    std::printf("%s, %lld + %lld parameters\n", build_info().c_str(),
                static_cast<long long>(nn::count(dcgan.generator())),
                static_cast<long long>(nn::count(dcgan.discriminator())));
    timed("DCGAN training step, batch 64", 10, [&] { dcgan.step(images); });
    timed("WGAN-GP training step, batch 64", 10, [&] { penalised.step(images); });
    timed("DCGAN draw 1000", 5, [&] { dcgan.average().sample(1000, 0); });
}
