// Trains a variational autoencoder on pictures; draws reconstructions, samples and ways between pictures.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/run.hpp"
#include "examples/support/sheet.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/metrics/likelihood.hpp"
#include "genmod/vae/binarise.hpp"
#include "genmod/vae/likelihood.hpp"
#include "genmod/vae/trainer.hpp"
#include "genmod/vae/vae_file.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string data = fashion_mnist;
    std::string output = "vae.png";
    std::string model = "vae.safetensors";
    std::string checkpoint;  // empty: model + ".checkpoint"
    std::string load;
    bool resume = false;
    bool binarise = false;
    Index steps = 0;
    double seconds = 40;
    Index batch = 64;
    Index save_every = 1000;
    Index evaluate = 500;
    Index draws = 200;
    double lr = 1e-3;
    std::uint64_t seed = 0;
    std::string architecture = "convolutional", likelihood = "bernoulli", activation = "relu";
    vae::VaeConfig config;
    vae::ObjectiveOptions objective;
    bool importance_weighted = false;
};

void add_options(CLI::App& app, Options& o) {
    app.add_option("data", o.data,
                   "Folder with MNIST's IDX files, folder of PNG files, or a .safetensors[.gz] file of pictures "
                   "(default: Fashion-MNIST as Debian installs it)");
    app.add_option("-o,--output", o.output, "The sheet of pictures to write")->capture_default_str();
    app.add_option("--model", o.model, "The model to write")->capture_default_str();
    app.add_option("--load", o.load, "Draw and evaluate with this model instead of training one");
    app.add_option("--checkpoint", o.checkpoint, "What --resume continues from (default: the model + .checkpoint)");
    app.add_flag("--resume", o.resume, "Continue from the checkpoint");
    app.add_flag("--binarise", o.binarise, "Black and white pictures, drawn anew from the grey ones for each step");
    app.add_option("--steps", o.steps, "Training steps (default: what fits into --seconds)")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--seconds", o.seconds, "Without --steps: about how long to train")->capture_default_str();
    app.add_option("--batch", o.batch, "Pictures a step")->capture_default_str()->check(CLI::Range(1, 65536));
    app.add_option("--save-every", o.save_every, "Steps between checkpoints")->capture_default_str();
    app.add_option("--lr", o.lr, "Learning rate at its highest")->capture_default_str();
    app.add_option("-s,--seed", o.seed, "Seed")->capture_default_str();
    app.add_option("--evaluate", o.evaluate, "Test pictures whose likelihood is estimated, where there is one")
        ->capture_default_str();
    app.add_option("--evaluation-draws", o.draws, "Latents for each of them")->capture_default_str();
}

void add_model_options(CLI::App& app, Options& o) {
    app.add_option("--architecture", o.architecture, "convolutional or fully_connected")->capture_default_str();
    app.add_option("--latent", o.config.latent, "Numbers of a latent")->capture_default_str();
    app.add_option("--widths", o.config.widths, "Channels of the convolutions, or widths of the hidden layers");
    app.add_option("--activation", o.activation, "relu, silu, tanh ...")->capture_default_str();
    app.add_option("--likelihood", o.likelihood, "bernoulli, or gaussian with a deviation that is learnt")
        ->capture_default_str();
    app.add_option("--beta", o.objective.beta, "Weight of the KL")->capture_default_str();
    app.add_option("--beta-warmup", o.objective.beta_warmup, "Steps in which it rises from 0")->capture_default_str();
    app.add_option("--capacity", o.objective.capacity, "Nats that the KL is pulled to, 0 for none")
        ->capture_default_str();
    app.add_option("--capacity-warmup", o.objective.capacity_warmup, "Steps in which they rise from 0")
        ->capture_default_str();
    app.add_option("--draws", o.objective.draws, "Latents for each picture of a step")->capture_default_str();
    app.add_flag("--importance-weighted", o.importance_weighted, "Train by the importance-weighted bound of --draws");
}

// Pictures [n, h, w, c] of given numbers, black and white when asked for.
Tensor<float> pictures(const Options& o, const Images& images, const std::vector<Index>& indices, std::uint64_t step) {
    const Tensor<float> x = images.batch(indices);
    return o.binarise ? vae::binarised(x, o.seed, step) : x;
}

using Trainer = vae::Trainer<float, vae::Vae<float>>;

Trainer make_trainer(const Options& o, const Images& images, Index steps) {
    vae::VaeConfig config = o.config;
    config.sample = images.pixels.shape().without(0);
    config.architecture = vae::parse_name<vae::Architecture>(vae::architecture_names, o.architecture);
    config.activation = vae::parse_name<nn::Activation>(vae::activation_names, o.activation);
    config.likelihood = vae::parse_name<vae::Likelihood>(vae::likelihood_names, o.likelihood);
    config.learn_deviation = config.likelihood == vae::Likelihood::gaussian;
    vae::ObjectiveOptions objective = o.objective;
    if (o.importance_weighted) objective.bound = vae::Bound::importance_weighted;
    Rng rng(o.seed, Purpose::weights);
    return {vae::Vae<float>(config, rng),
            {.seed = o.seed,
             .objective = objective,
             .adam = {.lr = o.lr},
             .lr_factor = {.warmup = std::min<Index>(200, steps / 10), .total = steps}}};
}

