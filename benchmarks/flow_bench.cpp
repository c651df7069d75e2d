// The RealNVP and the Glow of torch_flow.py in genmod: same shapes, same threads. Prints best and median milliseconds.
//
// Run: OMP_PROC_BIND=true OMP_PLACES=cores flow_bench [threads]
#include <cstdio>
#include <cstdlib>

#include "benchmarks/timing.hpp"
#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/flows/glow.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/flows/trainer.hpp"

using namespace genmod;
using namespace benchmarks;

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 1);
    Rng rng(0);
    std::printf("%s\n", build_info().c_str());
    flows::Trainer<float, flows::PointFlow<float>> points(flows::real_nvp<float>(2, rng), {});
    const Tensor<float> batch = rng.normals<float>({512, 2});
    timed("RealNVP training step, 512 points", 30, [&] { points.step(batch); });
    timed("RealNVP 100000 samples", 3, [&] {
        for (std::uint64_t first = 0; first < 100000; first += 4000) points.model().sample(4000, first);
    });

    flows::Trainer<float, flows::ImageFlow<float>> images(
        flows::glow<float>({28, 28, 1}, rng, {.levels = 2, .steps = 8, .hidden = 64}), {});
    const Tensor<float> pictures = rng.uniforms<float>({32, 28, 28, 1}, -1, 1);
    images.initialize(pictures);
    timed("Glow training step, 32 pictures", 5, [&] { images.step(pictures); });
    timed("Glow 32 samples", 5, [&] { images.model().sample(32, 0); });
}
