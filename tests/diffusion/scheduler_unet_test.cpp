// Whole loops of diffusers' schedulers with a small real U-Net, configuration and weights as diffusers saved them.
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/scheduler_config_file.hpp"
#include "genmod/diffusion/scheduler_plan.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/nn/state.hpp"
#include "tests/support/golden.hpp"

namespace scheduler_unet_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

Unet<float> network() {
    const std::string folder = "unet/unconditional/";
    Rng rng(1);
    Unet<float> net(read_unet_config(io::Config::load(Golden::path(folder + "config.json"))).config, rng);
    nn::load(net, Golden::path(folder + "diffusion_pytorch_model.safetensors"));
    return net;
}

}  // namespace

TEST_CASE("a U-Net sampled by diffusers' configurations gives diffusers' pictures at every step") {
    const Golden golden("diffusion/configs/unet.safetensors");
    const Unet<float> net = network();
    const auto start = golden.read<float>("start"), draws = golden.raw<float>("noise");
    GivenNoise<float> noise{.steps = {}, .draws = 2};
    for (Index k = 0; k < draws.dim(0); ++k)
        noise.steps.push_back(
            draws.slice(k, k + 1).reshape(start.shape()));  // one channel: the axes' order is no matter
    const std::string path = Golden::path("diffusion/configs/unet.json");
    const io::Json file = io::parse_json(io::read_text_file(path), path);
    for (const io::Json& json : file.items) {
        const io::Config one(json, "unet");
        const std::string name = one.object("config").text("_class_name");
        const auto config = read_scheduler_config(one.object("config")).config;
        const SchedulerPlan plan = scheduler_plan(config, {.steps = one.integer("steps")});
        const auto expected = golden.raw<double>(name);
        const auto predict = denoiser([&](const auto& x, const auto& t) { return net(x, t); }, plan.denoiser);
        const auto compare = [&](SampleStep<float>& step) {
            const double scale = is_euler_family(config.scheduler) ? 1 / step.level.alpha : 1;
            const auto x = expected.slice(step.step - 1, step.step).reshape(start.shape());
            test::require_close(name + " step " + std::to_string(step.step), combine(scale, step.x, 0, step.x), x,
                                test::peak(x, 1), 1e-5);
        };
        AnySampler::State<float> state;
        run_sampler(predict, plan.sampler, plan.levels, combine(plan.levels.start_scale, start, 0, start), noise, state,
                    0, compare);
    }
}

}  // namespace scheduler_unet_test