vae::Losses train_step(Trainer& trainer, const Options& o, const Images& images, const data::Batches& batches) {
    return trainer.step(
        pictures(o, images, batches.indices(trainer.steps()), static_cast<std::uint64_t>(trainer.steps())));
}

// How many steps fit into o.seconds, measured with a trainer that is thrown away.
Index steps_that_fit(const Options& o, const Images& images, const data::Batches& batches) {
    Trainer trainer = make_trainer(o, images, 10);
    train_step(trainer, o, images, batches);
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < 5; ++k) train_step(trainer, o, images, batches);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return std::max<Index>(20, static_cast<Index>(5 * o.seconds / seconds.count()));
}

void save_checkpoint(const Trainer& trainer, Index steps, const std::string& path) {
    io::Checkpoint checkpoint;
    trainer.save(checkpoint);
    checkpoint.put_text("config", io::to_text(vae::to_json(trainer.model().config)));
    checkpoint.put_number("steps", static_cast<std::uint64_t>(steps));
    checkpoint.save(path);
}

void load_checkpoint(Trainer& trainer, const std::string& path) {
    auto checkpoint = io::Checkpoint::load(path);
    check(checkpoint.text("config") == io::to_text(vae::to_json(trainer.model().config)), path,
          ": made with another network or data set");
    trainer.load(checkpoint);
    checkpoint.finish();
}

// Trains to the last step, or until a stop request, which leaves a checkpoint behind.
void train(Trainer& trainer, const Options& o, const Images& images, Index steps) {
    const data::Batches batches(images.size(), o.batch, o.seed);
    io::Progress progress("training");
    const Index report = std::max<Index>(1, steps / 10);
    vae::Losses sums;
    Index count = 0;
    while (trainer.steps() < steps) {
        if (stop_requested()) {
            save_checkpoint(trainer, steps, o.checkpoint);
            fail(ErrorCode::stopped, "stopped after step ", trainer.steps(), "; continue with --resume");
        }
        const vae::Losses losses = train_step(trainer, o, images, batches);
        const Index done = trainer.steps();
        progress(done, steps);
        sums.loss += losses.loss;
        sums.reconstruction += losses.reconstruction;
        sums.latent += losses.latent;
        ++count;
        if (done % report == 0 || done == steps) {
            const auto n = static_cast<double>(count);
            std::printf("step %lld of %lld: loss %.2f, reconstruction %.2f, KL %.2f nats (means of %lld)\n",
                        static_cast<long long>(done), static_cast<long long>(steps), sums.loss / n,
                        sums.reconstruction / n, sums.latent / n, static_cast<long long>(count));
            std::fflush(stdout);
            sums = {};
            count = 0;
        }
        if (o.save_every > 0 && done % o.save_every == 0 && done < steps) save_checkpoint(trainer, steps, o.checkpoint);
    }
}

// A model trained as the options say, and saved.
vae::Vae<float> trained(const Options& o, const Images& images) {
    const data::Batches batches(images.size(), o.batch, o.seed);
    Index steps = o.steps;
    if (steps == 0 && o.resume) steps = static_cast<Index>(io::Checkpoint::load(o.checkpoint).number("steps"));
    if (steps == 0) steps = steps_that_fit(o, images, batches);
    Trainer trainer = make_trainer(o, images, steps);
    if (o.resume) load_checkpoint(trainer, o.checkpoint);
    std::printf("%lld pictures; VAE of %lld parameters; steps %lld to %lld\n", static_cast<long long>(images.size()),
                static_cast<long long>(nn::count(trainer.model())), static_cast<long long>(trainer.steps()),
                static_cast<long long>(steps));
    train(trainer, o, images, steps);
    vae::save_vae(o.model, trainer.average());
    std::filesystem::remove(o.checkpoint);
    std::printf("wrote %s\n", o.model.c_str());
    return nn::clone(trainer.average());
}

std::vector<Index> first_numbers(Index count) {
    std::vector<Index> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), Index{0});
    return numbers;
}

constexpr Index columns = 14;

// Latents of four pictures at the corners of a sheet, and what lies between them on arcs.
Tensor<float> between(const vae::Vae<float>& model, const Tensor<float>& corners) {
    const NoGrad off;
    constexpr Index rows = 5;
    const Tensor<float> z = model.encode(corners).mean.value();
    const auto corner = [&](Index k) { return z.slice(k, k + 1).reshape({-1}); };
    const Tensor<float> left = nn::interpolation(corner(0), corner(1), rows);
    const Tensor<float> right = nn::interpolation(corner(2), corner(3), rows);
    std::vector<Tensor<float>> lines;
    for (Index k = 0; k < rows; ++k)
        lines.push_back(
            nn::interpolation(left.slice(k, k + 1).reshape({-1}), right.slice(k, k + 1).reshape({-1}), columns));
    return model.expected(model.decode(joined(lines)));
}

