// Trains a class-conditional diffusion model on pictures and writes the model and a sheet of samples.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/draw.hpp"
#include "examples/support/model_file.hpp"
#include "examples/support/run.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string data = fashion_mnist;
    std::string output = "model.safetensors";
    std::string checkpoint;  // empty: output + ".checkpoint"
    std::string samples = "samples.png";
    std::string log;
    bool resume = false;
    bool flip = false;
    Index steps = 0;
    double seconds = 45;
    Index batch = 64;
    Index accumulate = 1;
    Index save_every = 500;
    double lr = 1e-3;
    double ema_decay = 0.999;
    double cond_dropout = 0.1;
    double min_snr_gamma = 5;
    std::uint64_t seed = 0;
    Index width = 32;
    std::vector<Index> mults{1, 2, 3};
    std::vector<Index> attention{14, 7};
    Index layers = 1;
    std::string prediction = "v_prediction";
    std::string schedule = "squaredcos_cap_v2";
};

void add_options(CLI::App& app, Options& o) {
    app.add_option("data", o.data,
                   "Folder with MNIST's IDX files, folder of PNG files (a sub-folder a class), or a .safetensors[.gz] "
                   "file of labelled pictures (default: Fashion-MNIST as Debian installs it)");
    app.add_option("-o,--output", o.output, "The model to write")->capture_default_str();
    app.add_option("--checkpoint", o.checkpoint, "What --resume continues from (default: the model + .checkpoint)");
    app.add_option("--samples", o.samples, "Sheet of samples to write at the end")->capture_default_str();
    app.add_option("--log", o.log, "CSV file to add step, loss and seconds to");
    app.add_flag("--resume", o.resume, "Continue from the checkpoint");
    app.add_flag("--flip", o.flip, "Mirror pictures at random");
    app.add_option("--steps", o.steps, "Training steps (default: what fits into --seconds)")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--seconds", o.seconds, "Without --steps: about how long to train")->capture_default_str();
    app.add_option("--batch", o.batch, "Pictures a step")->capture_default_str()->check(CLI::Range(1, 65536));
    app.add_option("--accumulate", o.accumulate, "Parts of a batch, one after another")->check(CLI::Range(1, 65536));
    app.add_option("--save-every", o.save_every, "Steps between checkpoints")->capture_default_str();
    app.add_option("--lr", o.lr, "Learning rate at its highest")->capture_default_str();
    app.add_option("--ema-decay", o.ema_decay, "Decay of the averaged weights")->capture_default_str();
    app.add_option("--cond-dropout", o.cond_dropout, "How often a picture is learnt without its class")
        ->capture_default_str();
    app.add_option("--min-snr-gamma", o.min_snr_gamma, "Weight of the loss, 0 for none")->capture_default_str();
    app.add_option("-s,--seed", o.seed, "Seed")->capture_default_str();
    app.add_option("--width", o.width, "Channels of the U-Net's first level")->capture_default_str();
    app.add_option("--mults", o.mults, "Channels of each level, as multiples of that")->capture_default_str();
    app.add_option("--attention", o.attention, "Sizes of the levels that have attention")->capture_default_str();
    app.add_option("--layers", o.layers, "Residual blocks a level")->capture_default_str();
    app.add_option("--prediction", o.prediction, "epsilon, sample or v_prediction")->capture_default_str();
    app.add_option("--schedule", o.schedule, "linear, scaled_linear, squaredcos_cap_v2 or sigmoid")
        ->capture_default_str();
}

// A U-Net for these pictures.
ModelConfig configure(const Options& o, const Images& images) {
    ModelConfig config{.unet = {},
                       .schedule = {.beta_schedule = diffusion::parse_beta_schedule(o.schedule)},
                       .prediction_type = diffusion::parse_prediction_type(o.prediction),
                       .class_names = images.class_names};
    config.unet = diffusion::small_unet({.size = images.pixels.dim(1),
                                         .channels = images.pixels.dim(3),
                                         .width = o.width,
                                         .mults = o.mults,
                                         .layers = o.layers,
                                         .attention = o.attention,
                                         .classes = config.null_class()});
    return config;
}

using Trainer = diffusion::Trainer<float, diffusion::Unet<float>>;

Trainer make_trainer(const Options& o, const ModelConfig& config, Index steps) {
    Rng rng(o.seed, Purpose::weights);
    return Trainer(diffusion::Unet<float>(config.unet, rng), diffusion::Schedule(config.schedule),
                   {.seed = o.seed,
                    .loss = {.prediction_type = config.prediction_type,
                             .min_snr_gamma = o.min_snr_gamma,
                             .condition_dropout = o.cond_dropout,
                             .null_class = config.null_class()},
                    .adam = {.lr = o.lr},
                    .lr_factor = {.warmup = std::min<Index>(200, steps / 10), .total = steps},
                    .ema = {.decay = o.ema_decay},
                    .accumulate = o.accumulate});
}

