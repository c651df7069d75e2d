// Scores a model on Fashion-MNIST: does a judge see the class that was asked for, and how far are the pictures from
// real ones? Prints the tables of the README.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/draw.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/judge.hpp"
#include "examples/support/model_file.hpp"
#include "examples/support/run.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/metrics/frechet.hpp"
#include "genmod/metrics/precision_recall.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string model;
    std::string data = fashion_mnist;
    Index guided = 200;
    Index unguided = 0;
    Index ancestral = 0;
    Index epochs = 4;
    double cfg_scale = default_guidance;
    std::string sampler = "ddim";  // of the guided pictures
    Index steps = 50;
    Index compare = 0;
    std::vector<std::string> methods = {"ddim",        "euler_a", "Heun Karras", "lms", "dpm++2m", "DPM++ 2M Karras",
                                        "dpm++2m_sde", "unipc",   "deis",        "ddpm"};
    std::vector<Index> step_counts = {5, 10, 20, 50};
    std::uint64_t seed = 1000000;
};

struct Scored {
    Tensor<float> features;
    double agreement = 0;
    double seconds = 0;
};

std::vector<Index> labels_in_turn(Index count, Index classes) {
    std::vector<Index> labels;
    for (Index k = 0; k < count; ++k) labels.push_back(k % classes);
    return labels;
}

Scored score(const TrainedModel& model, const Judge& judge, Index count, std::uint64_t seed, const DrawOptions& options,
             const std::string& what) {
    const std::vector<Index> labels = labels_in_turn(count, model.config.null_class());
    const auto start = std::chrono::steady_clock::now();
    const Tensor<float> pictures = draw(model.config, model.network, labels, seed, options, shown(io::Progress(what)));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Verdicts verdicts = judge_all(judge, pictures);
    return {verdicts.features, agreement(verdicts.classes, labels), seconds};
}

Tensor<float> all_pictures(const Images& images, Index count) {
    std::vector<Index> indices;
    for (Index k = 0; k < std::min(count, images.size()); ++k) indices.push_back(k);
    return images.batch(indices);
}

double frechet(const Tensor<float>& a, const Tensor<float>& b) { return metrics::frechet_distance(a, b); }

void guided_table(const Options& o, const TrainedModel& model, const Judge& judge, const Verdicts& train,
                  const Verdicts& test, double test_accuracy) {
    const Scored guided = score(model, judge, o.guided, o.seed,
                                {.sampler = o.sampler, .steps = o.steps, .cfg_scale = o.cfg_scale}, "guided");
    const Index same = std::min(o.guided, test.features.dim(0));
    const auto real = metrics::precision_recall(test.features.slice(0, same), guided.features);
    std::printf("\n| %lld pictures, %s, %lld steps, guidance %.2g | |\n|---|---|\n", static_cast<long long>(o.guided),
                o.sampler.c_str(), static_cast<long long>(o.steps), o.cfg_scale);
    std::printf("| judge agrees with the class asked for | %.2f %% |\n", 100 * guided.agreement);
    std::printf("| judge's accuracy on real test pictures | %.2f %% |\n", 100 * test_accuracy);
    std::printf("| precision, recall (k-NN, against %lld test pictures) | %.3f, %.3f |\n", static_cast<long long>(same),
                real.precision, real.recall);
    std::printf("| Frechet distance to the training pictures | %.3f |\n", frechet(train.features, guided.features));
    std::printf("| seconds | %.1f |\n", guided.seconds);
    std::fflush(stdout);
}

void unguided_table(const Options& o, const TrainedModel& model, const Judge& judge, const Verdicts& train,
                    const Verdicts& test) {
    std::printf(
        "\n| unguided, class-conditional | pictures | Frechet distance | agreement | seconds "
        "|\n|---|---|---|---|---|\n");
    const Index few = std::min(std::max(o.unguided, o.ancestral), test.features.dim(0));
    std::printf("| real test pictures (the floor) | %lld | %.3f | | |\n", static_cast<long long>(few),
                frechet(train.features, test.features.slice(0, few)));
    const auto row = [&](const std::string& sampler, Index steps, Index count) {
        const std::string name = sampler + " " + std::to_string(steps);
        const Scored scored =
            score(model, judge, count, o.seed + 100000, {.sampler = sampler, .steps = steps, .cfg_scale = 1}, name);
        std::printf("| %s | %lld | %.3f | %.2f %% | %.1f |\n", name.c_str(), static_cast<long long>(count),
                    frechet(train.features, scored.features), 100 * scored.agreement, scored.seconds);
        std::fflush(stdout);
    };
    if (o.unguided > 0)
        for (const Index steps : {50, 20, 10}) row("ddim", steps, o.unguided);
    if (o.ancestral == 0) return;
    row("ddim", 50, o.ancestral);
    row("ddpm", model.config.schedule.num_train_timesteps, o.ancestral);
}

