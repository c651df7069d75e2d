// Trains a normalizing flow on points or pictures; draws its density and samples, and says how likely new data are.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "examples/support/data.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/flow_model.hpp"
#include "examples/support/heat.hpp"
#include "examples/support/run.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/data/toy.hpp"
#include "genmod/flows/dequantize.hpp"
#include "genmod/flows/trainer.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/metrics/likelihood.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string data = "moons";
    std::string model;
    std::string output = "flow.png";
    std::string file = "flow.safetensors";
    std::string checkpoint;  // empty: file + ".checkpoint"
    std::string load;
    std::string log;
    bool resume = false;
    Index steps = 0;
    double seconds = 25;
    double minutes = 0;
    Index batch = 0;
    Index depth = 0, hidden = 0, levels = 2;
    Index evaluate = 10000;
    Index save_every = 1000;
    double lr = 0;
    double temperature = 0;
    std::uint64_t seed = 0;
};

void add_options(CLI::App& app, Options& o) {
    app.add_option("data", o.data,
                   "moons, rings, checkerboard, eight_gaussians, grid_gaussians, swiss_roll or spirals; all: the first "
                   "four; or a folder with MNIST's IDX files, a folder of PNG files, or a .safetensors[.gz] file of "
                   "pictures")
        ->capture_default_str();
    app.add_option(
        "--model", o.model,
        "realnvp, spline or ffjord of points (default: spline), realnvp or glow of pictures (default: glow)");
    app.add_option("-o,--output", o.output, "The picture to write: data, samples and density, or a sheet of samples")
        ->capture_default_str();
    app.add_option("--file", o.file, "The model to write")->capture_default_str();
    app.add_option("--load", o.load, "Draw and evaluate with this model instead of training one");
    app.add_option("--checkpoint", o.checkpoint, "What --resume continues from (default: the model + .checkpoint)");
    app.add_flag("--resume", o.resume, "Continue from the checkpoint");
    app.add_option("--log", o.log, "CSV file to add step, nats of the training data and seconds to");
    app.add_option("--steps", o.steps, "Training steps (default: what fits into --seconds)")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--seconds", o.seconds, "Without --steps: about how long to train")->capture_default_str();
    app.add_option("--minutes", o.minutes, "The same in minutes")->check(CLI::Range(0.0, 1e5));
    app.add_option("--batch", o.batch, "Samples a step (default: 256 points, 64 pictures)")
        ->check(CLI::Range(1, 65536));
    app.add_option("--depth", o.depth, "Couplings, steps of a level of Glow (default: 8), hidden layers of ffjord (3)")
        ->check(CLI::Range(1, 256));
    app.add_option("--hidden", o.hidden, "Width of the networks (default: 64)")->check(CLI::Range(1, 1024));
    app.add_option("--levels", o.levels, "Halvings of pictures")->capture_default_str()->check(CLI::Range(1, 8));
    app.add_option("--save-every", o.save_every, "Steps between checkpoints")->capture_default_str();
    app.add_option("--lr", o.lr, "Learning rate at its highest (default: 0.002 of points, 0.001 of pictures)");
    app.add_option("--temperature", o.temperature, "Deviation of the base for samples (default: 1; of pictures 0.7)");
    app.add_option("--evaluate", o.evaluate, "New samples whose likelihood is measured")->capture_default_str();
    app.add_option("-s,--seed", o.seed, "Seed")->capture_default_str();
}

using Toy = Tensor<float> (*)(Index, Rng&);

// Null for what is no toy.
Toy find_toy(const std::string& name) {
    static const std::vector<std::pair<std::string, Toy>> toys{{"moons", data::moons<float>},
                                                               {"rings", data::rings<float>},
                                                               {"checkerboard", data::checkerboard<float>},
                                                               {"eight_gaussians", data::eight_gaussians<float>},
                                                               {"grid_gaussians", data::grid_gaussians<float>},
                                                               {"swiss_roll", data::swiss_roll<float>},
                                                               {"spirals", data::spirals<float>}};
    for (const auto& [known, toy] : toys)
        if (known == name) return toy;
    return nullptr;
}

