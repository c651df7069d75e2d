// The U-Net of torch_unet.py in genmod: same shapes, same threads. Prints best and median milliseconds.
//
// Run: OMP_PROC_BIND=true OMP_PLACES=cores unet_bench [threads]
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "genmod/diffusion/unet.hpp"

using namespace genmod;
using namespace benchmarks;

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 2);
    Rng rng(0);
    const diffusion::Schedule schedule;
    diffusion::Trainer<float, diffusion::Unet<float>> trainer(
        diffusion::Unet<float>(
            {.size = 28, .channels = 1, .width = 32, .mults = {1, 2, 4}, .layers = 2, .attention = {7}}, rng),
        schedule, {.adam = {.lr = 2e-4}});
    const Tensor<float> images = rng.uniforms<float>({64, 28, 28, 1}, -1, 1);
    std::printf("%s, %lld parameters\n", build_info().c_str(), static_cast<long long>(nn::count(trainer.network())));

    timed("training step, batch 64", 7, [&] { trainer.step(images); });
    const auto& network = trainer.average();
    timed("forward, batch 64", 7, [&] {
        const NoGrad off;
        network(Var<float>(images), Tensor<float>::full({64}, 500));
    });
    const auto predict =
        diffusion::denoiser([&](const Tensor<float>& x, const Tensor<float>& t) { return network(Var<float>(x), t); });
    timed("DDIM 50 steps, 64 images", 2, [&] {
        diffusion::sample(predict, diffusion::Ddim{}, diffusion::ddim_levels(schedule, 50),
                          {.shape = {64, 28, 28, 1}, .seed = 1});
    });
}