// Frechet distances of every method at every number of steps, and the seconds that the pictures took.
void methods_table(const Options& o, const TrainedModel& model, const Judge& judge, const Verdicts& train) {
    std::printf("\n| %lld pictures, unguided: Frechet distance (seconds) |", static_cast<long long>(o.compare));
    for (const Index steps : o.step_counts) std::printf(" %lld steps |", static_cast<long long>(steps));
    std::printf("\n|---|");
    for (std::size_t k = 0; k < o.step_counts.size(); ++k) std::printf("---|");
    for (const std::string& method : o.methods) {
        std::printf("\n| %s |", method.c_str());
        for (const Index steps : o.step_counts) {
            const Scored scored =
                score(model, judge, o.compare, o.seed + 200000, {.sampler = method, .steps = steps, .cfg_scale = 1},
                      method + " " + std::to_string(steps));
            std::printf(" %.2f (%.1f) |", frechet(train.features, scored.features), scored.seconds);
            std::fflush(stdout);
        }
    }
    std::printf("\n");
}

void run_program(const Options& o) {
    const TrainedModel model =
        load_model(o.model.empty() ? embedded_weights(Weights::diffusion) : io::Safetensors(o.model));
    const Images train_images = load_images(o.data), test_images = load_images(o.data, "t10k");
    const Judge judge = train_judge(train_images, o.epochs, 17);
    const Verdicts test = judge_all(judge, all_pictures(test_images, test_images.size()));
    const Verdicts train = judge_all(judge, all_pictures(train_images, train_images.size()));
    const double accuracy = agreement(test.classes, test_images.labels);
    std::printf("judge: %lld weights, test accuracy %.2f %%\n", static_cast<long long>(nn::count(judge)),
                100 * accuracy);
    if (o.guided > 0) guided_table(o, model, judge, train, test, accuracy);
    if (std::max(o.unguided, o.ancestral) > 0) unguided_table(o, model, judge, train, test);
    if (o.compare > 0) methods_table(o, model, judge, train);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Scores a Fashion-MNIST model with a judge that it trains first.", "score_samples");
    Options o;
    bool full = false;
    app.add_option("-m,--model", o.model, "Model file of train_diffusion (default: the one inside the program)");
    app.add_option("--data", o.data, "Folder with the IDX files")->capture_default_str();
    app.add_flag("--full", full,
                 "The README's tables: 2000 guided, 5000 unguided, 500 ancestral pictures (an hour and more)");
    app.add_option("--guided", o.guided, "Guided pictures, 0 for none")
        ->capture_default_str()
        ->check(CLI::Range(0, 1000000));
    app.add_option("--sampling-method", o.sampler, "Of the guided pictures")->capture_default_str();
    app.add_option("--steps", o.steps, "Of the guided pictures")->capture_default_str()->check(CLI::Range(1, 1000));
    app.add_option("--unguided", o.unguided, "Unguided pictures, 0 for none")->capture_default_str();
    app.add_option("--ancestral", o.ancestral, "Pictures by 1000 steps of DDPM, 0 for none")->capture_default_str();
    app.add_option("--compare", o.compare, "Pictures for each sampling method and number of steps, 0 for none")
        ->capture_default_str();
    app.add_option("--methods", o.methods, "Sampling methods to compare")->capture_default_str();
    app.add_option("--step-counts", o.step_counts, "Numbers of steps to compare them at")->capture_default_str();
    app.add_option("--cfg-scale", o.cfg_scale, "Guidance")->capture_default_str();
    app.add_option("--epochs", o.epochs, "Epochs of the judge's training")
        ->capture_default_str()
        ->check(CLI::Range(1, 100));
    return run(app, argc, argv, [&] {
        if (full) o.guided = 2000, o.unguided = 5000, o.ancestral = 500, o.compare = 1000;
        run_program(o);
        if (!full) std::printf("for the tables of the README: score_samples --full\n");
    });
}