// New points for each step, pictures in shuffled order with noise over their grey levels.
struct Source {
    Toy toy = nullptr;
    Images images, held_out;

    static Source open(const std::string& name) {
        Source source{.toy = find_toy(name), .images = {}, .held_out = {}};
        if (source.toy != nullptr) return source;
        source.images = load_images(name);
        source.held_out = load_images(name, "t10k");
        check(source.images.size() > 0, "train_flow: ", name, " holds no pictures");
        return source;
    }
    Shape sample() const { return toy != nullptr ? Shape{2} : images.pixels.shape().without(0); }

    Tensor<float> batch(Index step, Index count, std::uint64_t seed) const {
        const auto number = static_cast<std::uint64_t>(step);
        if (toy != nullptr) {
            Rng rng(seed, Purpose::data, number << 32);
            return toy(count, rng);
        }
        const std::vector<Index> indices = data::Batches(images.size(), count, seed).indices(step);
        return flows::UniformDequantizer<float>()(images.batch(indices), seed, number).x.value();
    }
    // What training does not see, from `first` on.
    Tensor<float> test(Index first, Index count) const {
        const auto number = static_cast<std::uint64_t>(first);
        if (toy != nullptr) {
            Rng rng(~std::uint64_t{0}, Purpose::data, number << 32);
            return toy(count, rng);
        }
        std::vector<Index> indices(static_cast<std::size_t>(count));
        std::iota(indices.begin(), indices.end(), first);
        return flows::UniformDequantizer<float>()(held_out.batch(indices), (std::uint64_t{1} << 40) + number).x.value();
    }
    Index test_size(Index wanted) const { return toy != nullptr ? wanted : std::min(wanted, held_out.size()); }
};

