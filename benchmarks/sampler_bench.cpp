// What a sampling run costs beside its network: for every sampler by name, the share of the time that is spent outside
// of the U-Net of 1.9 million parameters, 64 pictures of 28 x 28.
// Run as: OMP_PROC_BIND=true OMP_PLACES=cores sampler_bench [threads]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler_names.hpp"
#include "genmod/diffusion/unet.hpp"

using namespace genmod;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Cost {
    double whole = 0, network = 0;
    int calls = 0;
    double outside() const { return (whole - network) / whole; }
};

Cost cost_of(const std::string& name, const diffusion::Unet<float>& unet, Index pictures, Index steps) {
    Cost cost;
    const auto network = [&](const Tensor<float>& x, const Tensor<float>& t) {
        const double start = seconds();
        Tensor<float> answer = unet(Var<float>(x), t).value();
        cost.network += seconds() - start;
        ++cost.calls;
        return answer;
    };
    const auto run = diffusion::named_run(name, "karras", {}, steps);
    const auto predict = diffusion::denoiser(network, {.prediction_type = diffusion::PredictionType::v_prediction});
    const double start = seconds();
    diffusion::sample(predict, run.sampler, run.levels, {.shape = {pictures, 28, 28, 1}, .seed = 1});
    cost.whole = seconds() - start;
    return cost;
}

}  // namespace

int main(int argc, char** argv) {
    const Threads threads(argc > 1 ? std::atoi(argv[1]) : 2);
    Rng rng(1, Purpose::weights);
    const diffusion::Unet<float> unet(
        {.size = 28, .channels = 1, .width = 32, .mults = {1, 2, 3}, .layers = 1, .attention = {14, 7}}, rng);
    std::printf("%-18s %6s %10s %22s\n", "sampler", "calls", "ms a call", "outside of the network");
    for (const std::string& name : diffusion::sampler_names()) {
        Cost best = cost_of(name, unet, 64, 3);
        for (int round = 0; round < 3; ++round) {
            const Cost again = cost_of(name, unet, 64, 6);
            if (round == 0 || again.outside() < best.outside()) best = again;
        }
        std::printf("%-18s %6d %10.2f %20.2f %%\n", name.c_str(), best.calls, 1000 * best.network / best.calls,
                    100 * best.outside());
        std::fflush(stdout);
    }
}
