// Rows of the samplers by name: ten steps of 16 pictures with the U-Net of 1.9 million parameters, and the share of the
// time that is spent outside of the network.
#include <memory>

#include "benchmarks/families.hpp"
#include "benchmarks/timing.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler_names.hpp"
#include "genmod/diffusion/unet.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

struct Run {
    diffusion::Unet<float> unet;
    diffusion::NamedRun named;
    double whole = 0, network = 0;

    explicit Run(const std::string& sampler)
        : unet([] {
              Rng rng(1, Purpose::weights);
              return diffusion::Unet<float>(
                  {.size = 28, .channels = 1, .width = 32, .mults = {1, 2, 3}, .layers = 1, .attention = {14, 7}}, rng);
          }()),
          named(diffusion::named_run(sampler, "karras", {}, 10)) {}

    void operator()() {
        const double begin = seconds();
        const auto timed = [this](const Tensor<float>& x, const Tensor<float>& t) {
            const double start = seconds();
            Tensor<float> answer = unet(Var<float>(x), t).value();
            network += seconds() - start;
            return answer;
        };
        const auto predict = diffusion::denoiser(timed, {.prediction_type = diffusion::PredictionType::v_prediction});
        diffusion::sample(predict, named.sampler, named.levels, {.shape = {16, 28, 28, 1}, .seed = 1});
        whole += seconds() - begin;
    }
};

Work prepare(const std::string& sampler) {
    const auto run = std::make_shared<Run>(sampler);
    return {.run = [run] { (*run)(); },
            .parameters = nn::count(run->unet),
            .outside = [run] { return 1 - run->network / run->whole; }};
}

}  // namespace

std::vector<Family> sampler_families() { return {{"sampler", diffusion::sampler_names(), prepare}}; }

}  // namespace benchmarks