template <class Model>
flows::Trainer<float, Model> make_trainer(Model model, const Options& o, const Source& source, Index steps) {
    flows::Trainer<float, Model> trainer(std::move(model),
                                         {.seed = o.seed,
                                          .adam = {.lr = o.lr},
                                          .lr_factor = {.warmup = std::min<Index>(100, steps / 10), .total = steps},
                                          .ema = {.decay = source.toy != nullptr ? 0.99 : 0.999}});
    trainer.initialize(source.batch(0, std::max<Index>(256, o.batch), o.seed + 1));
    return trainer;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// How many steps fit into o.seconds, measured for a hundredth of them with a model that is thrown away.
template <class Model>
Index steps_that_fit(const Model& model, const Options& o, const Source& source) {
    auto trainer = make_trainer(nn::clone(model), o, source, 10);
    trainer.step(source.batch(0, o.batch, o.seed));
    const auto start = std::chrono::steady_clock::now();
    Index count = 0;
    for (; count < 4 || seconds_since(start) < o.seconds / 100; ++count)
        trainer.step(source.batch(count + 1, o.batch, o.seed));
    return std::max<Index>(20, static_cast<Index>(static_cast<double>(count) * o.seconds / seconds_since(start)));
}

template <class Model>
void save_checkpoint(const flows::Trainer<float, Model>& trainer, const FlowConfig& config, Index steps,
                     const std::string& path) {
    io::Checkpoint checkpoint;
    trainer.save(checkpoint);
    checkpoint.put_text("config", io::to_text(to_json(config)));
    checkpoint.put_number("steps", static_cast<std::uint64_t>(steps));
    checkpoint.save(path);
}

template <class Model>
void load_checkpoint(flows::Trainer<float, Model>& trainer, const FlowConfig& config, const std::string& path) {
    auto checkpoint = io::Checkpoint::load(path);
    check(checkpoint.text("config") == io::to_text(to_json(config)), path, ": made with another model or data set");
    trainer.load(checkpoint);
    checkpoint.finish();
}

// Trains to the last step, or until a stop request, which leaves a checkpoint behind.
template <class Model>
void train(flows::Trainer<float, Model>& trainer, const FlowConfig& config, const Options& o, const Source& source,
           Index steps) {
    io::Progress progress("training");
    std::FILE* log = o.log.empty() ? nullptr : std::fopen(o.log.c_str(), "a");
    const auto start = std::chrono::steady_clock::now();
    const Index window = std::max<Index>(1, steps / 50);
    double sum = 0;
    Index count = 0;
    while (trainer.steps() < steps) {
        if (stop_requested()) {
            save_checkpoint(trainer, config, steps, o.checkpoint);
            fail(ErrorCode::stopped, "stopped after step ", trainer.steps(), "; continue with --resume");
        }
        {
            const Stop unasked{std::stop_token()};  // a solver would give up in the middle of the step
            sum += trainer.step(source.batch(trainer.steps(), o.batch, o.seed));
        }
        ++count;
        const Index done = trainer.steps();
        progress(done, steps);
        if (done % window == 0 || done == steps) {
            const double mean = sum / static_cast<double>(count);
            if (done % (10 * window) == 0 || done == steps)
                std::printf("step %lld of %lld: -log p %.3f nats (mean of %lld)\n", static_cast<long long>(done),
                            static_cast<long long>(steps), mean, static_cast<long long>(count));
            std::fflush(stdout);
            if (log != nullptr) {
                std::fprintf(log, "%lld,%.6g,%.3f\n", static_cast<long long>(done), mean, seconds_since(start));
                std::fflush(log);
            }
            sum = 0;
            count = 0;
        }
        if (o.save_every > 0 && done % o.save_every == 0 && done < steps)
            save_checkpoint(trainer, config, steps, o.checkpoint);
    }
    if (log != nullptr) std::fclose(log);
}

// The model, trained as the options say, and saved.
template <class Model>
Model trained(Model model, const FlowConfig& config, const Options& o, const Source& source) {
    Index steps = o.steps;
    if (steps == 0 && o.resume) steps = static_cast<Index>(io::Checkpoint::load(o.checkpoint).number("steps"));
    if (steps == 0) steps = steps_that_fit(model, o, source);
    const Index numbers = nn::count(model);
    auto trainer = make_trainer(std::move(model), o, source, steps);
    if (o.resume) load_checkpoint(trainer, config, o.checkpoint);
    std::printf("%s on %s: %lld parameters; steps %lld to %lld\n", config.model.c_str(), o.data.c_str(),
                static_cast<long long>(numbers), static_cast<long long>(trainer.steps()),
                static_cast<long long>(steps));
    train(trainer, config, o, source, steps);
    save_flow(o.file, config, trainer.average());
    std::filesystem::remove(o.checkpoint);
    return nn::clone(trainer.average());
}

// log p of samples [n, ...], some at a time.
template <class Model>
std::vector<double> log_probs(const Model& model, const Tensor<float>& x, Index part) {
    const NoGrad off;
    std::vector<double> nats;
    for (Index first = 0; first < x.dim(0); first += part) {
        const Tensor<float> some = model.log_prob(Var<float>(x.slice(first, std::min(x.dim(0), first + part)))).value();
        nats.insert(nats.end(), some.begin(), some.end());
    }
    return nats;
}

template <class Model>
void evaluate(const Model& model, const Options& o, const Source& source) {
    const Index n = source.test_size(o.evaluate), part = source.toy != nullptr ? 2000 : 100;
    if (n <= 0) return;
    metrics::LogLikelihood found{
        .nats = {}, .dims = source.sample().size(), .per_unit = source.toy != nullptr ? 1 : 127.5};
    for (Index first = 0; first < n; first += part) {
        const auto nats = log_probs(model, source.test(first, std::min(part, n - first)), part);
        found.nats.insert(found.nats.end(), nats.begin(), nats.end());
    }
    if (source.toy == nullptr) {
        found.kind = metrics::LikelihoodKind::bound;  // of the bytes' probabilities, by even noise
        std::printf("log p of %lld new pictures: %s\n", static_cast<long long>(n), to_string(found).c_str());
        return;
    }
    const metrics::MeanAndError nats = found.nats_per_sample();
    std::printf("-log p of %lld new points: %.3f +- %.3f nats\n", static_cast<long long>(n), -nats.mean,
                nats.standard_error);
}

constexpr double range = 4.5;
constexpr Index side = 200, drawn_points = 40000;

// Data, samples and density.
template <class Model>
std::vector<Tensor<float>> draw_points(const Model& model, const Options& o, const Source& source) {
    std::vector<double> density = log_probs(model, pixel_centres(side, range), 4000);
    for (double& value : density) value = std::exp(value);
    Tensor<float> points({drawn_points, 2});
    for (Index first = 0; first < drawn_points; first += 4000) {
        const auto seed = o.seed + static_cast<std::uint64_t>(first);
        points.slice(first, first + 4000).assign(model.sample(4000, seed, o.temperature > 0 ? o.temperature : 1));
    }
    return {point_map(source.test(0, drawn_points), side, range), point_map(points, side, range),
            heat_map(density, side)};
}

template <class Model>
Tensor<float> draw_pictures(const Model& model, const Options& o) {
    return model.sample(64, o.seed, o.temperature > 0 ? o.temperature : 0.7);
}

// Fills in what depends on the data.
FlowConfig configure(Options& o, const Source& source) {
    const bool points = source.toy != nullptr;
    check(o.temperature >= 0 && o.temperature < 1e6, "train_flow: --temperature ", o.temperature,
          " is not a number >= 0");
    if (o.model.empty()) o.model = points ? "spline" : "glow";
    if (o.batch == 0) o.batch = points ? 256 : 64;
    if (o.lr == 0) o.lr = points ? 2e-3 : 1e-3;
    if (o.hidden == 0) o.hidden = 64;
    if (o.depth == 0) o.depth = o.model == "ffjord" || (!points && o.model == "realnvp") ? 3 : 8;
    return {.model = o.model, .sample = source.sample(), .depth = o.depth, .hidden = o.hidden, .levels = o.levels};
}

// Trains or loads, evaluates and draws: three pictures of points, or one batch of samples.
std::vector<Tensor<float>> run_one(Options o) {
    const Source source = Source::open(o.data);
    FlowConfig config = configure(o, source);
    LoadedFlow loaded =
        o.load.empty() ? LoadedFlow{config, make_flow(config, o.seed)} : load_flow(io::Safetensors(o.load));
    check(loaded.config.sample == source.sample(), "train_flow: the model is one of samples ", loaded.config.sample,
          ", the data are ", source.sample());
    return std::visit(
        [&](auto& model) {
            if (o.load.empty()) model = trained(std::move(model), config, o, source);
            evaluate(model, o, source);
            if (source.toy != nullptr) return draw_points(model, o, source);
            return std::vector<Tensor<float>>{draw_pictures(model, o)};
        },
        loaded.flow);
}

// Digits by the built-in Glow.
void draw_shipped(const Options& o) {
    const LoadedFlow loaded = load_flow(embedded_weights(Weights::flow));
    const std::string output = shipped_name(o.output);
    std::visit([&](const auto& model) { io::write_png(output, draw_pictures(model, o), 8); }, loaded.flow);
    std::printf("wrote %s: digits by a Glow that was trained on MNIST\n", output.c_str());
}

void run_program(Options o) {
    if (o.minutes > 0) o.seconds = 60 * o.minutes;
    if (o.checkpoint.empty()) o.checkpoint = o.file + ".checkpoint";
    if (o.data == "moons" && o.load.empty() && !o.resume) draw_shipped(o);
    if (o.data == "all") {
        std::vector<Tensor<float>> columns;
        for (const char* toy : {"moons", "rings", "checkerboard", "eight_gaussians"}) {
            o.data = toy;
            columns.push_back(below(run_one(o)));
        }
        o.data = "all";
        io::write_png(o.output, beside(columns));
    } else {
        const std::vector<Tensor<float>> pictures = run_one(o);
        io::write_png(o.output, pictures.size() == 1 ? pictures[0] : beside(pictures), pictures.size() == 1 ? 8 : 1);
    }
    std::printf("wrote %s%s\n", o.output.c_str(), o.load.empty() ? (" and " + o.file).c_str() : "");
    if (o.load.empty() && o.steps == 0 && o.minutes == 0)
        std::printf("for sharper edges train longer: train_flow %s --minutes 5\n", o.data.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Trains a normalizing flow on points or pictures.", "train_flow");
    Options options;
    add_options(app, options);
    return run(app, argc, argv, [&] { run_program(options); });
}