double train_step(Trainer& trainer, const Options& o, const Images& images, const data::Batches& batches) {
    const auto indices = batches.indices(trainer.steps());
    const auto step = static_cast<std::uint64_t>(trainer.steps());
    return trainer.step(images.batch(indices, {.flip = o.flip, .seed = o.seed, .step = step}),
                        images.batch_labels(indices));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// How many steps fit into o.seconds, measured with a trainer that is thrown away.
Index steps_that_fit(const Options& o, const ModelConfig& config, const Images& images, const data::Batches& batches) {
    Trainer trainer = make_trainer(o, config, 10);
    train_step(trainer, o, images, batches);
    const auto start = std::chrono::steady_clock::now();
    train_step(trainer, o, images, batches);
    train_step(trainer, o, images, batches);
    return std::max<Index>(20, static_cast<Index>(2 * o.seconds / seconds_since(start)));
}

void save_checkpoint(const Trainer& trainer, const ModelConfig& config, Index steps, const std::string& path) {
    io::Checkpoint checkpoint;
    trainer.save(checkpoint);
    checkpoint.put_text("config", io::to_text(to_json(config)));
    checkpoint.put_number("steps", static_cast<std::uint64_t>(steps));
    checkpoint.save(path);
}

void load_checkpoint(Trainer& trainer, const ModelConfig& config, const std::string& path) {
    auto checkpoint = io::Checkpoint::load(path);
    check(checkpoint.text("config") == io::to_text(to_json(config)), path,
          ": made with another network, schedule or data set");
    trainer.load(checkpoint);
    checkpoint.finish();
}

// Trains to the last step, or until a stop request, which leaves a checkpoint behind.
void train(Trainer& trainer, const Options& o, const ModelConfig& config, const Images& images, Index steps) {
    const data::Batches batches(images.size(), o.batch, o.seed);
    io::Progress progress("training");
    std::ofstream log;
    if (!o.log.empty()) log.open(o.log, std::ios::app);
    const auto start = std::chrono::steady_clock::now();
    const Index report = std::max<Index>(1, steps / 10);
    double sum = 0;
    Index count = 0;
    while (trainer.steps() < steps) {
        if (stop_requested()) {
            save_checkpoint(trainer, config, steps, o.checkpoint);
            fail(ErrorCode::stopped, "stopped after step ", trainer.steps(), "; continue with --resume --steps ",
                 steps);
        }
        const double loss = train_step(trainer, o, images, batches);
        const Index done = trainer.steps();
        progress(done, steps);
        if (log) log << done << ',' << loss << ',' << seconds_since(start) << '\n' << std::flush;
        sum += loss;
        ++count;
        if (done % report == 0 || done == steps) {
            std::printf("step %lld of %lld: loss %.4f (mean of %lld)\n", static_cast<long long>(done),
                        static_cast<long long>(steps), sum / static_cast<double>(count), static_cast<long long>(count));
            std::fflush(stdout);
            sum = 0;
            count = 0;
        }
        if (o.save_every > 0 && done % o.save_every == 0 && done < steps)
            save_checkpoint(trainer, config, steps, o.checkpoint);
    }
}

void run_program(Options o) {
    if (o.checkpoint.empty()) o.checkpoint = o.output + ".checkpoint";
    Images images = load_images(o.data);
    if (images.class_names.empty()) {
        const Index classes =
            images.labels.empty() ? 1 : *std::max_element(images.labels.begin(), images.labels.end()) + 1;
        images.labels.resize(static_cast<std::size_t>(images.size()), 0);
        for (Index k = 0; k < classes; ++k) images.class_names.push_back(std::to_string(k));
    }
    const ModelConfig config = configure(o, images);
    const data::Batches batches(images.size(), o.batch, o.seed);
    Index steps = o.steps;
    if (steps == 0 && o.resume) steps = static_cast<Index>(io::Checkpoint::load(o.checkpoint).number("steps"));
    if (steps == 0) steps = steps_that_fit(o, config, images, batches);
    Trainer trainer = make_trainer(o, config, steps);
    if (o.resume) load_checkpoint(trainer, config, o.checkpoint);
    std::printf("%lld pictures of %lld classes; U-Net of %lld parameters; steps %lld to %lld\n",
                static_cast<long long>(images.size()), static_cast<long long>(config.null_class()),
                static_cast<long long>(nn::count(trainer.model())), static_cast<long long>(trainer.steps()),
                static_cast<long long>(steps));
    train(trainer, o, config, images, steps);
    save_model(o.output, config, trainer.average());
    std::vector<Index> labels;
    for (Index k = 0; k < 40; ++k) labels.push_back(k / 4 % config.null_class());
    io::write_png(o.samples,
                  draw(config, trainer.average(), labels, o.seed, {.sampler = "ddim", .steps = 25},
                       shown(io::Progress("sampling"))),
                  8);
    std::filesystem::remove(o.checkpoint);
    std::printf("wrote %s and %s\nsample from it: sample_images --model %s\n", o.output.c_str(), o.samples.c_str(),
                o.output.c_str());
    if (o.steps == 0)
        std::printf("for good pictures train longer: train_diffusion --steps 8000 --output %s\n", o.output.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Trains a class-conditional diffusion model on pictures.", "train_diffusion");
    Options options;
    add_options(app, options);
    return run(app, argc, argv, [&] { run_program(options); });
}
