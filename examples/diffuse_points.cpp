// A diffusion model of points in the plane: trains a small network on a toy set and draws data, samples, and the way.
#include <cstdio>
#include <string>
#include <vector>

#include "examples/support/plot.hpp"
#include "examples/support/run.hpp"
#include "genmod/genmod.hpp"

using namespace genmod;

namespace {

// eps(x, t): x, its sinusoids (with which a small network sees fine detail) and those of t go through an MLP.
struct PointNet : nn::Module {
    nn::Mlp<float> mlp;

    explicit PointNet(Rng& rng) : mlp(2 + 3 * 32, 2, rng, {.hidden = {128, 128, 128}}) {}

    Var<float> operator()(const Var<float>& x, const Tensor<float>& t) const {
        const auto waves = [&](Index axis) {
            const Tensor<float> coordinate = ops::slice(x, 1, axis, axis + 1).value().reshape({-1});
            return Var<float>(nn::sinusoid_embedding(coordinate, 32, {.max_period = 10, .scale = 4}));
        };
        const Var<float> time(nn::sinusoid_embedding(t, 32));
        return mlp(ops::concat<float>({x, waves(0), waves(1), time}, 1));
    }

    static void visit(auto& self, auto&& f) { f("mlp", self.mlp); }
};

Tensor<float> toy_points(const std::string& name, Index count, Rng& rng) {
    if (name == "moons") return examples::half_size(data::moons<float>(count, rng));
    if (name == "rings") return examples::half_size(data::rings<float>(count, rng));
    if (name == "checkerboard") return examples::half_size(data::checkerboard<float>(count, rng));
    if (name == "swiss_roll") return examples::half_size(data::swiss_roll<float>(count, rng));
    if (name == "spirals") return examples::half_size(data::spirals<float>(count, rng));
    return examples::half_size(data::eight_gaussians<float>(count, rng));
}

struct Options {
    std::string name = "moons";
    std::string objective = "ddpm";
    Index steps = 4000;
    std::string output = "points.png";
};

// Trains for an objective, and samples by DDIM on levels that belong to it.
template <class Objective>
void draw_points(const Options& options, const Objective& objective, const diffusion::Levels& levels,
                 diffusion::DenoiserOptions reading) {
    Rng rng(0);
    diffusion::Trainer<float, PointNet, Objective> trainer(
        PointNet(rng), objective, {.adam = {.lr = 2e-3}, .lr_factor = {.warmup = 50, .total = options.steps}});
    io::Progress progress("training on " + options.name);
    for (Index k = 0; k < options.steps && !stop_requested(); ++k) {
        trainer.step(toy_points(options.name, 512, rng));
        progress(k + 1, options.steps);
    }

    reading.clip_sample = false;
    const auto predict = diffusion::denoiser(
        [&](const Tensor<float>& x, const Tensor<float>& t) { return trainer.average()(Var<float>(x), t); }, reading);
    std::vector<Tensor<float>> pictures{examples::scatter(toy_points(options.name, 4000, rng))};
    const Tensor<float> points = diffusion::sample(predict, diffusion::Ddim{}, levels, {.shape = {4000, 2}, .seed = 1},
                                                   [&](diffusion::SampleStep<float>& step) {
                                                       if (step.step == 25 || step.step == 40)
                                                           pictures.push_back(examples::scatter(step.x));
                                                   });
    pictures.push_back(examples::scatter(points));
    Tensor<float> sheet({4, 256, 256, 1});
    for (Index k = 0; k < 4; ++k) sheet.slice(k, k + 1).assign(pictures[static_cast<std::size_t>(k)]);
    io::write_png(options.output, sheet, 4);
    std::printf("wrote %s: data, samples after 25, 40 and all 50 steps of DDIM\n", options.output.c_str());
    std::printf("try: diffuse_points checkerboard --steps 20000; next: train_diffusion, the same with pictures\n");
}

void run_program(const Options& options) {
    if (options.objective == "flow")
        return draw_points(options, diffusion::FlowMatching{}, diffusion::flow_levels(50),
                           {.prediction_type = diffusion::PredictionType::flow_prediction});
    if (options.objective == "edm")
        return draw_points(options, diffusion::Edm{.sigma_data = 1}, diffusion::edm_levels(50), {.sigma_data = 1});
    const diffusion::Schedule schedule({.beta_schedule = diffusion::BetaSchedule::squaredcos_cap_v2});
    draw_points(options, schedule, diffusion::ddim_levels(schedule, 50), {});
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("A diffusion model of points in the plane.", "diffuse_points");
    Options options;
    app.add_option("set", options.name, "The toy set")
        ->capture_default_str()
        ->check(CLI::IsMember({"moons", "rings", "checkerboard", "swiss_roll", "spirals", "eight_gaussians"}));
    app.add_option("--objective", options.objective, "What is trained: noise on a schedule, flow matching, or EDM")
        ->capture_default_str()
        ->check(CLI::IsMember({"ddpm", "flow", "edm"}));
    app.add_option("--steps", options.steps, "Training steps")->capture_default_str()->check(CLI::Range(1, 1 << 30));
    app.add_option("-o,--output", options.output, "PNG file to write")->capture_default_str();
    return examples::run(app, argc, argv, [&] { run_program(options); });
}