// The numbers of a latent that change most from picture to picture, moved from -2.5 to 2.5, a row for each.
Tensor<float> traversals(const vae::Vae<float>& model, const Tensor<float>& x, Index rows) {
    const NoGrad off;
    const Tensor<float> means = model.encode(x).mean.value();
    const Index d = means.dim(1);
    std::vector<double> spread(static_cast<std::size_t>(d), 0.0);
    for (Index k = 0; k < means.size(); ++k)
        spread[static_cast<std::size_t>(k % d)] += static_cast<double>(means[k]) * static_cast<double>(means[k]);
    std::vector<Tensor<float>> lines;
    for (Index row = 0; row < std::min(rows, d); ++row) {
        const auto widest = std::max_element(spread.begin(), spread.end());
        lines.push_back(nn::traversal(means.slice(0, 1).reshape({-1}), widest - spread.begin(), -2.5, 2.5, columns));
        *widest = -1;
    }
    return model.expected(model.decode(joined(lines)));
}

// Reconstructions below their originals, samples, ways between pictures, and single numbers of the latent.
void draw(const Options& o, const std::string& output, const vae::Vae<float>& model, const Images& test) {
    check(test.size() >= 2 * columns, "train_vae: needs at least ", 2 * columns, " pictures");
    const Tensor<float> x = pictures(o, test, first_numbers(2 * columns), 0);
    const Tensor<float> own = x.slice(0, columns);
    io::write_png(output, sheet({own, model.reconstruct(own), model.sample(4 * columns, o.seed),
                                 between(model, x.slice(columns, columns + 4)), traversals(model, x, 3)},
                                columns));
    std::printf(
        "wrote %s: test pictures, the same from their latents, samples, ways between four pictures, and the widest "
        "numbers of a latent from -2.5 to 2.5\n",
        output.c_str());
}

// log p of test pictures by importance sampling, where the model says one: of black and white pictures, and of grey
// ones spread over their cells by a gaussian decoder.
void evaluate(const Options& o, const vae::Vae<float>& model, const Images& test) {
    const bool grey = model.config.likelihood == vae::Likelihood::gaussian;
    if (o.evaluate <= 0 || (!grey && !o.binarise)) return;
    const Index n = std::min(o.evaluate, test.size());
    Tensor<float> x = pictures(o, test, first_numbers(n), 0);
    const double per_unit = grey && !o.binarise ? 127.5 : 1;
    Rng rng(o.seed, Purpose::data);
    if (per_unit != 1)
        for (float& value : x) value += static_cast<float>((rng.uniform() - 0.5) / per_unit);
    vae::LogLikelihoods found;
    io::Progress progress("evaluating");
    for (Index first = 0; first < n; first += 50) {
        const Index last = std::min(n, first + 50);
        const auto part = vae::importance_sampled(
            model, x.slice(first, last), {.draws = o.draws, .seed = o.seed + static_cast<std::uint64_t>(first)});
        found.nats.insert(found.nats.end(), part.nats.begin(), part.nats.end());
        progress(last, n);
    }
    const metrics::LogLikelihood likelihood{.kind = metrics::LikelihoodKind::estimate,
                                            .nats = found.nats,
                                            .dims = model.config.sample.size(),
                                            .per_unit = per_unit};
    std::printf("log p of %lld test pictures, %lld latents each: %s\n", static_cast<long long>(n),
                static_cast<long long>(o.draws), to_string(likelihood).c_str());
}

void run_program(Options o) {
    if (o.checkpoint.empty()) o.checkpoint = o.model + ".checkpoint";
    const Images images = load_images(o.data), test = load_images(o.data, "t10k");
    check(images.size() > 0, "train_vae: ", o.data, " holds no pictures");
    if (o.load.empty() && !o.resume && o.data == fashion_mnist) {
        std::printf("What training for longer leads to, 2500 steps: ");
        draw(o, shipped_name(o.output), vae::load_vae<float>(embedded_weights(Weights::vae)), test);
    }
    const vae::Vae<float> model = o.load.empty() ? trained(o, images) : vae::load_vae<float>(io::Safetensors(o.load));
    check(model.config.sample == images.pixels.shape().without(0), "train_vae: the model is one of samples ",
          model.config.sample, ", the pictures are ", images.pixels.shape().without(0));
    draw(o, o.output, model, test);
    evaluate(o, model, test);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Trains a variational autoencoder on pictures.", "train_vae");
    Options options;
    add_options(app, options);
    add_model_options(app, options);
    return run(app, argc, argv, [&] { run_program(options); });
}
