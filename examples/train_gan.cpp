// Trains a DCGAN on pictures; draws how its pictures come about, samples, and walks through the latents.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/run.hpp"
#include "examples/support/sheet.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/gan/generator_file.hpp"
#include "genmod/gan/trainer.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string data = fashion_mnist;
    std::string output = "gan.png";
    std::string model = "gan.safetensors";
    std::string checkpoint;  // empty: model + ".checkpoint"
    std::string load;
    bool resume = false;
    Index steps = 0;
    double seconds = 45;
    Index batch = 64;
    Index save_every = 1000;
    double lr = 2e-4;
    double beta1 = 0.5;
    std::uint64_t seed = 0;
    std::string loss = "non_saturating", norm;
    gan::DcganConfig config = {.latent = 64, .width = 32};
    gan::TrainerOptions training;
};

void add_options(CLI::App& app, Options& o) {
    app.add_option("data", o.data,
                   "Folder with MNIST's IDX files, folder of PNG files, or a .safetensors[.gz] file of pictures "
                   "(default: Fashion-MNIST as Debian installs it)");
    app.add_option("-o,--output", o.output, "The sheet of pictures to write")->capture_default_str();
    app.add_option("--model", o.model, "The generator to write")->capture_default_str();
    app.add_option("--load", o.load, "Draw with this generator instead of training one");
    app.add_option("--checkpoint", o.checkpoint, "What --resume continues from (default: the model + .checkpoint)");
    app.add_flag("--resume", o.resume, "Continue from the checkpoint");
    app.add_option("--steps", o.steps, "Steps of the discriminator (default: what fits into --seconds)")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--seconds", o.seconds, "Without --steps: about how long to train")->capture_default_str();
    app.add_option("--batch", o.batch, "Pictures a step")->capture_default_str()->check(CLI::Range(2, 65536));
    app.add_option("--save-every", o.save_every, "Steps between checkpoints")->capture_default_str();
    app.add_option("-s,--seed", o.seed, "Seed")->capture_default_str();
    app.add_option("--lr", o.lr, "Learning rate of both networks")->capture_default_str();
    app.add_option("--beta1", o.beta1, "Adam's first decay")->capture_default_str();
    app.add_option("--ema-decay", o.training.ema.decay, "Decay of the averaged generator")->capture_default_str();
    app.add_option("--latent", o.config.latent, "Numbers of a latent")->capture_default_str();
    app.add_option("--width", o.config.width, "Channels beside the picture")->capture_default_str();
    app.add_option("--loss", o.loss, "non_saturating, hinge or wasserstein")
        ->capture_default_str()
        ->check(CLI::IsMember({"non_saturating", "hinge", "wasserstein"}));
    app.add_option("--real-label", o.training.real_label, "Below 1: one-sided label smoothing")->capture_default_str();
    app.add_option("--gradient-penalty", o.training.gradient_penalty, "Its weight; 10 makes wasserstein WGAN-GP")
        ->capture_default_str();
    app.add_option("--critic-steps", o.training.critic_steps, "Steps of the discriminator for one of the generator")
        ->capture_default_str();
    app.add_option("--norm", o.norm,
                   "Of the discriminator: batch, layer or none (default: batch; with a penalty layer)")
        ->check(CLI::IsMember({"batch", "layer", "none"}));
    app.add_flag("--spectral-norm", o.config.spectral_norm, "Normalise the discriminator's weights");
}

using Trainer = gan::Trainer<float, gan::Generator<float>, gan::Discriminator<float>>;

// The smallest coarse extent of at least 4 that doubles to `size`.
Index coarse_extent(Index size) {
    Index coarse = size;
    while (coarse % 2 == 0 && coarse / 2 >= 4) coarse /= 2;
    return coarse;
}

Trainer make_trainer(const Options& o, const Images& images) {
    gan::DcganConfig config = o.config;
    check(images.pixels.dim(1) == images.pixels.dim(2), "train_gan: pictures of ", images.pixels.dim(1), " x ",
          images.pixels.dim(2), " are not square");
    config.size = images.pixels.dim(1);
    config.coarse = coarse_extent(config.size);
    config.channels = images.pixels.dim(3);
    if (o.norm == "layer" || (o.norm.empty() && o.training.gradient_penalty > 0)) config.norm = gan::Norm::layer;
    if (o.norm == "none") config.norm = gan::Norm::none;
    gan::TrainerOptions options = o.training;
    options.seed = o.seed;
    if (o.loss == "hinge") options.loss = gan::LossKind::hinge;
    if (o.loss == "wasserstein") options.loss = gan::LossKind::wasserstein;
    options.generator = options.discriminator = {.lr = o.lr, .beta1 = o.beta1};
    Rng rng(o.seed, Purpose::weights);
    gan::Generator<float> generator(config, rng);
    return {std::move(generator), gan::Discriminator<float>(config, rng), config.latent, options};
}

gan::Losses train_step(Trainer& trainer, const Images& images, const data::Batches& batches) {
    return trainer.step(images.batch(batches.indices(trainer.steps())));
}

// How many steps fit into o.seconds, measured with a trainer that is thrown away.
Index steps_that_fit(const Options& o, const Images& images, const data::Batches& batches) {
    Trainer trainer = make_trainer(o, images);
    train_step(trainer, images, batches);
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < 5; ++k) train_step(trainer, images, batches);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return std::max<Index>(20, static_cast<Index>(5 * o.seconds / seconds.count()));
}

// What a checkpoint must agree in.
std::string description(const Trainer& trainer) { return io::to_text(gan::to_json(trainer.generator().config)); }

