// Classifier guidance: trains a classifier of noisy pictures and lets its gradient steer a model that is told no class.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/judge.hpp"
#include "examples/support/model_file.hpp"
#include "examples/support/run.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/diffusion/classifier.hpp"
#include "genmod/diffusion/classifier_guidance.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/lr_schedule.hpp"

using namespace genmod;
using namespace examples;
using Classifier = diffusion::NoisyClassifier<float>;

namespace {

Classifier train_classifier(const Images& images, const diffusion::Schedule& schedule, Index steps) {
    Rng rng(1, Purpose::weights);
    Classifier classifier({.size = images.pixels.dim(1), .width = 16, .mults = {1, 2, 4}}, rng);
    optim::Adam<float> adam(classifier);
    const optim::CosineLr factor{.warmup = 20, .total = steps};
    const data::Batches batches(images.size(), 64, 1);
    io::Progress progress("training the guide");
    for (Index step = 0; step < steps; ++step) {
        if (stop_requested()) fail(ErrorCode::stopped, "stopped after step ", step);
        const auto indices = batches.indices(step);
        const diffusion::TrainingKey key{.seed = 1, .step = static_cast<std::uint64_t>(step)};
        backward(
            diffusion::classifier_loss(classifier, schedule, images.batch(indices), images.batch_labels(indices), key));
        adam.options.lr = 2e-3 * factor(step);
        adam.step();
        progress(step + 1, steps);
    }
    return classifier;
}

Tensor<float> draw_guided(const TrainedModel& model, const diffusion::Schedule& schedule, const Classifier& classifier,
                          const std::vector<Index>& labels, double scale) {
    const std::vector<Index> none(labels.size(), model.config.null_class());
    const auto predict = diffusion::denoiser(
        [&](const Tensor<float>& x, const Tensor<float>& t) { return model.network(Var<float>(x), t, none); },
        {.prediction_type = model.config.prediction_type});
    const auto guide = [&](const Var<float>& x, const Tensor<float>& t) { return classifier(x, t); };
    const Index size = model.config.size();
    // eps from the clipped x0: the steps drift otherwise where guidance drives x0 out of range.
    const diffusion::Ddim ddim{.eta = 1, .use_clipped_model_output = true};
    return diffusion::sample(
        diffusion::classifier_guided(predict, guide, labels, scale), ddim, diffusion::ddim_levels(schedule, 40),
        {.shape = {static_cast<Index>(labels.size()), size, size, 1}, .seed = 5}, io::Progress("sampling"));
}

void run_program(Index steps, double scale, const std::string& output) {
    const TrainedModel model = load_model(embedded_weights(Weights::diffusion));
    const diffusion::Schedule schedule(model.config.schedule);
    const Images images = load_images(fashion_mnist);
    const Classifier classifier = train_classifier(images, schedule, steps);
    // Another classifier, of other pictures, so that the guide does not judge itself.
    const Judge judge = train_judge(load_images(fashion_mnist, "t10k"), 3, 3);
    std::vector<Index> labels;
    for (Index k = 0; k < 60; ++k) labels.push_back(k / 6);
    const Tensor<float> free = draw_guided(model, schedule, classifier, labels, 0);
    const Tensor<float> guided = draw_guided(model, schedule, classifier, labels, scale);
    std::printf("the judge sees the wanted class in %.0f %% of the pictures without guidance, %.0f %% with scale %g\n",
                100 * agreement(judge_all(judge, free).classes, labels),
                100 * agreement(judge_all(judge, guided).classes, labels), scale);
    io::write_png(output, guided, 6);
    std::printf("wrote %s: a row for each class\nlonger: guide_classifier --steps 3000\n", output.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Classifier guidance on Fashion-MNIST.", "guide_classifier");
    Index steps = 300;
    double scale = 3;
    std::string output = "guided.png";
    app.add_option("--steps", steps, "Steps of the classifier's training")
        ->capture_default_str()
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--scale", scale, "Strength of the guidance")->capture_default_str()->check(CLI::Range(0.0, 1000.0));
    app.add_option("-o,--output", output, "PNG file to write")->capture_default_str();
    return run(app, argc, argv, [&] { run_program(steps, scale, output); });
}
