// The convolutional VAE of torch_vae.py in genmod: same shapes, same threads. Prints best and median milliseconds.
//
// Run: OMP_PROC_BIND=true OMP_PLACES=cores vae_bench [threads]
#include <cstdio>
#include <cstdlib>

#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/vae/trainer.hpp"

using namespace genmod;
using namespace benchmarks;

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 1);
    Rng rng(0);
    vae::Trainer<float, vae::Vae<float>> trainer(vae::Vae<float>({}, rng), {});
    const Tensor<float> images = rng.uniforms<float>({128, 28, 28, 1}, -1, 1);
    std::printf("%s, %lld parameters\n", build_info().c_str(), static_cast<long long>(nn::count(trainer.model())));
    timed("VAE training step, batch 128", 20, [&] { trainer.step(images); });
    timed("VAE decode 1000", 10, [&] { trainer.model().sample(1000, 0); });
}