// Pictures of the same latents at points of the training.
using Way = std::vector<Tensor<float>>;

void save_checkpoint(const Trainer& trainer, const Way& way, Index steps, const std::string& path) {
    io::Checkpoint checkpoint;
    trainer.save(checkpoint);
    if (!way.empty()) checkpoint.put("way", joined(way));
    checkpoint.put_text("config", description(trainer));
    checkpoint.put_number("steps", static_cast<std::uint64_t>(steps));
    checkpoint.save(path);
}

void load_checkpoint(Trainer& trainer, Way& way, const std::string& path) {
    auto checkpoint = io::Checkpoint::load(path);
    check(checkpoint.text("config") == description(trainer), path, ": made with another network or data set");
    trainer.load(checkpoint);
    if (checkpoint.has("way")) way = {checkpoint.get<float>("way", checkpoint.shape("way"))};
    checkpoint.finish();
}

constexpr Index columns = 14;

// Trains to the last step, or until a stop request, which leaves a checkpoint behind. Adds to `way` after 1/32, 1/16,
// 1/8, 1/4 and 1/2 of the steps.
void train(Trainer& trainer, Way& way, const Options& o, const Images& images, Index steps) {
    const data::Batches batches(images.size(), o.batch, o.seed);
    io::Progress progress("training");
    const Index report = std::max<Index>(1, steps / 10);
    gan::Losses sums;
    Index count = 0;
    while (trainer.steps() < steps) {
        if (stop_requested()) {
            save_checkpoint(trainer, way, steps, o.checkpoint);
            fail(ErrorCode::stopped, "stopped after step ", trainer.steps(), "; continue with --resume");
        }
        const gan::Losses losses = train_step(trainer, images, batches);
        const Index done = trainer.steps();
        progress(done, steps);
        sums.discriminator += losses.discriminator;
        sums.generator += losses.generator * static_cast<double>(o.training.critic_steps);
        sums.penalty += losses.penalty;
        ++count;
        for (Index part = 32; part > 1; part /= 2)
            if (done == steps / part) way.push_back(trainer.average().sample(columns, o.seed));
        if (done % report == 0 || done == steps) {
            const auto n = static_cast<double>(count);
            std::printf("step %lld of %lld: discriminator %.3f, generator %.3f, penalty %.3f (means of %lld)\n",
                        static_cast<long long>(done), static_cast<long long>(steps), sums.discriminator / n,
                        sums.generator / n, sums.penalty / n, static_cast<long long>(count));
            std::fflush(stdout);
            sums = {};
            count = 0;
        }
        if (o.save_every > 0 && done % o.save_every == 0 && done < steps)
            save_checkpoint(trainer, way, steps, o.checkpoint);
    }
}

// Walks from latent to latent, a row from each to the next one.
Tensor<float> walks(const gan::Generator<float>& generator, Index rows, std::uint64_t seed) {
    const NoGrad off;
    const auto z = nn::sample_normals<float>({rows + 1, generator.config.latent}, seed);
    std::vector<Tensor<float>> lines;
    for (Index k = 0; k < rows; ++k)
        lines.push_back(
            nn::interpolation(z.slice(k, k + 1).reshape({-1}), z.slice(k + 1, k + 2).reshape({-1}), columns));
    return generator(Var<float>(joined(lines))).value();
}

void draw(const std::string& output, std::uint64_t seed, const gan::Generator<float>& generator, const Way& way) {
    std::vector<Tensor<float>> parts;
    if (!way.empty()) parts.push_back(joined(way));
    parts.push_back(generator.sample(5 * columns, seed));
    parts.push_back(walks(generator, 4, seed + 1000));
    io::write_png(output, sheet(parts, columns));
    std::printf("wrote %s: %ssamples, and walks from latent to latent\n", output.c_str(),
                way.empty() ? "" : "the same latents at points of the training, ");
}

void run_program(Options o) {
    if (o.checkpoint.empty()) o.checkpoint = o.model + ".checkpoint";
    if (!o.load.empty()) return draw(o.output, o.seed, gan::load_generator<float>(io::Safetensors(o.load)), {});
    if (!o.resume) {
        std::printf("What training for longer leads to, 3000 steps of Fashion-MNIST: ");
        draw(shipped_name(o.output), o.seed, gan::load_generator<float>(embedded_weights(Weights::gan)), {});
    }
    const Images images = load_images(o.data);
    check(images.size() > 0, "train_gan: ", o.data, " holds no pictures");
    const data::Batches batches(images.size(), o.batch, o.seed);
    Index steps = o.steps;
    if (steps == 0 && o.resume) steps = static_cast<Index>(io::Checkpoint::load(o.checkpoint).number("steps"));
    if (steps == 0) steps = steps_that_fit(o, images, batches);
    Trainer trainer = make_trainer(o, images);
    Way way;
    if (o.resume) load_checkpoint(trainer, way, o.checkpoint);
    std::printf("%lld pictures; generator of %lld, discriminator of %lld parameters; steps %lld to %lld\n",
                static_cast<long long>(images.size()), static_cast<long long>(nn::count(trainer.generator())),
                static_cast<long long>(nn::count(trainer.discriminator())), static_cast<long long>(trainer.steps()),
                static_cast<long long>(steps));
    train(trainer, way, o, images, steps);
    gan::save_generator(o.model, trainer.average());
    std::filesystem::remove(o.checkpoint);
    std::printf("wrote %s\n", o.model.c_str());
    draw(o.output, o.seed, trainer.average(), way);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Trains a DCGAN on pictures.", "train_gan");
    Options options;
    add_options(app, options);
    return run(app, argc, argv, [&] { run_program(options); });
}
