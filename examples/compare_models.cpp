// Trains a VAE, a flow, a GAN and a diffusion model for the same time on the same data, and measures each alike.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/contenders.hpp"
#include "examples/support/contestant.hpp"
#include "examples/support/data.hpp"
#include "examples/support/heat.hpp"
#include "examples/support/judge.hpp"
#include "examples/support/run.hpp"
#include "examples/support/table.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/data/toy.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/metrics/frechet.hpp"
#include "genmod/metrics/mean_discrepancy.hpp"
#include "genmod/metrics/precision_recall.hpp"
#include "genmod/metrics/sliced_wasserstein.hpp"
#include "genmod/ops/softmax.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string data = fashion_mnist;
    std::string output = "compare_models";
    double minutes = 0.4;
    double point_seconds = 3;
    Index steps = 0, point_steps = 0;
    Index count = 1000;
    Index epochs = 1;
    std::uint64_t seed = 0;
    std::string only;

    bool wants(const Contender& contender) const { return contender.name.find(only) != std::string::npos; }
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// `format` as printf() has it, for one number.
std::string text(const char* format, double value) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, format, value);
    return buffer;
}

std::string text(const metrics::MeanAndError& value) {
    return text("%.3f", value.mean) + " ± " + text("%.3f", value.standard_error);
}

// How many steps fit into the time, measured with a model that is thrown away.
Index steps_that_fit(const Contender& contender, const Batch& batch, double seconds, std::uint64_t seed) {
    const auto probe = contender.make(100, seed);
    probe->step(batch(0));
    const auto start = Clock::now();
    Index count = 0;
    for (; count < 5 || seconds_since(start) < std::min(1.0, seconds / 20); ++count) probe->step(batch(count));
    return std::max<Index>(10, static_cast<Index>(static_cast<double>(count) * seconds / seconds_since(start)));
}

struct Trained {
    std::string name;
    std::unique_ptr<Contestant> model;
    Index steps = 0;
    double seconds = 0;
};

Trained train(const Contender& contender, const Batch& batch, double seconds, Index steps, std::uint64_t seed) {
    if (steps == 0) steps = steps_that_fit(contender, batch, seconds, seed);
    Trained result{.name = contender.name, .model = contender.make(steps, seed), .steps = steps};
    io::Progress progress("training " + contender.name);
    const auto start = Clock::now();
    for (Index step = 0; step < steps; ++step) {
        if (stop_requested()) fail(ErrorCode::stopped, "stopped in the training of ", contender.name);
        result.model->step(batch(step));
        progress(step + 1, steps);
    }
    result.seconds = seconds_since(start);
    return result;
}

// The root mean square of the difference.
double rms_difference(const Tensor<float>& a, const Tensor<float>& b) {
    double squares = 0;
    for (Index k = 0; k < a.size(); ++k) {
        const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
        squares += difference * difference;
    }
    return std::sqrt(squares / static_cast<double>(a.size()));
}

// How far samples are from what decoding their latents gives, in parts of the data's range.
std::string inversion(const Contestant& model, const Tensor<float>& x) {
    const std::optional<Tensor<float>> z = model.encode(x);
    return z ? text("%.2g", rms_difference(model.decode(*z), x) / 2) : "no latent";
}

// --- points ---------------------------------------------------------------------------------------------------------

constexpr Index point_count = 4000, point_side = 160;
constexpr int seeds = 3;

struct PointScore {
    std::vector<double> distance, discrepancy, nats, seconds;
    std::string kind = "none";
    Index parameters = 0, steps = 0;
    std::string inverse;
};

void score_points(const Trained& trained, std::uint64_t seed, PointScore& score) {
    Rng rng(seed + 1000, Purpose::data);
    const Tensor<float> real = toy_points(point_count, rng);
    const auto start = Clock::now();
    const Tensor<float> made = trained.model->sample(point_count, seed);
    score.seconds.push_back(seconds_since(start));
    score.distance.push_back(metrics::sliced_wasserstein(made, real));
    score.discrepancy.push_back(
        std::sqrt(std::max(0.0, metrics::mean_discrepancy(made.slice(0, 1000), real.slice(0, 1000)))));
    if (const auto found = trained.model->likelihood(real.slice(0, 1000))) {
        score.nats.push_back(-found->nats_per_sample().mean);
        score.kind = to_string(found->kind);
    }
    score.parameters = trained.model->parameters();
    score.steps = trained.steps;
    score.inverse = inversion(*trained.model, real.slice(0, 500));
}

// Mean and deviation over the seeds.
std::string spread(const std::vector<double>& values, const char* format) {
    if (values.empty()) return "none";
    const metrics::MeanAndError found = metrics::mean_and_error(values);
    return text(format, found.mean) + " ± " +
           text(format, found.standard_error * std::sqrt(static_cast<double>(values.size())));
}

Table compare_points(const Options& o) {
    Table table({"points", "parameters", "training steps", "seconds for 4000", "sliced Wasserstein", "MMD",
                 "-log p (nats)", "inversion"});
    const Batch batch = [&o](Index step) {
        Rng rng(o.seed, Purpose::data, static_cast<std::uint64_t>(step) << 32);
        return toy_points(256, rng);
    };
    Rng rng(~std::uint64_t{0});
    std::vector<Tensor<float>> maps{point_map(toy_points(20000, rng), point_side, 2.4)};
    for (const Contender& contender : point_contenders()) {
        if (!o.wants(contender)) continue;
        PointScore score;
        for (int k = 0; k < seeds; ++k) {
            const auto seed = o.seed + static_cast<std::uint64_t>(k);
            const Trained trained = train(contender, batch, o.point_seconds, o.point_steps, seed);
            score_points(trained, seed, score);
            if (k == 0) maps.push_back(point_map(trained.model->sample(20000, o.seed), point_side, 2.4));
        }
        table.add({contender.name, std::to_string(score.parameters), std::to_string(score.steps),
                   spread(score.seconds, "%.3f"), spread(score.distance, "%.3f"), spread(score.discrepancy, "%.3f"),
                   spread(score.nats, "%.3f") + (score.nats.empty() ? "" : " (" + score.kind + ")"), score.inverse});
    }
    io::write_png(o.output + "_points.png", beside(maps));
    return table;
}

// --- pictures -------------------------------------------------------------------------------------------------------

struct PictureTest {
    Judge judge;
    Tensor<float> real_features;  // of training pictures
    Tensor<float> held_out;       // pictures that no model has seen, with noise over their grey levels
};

Tensor<float> some(const Images& images, Index first, Index count) {
    std::vector<Index> indices(static_cast<std::size_t>(count));
    std::iota(indices.begin(), indices.end(), first);
    return images.batch(indices);
}

// The part of pictures of which the judge is sure: one class has nine tenths.
double sure(const Judge& judge, const Tensor<float>& pictures) {
    const NoGrad off;
    const Tensor<float> shares = ops::softmax(judge(pictures).logits).value();
    const Index classes = shares.dim(1);
    Index count = 0;
    for (Index k = 0; k < shares.dim(0); ++k)
        count += *std::max_element(shares.data() + k * classes, shares.data() + (k + 1) * classes) > 0.9f ? 1 : 0;
    return static_cast<double>(count) / static_cast<double>(shares.dim(0));
}

std::vector<std::string> quality(const PictureTest& test, const Tensor<float>& pictures) {
    const Tensor<float> features = judge_all(test.judge, pictures).features;
    const auto near = metrics::precision_recall(test.real_features.slice(0, features.dim(0)), features);
    return {text("%.1f", metrics::frechet_distance(test.real_features, features)), text("%.2f", near.precision),
            text("%.2f", near.recall), text("%.0f %%", 100 * sure(test.judge, pictures))};
}

// The pictures without NaN and infinity, which an inverse of little training may give.
Tensor<float> finite(const Tensor<float>& pictures) {
    const Index size = pictures.size() / pictures.dim(0);
    Tensor<float> result = pictures.clone();
    Index kept = 0;
    for (Index k = 0; k < pictures.dim(0); ++k) {
        const float* own = pictures.data() + k * size;
        if (std::all_of(own, own + size, [](float number) { return is_finite(number); }))
            std::copy_n(own, size, result.data() + kept++ * size);
    }
    return result.slice(0, kept);
}

// A row of samples, and below it the way from one to another: between two new pictures where the model finds latents,
// else between two latents that are drawn.
Tensor<float> strip(const Contestant& model, const PictureTest& test, std::uint64_t seed) {
    constexpr Index columns = 12;
    const Tensor<float> samples = model.sample(columns, seed + 5000);
    const Tensor<float> z = model.encode(test.held_out.slice(0, 2)).value_or(model.latents(2, seed));
    const Shape one = z.shape().without(0);
    const Tensor<float> way = model.decode(
        nn::interpolation(z.slice(0, 1).reshape(one), z.slice(1, 2).reshape(one), columns, nn::Way::spherical));
    Tensor<float> both(samples.shape().with(0, 2 * columns));
    both.slice(0, columns).assign(samples);
    both.slice(columns, 2 * columns).assign(way);
    return both;
}

std::vector<std::string> picture_row(const Trained& trained, const PictureTest& test, const Options& o) {
    const auto start = Clock::now();
    const Tensor<float> all = trained.model->sample(o.count, o.seed + 100000);
    const double seconds = seconds_since(start);
    const Tensor<float> made = finite(all);
    const Index lost = o.count - made.dim(0);
    check(made.dim(0) >= 10, trained.name, ": of ", o.count, " pictures only ", made.dim(0), " are finite");
    std::vector<std::string> row{trained.name + (lost > 0 ? " (" + std::to_string(lost) + " not finite)" : ""),
                                 std::to_string(trained.model->parameters()), std::to_string(trained.steps),
                                 text("%.0f", 64 * static_cast<double>(trained.steps) / trained.seconds),
                                 text("%.0f", static_cast<double>(o.count) / seconds)};
    for (const std::string& cell : quality(test, made)) row.push_back(cell);
    const auto likelihood = trained.model->likelihood(test.held_out);
    row.push_back(likelihood ? text(likelihood->bits()) + " (" + to_string(likelihood->kind) + ")" : "none");
    row.push_back(inversion(*trained.model, test.held_out.slice(0, std::min<Index>(32, test.held_out.dim(0)))));
    return row;
}

// The table, and that of the variants.
std::vector<Table> compare_pictures(const Options& o) {
    const Images images = load_images(o.data), held_out = load_images(o.data, "t10k");
    check(images.pixels.dim(1) == 28 && images.pixels.dim(2) == 28 && images.pixels.dim(3) == 1,
          "compare_models: expected grey pictures of 28 x 28, found ", images.pixels.shape());
    check(o.count >= 10 && o.count <= std::min(images.size(), held_out.size()), "compare_models: --count ", o.count,
          " is not in 10..", std::min(images.size(), held_out.size()));
    PictureTest test{.judge = train_judge(images, o.epochs, 1), .real_features = {}, .held_out = {}};
    test.real_features =
        judge_all(test.judge, some(images, 0, std::max(o.count, std::min<Index>(5000, images.size())))).features;
    test.held_out = diffusion::dequantized(some(held_out, 0, std::min<Index>(250, o.count)), 1);
    const data::Batches order(images.size(), 64, o.seed);
    const Batch batch = [&](Index step) {
        return diffusion::dequantized(images.batch(order.indices(step)),
                                      o.seed + (static_cast<std::uint64_t>(step) << 20));
    };
    Table table({"pictures", "parameters", "training steps", "pictures/s trained on", "pictures/s drawn", "Fréchet",
                 "precision", "recall", "judge is sure", "bits/dim", "inversion"});
    std::vector<std::string> real{"(new real ones)", "", "", "", ""};
    for (const std::string& cell : quality(test, some(held_out, 0, o.count))) real.push_back(cell);
    real.insert(real.end(), {"", ""});
    table.add(real);
    Table variants({"the same models", "pictures", "Fréchet", "precision", "recall", "judge is sure"});
    std::vector<Tensor<float>> strips;
    for (const Contender& contender : picture_contenders(some(images, 0, 256))) {
        if (!o.wants(contender)) continue;
        const Trained trained = train(contender, batch, 60 * o.minutes, o.steps, o.seed);
        table.add(picture_row(trained, test, o));
        strips.push_back(strip(*trained.model, test, o.seed));
        for (const Variant& variant : trained.model->variants(some(held_out, 0, o.count), o.seed + 100000)) {
            std::vector<std::string> row{trained.name, variant.name};
            for (const std::string& cell : quality(test, finite(variant.samples))) row.push_back(cell);
            variants.add(row);
        }
    }
    Tensor<float> sheet({24 * static_cast<Index>(strips.size()), 28, 28, 1});
    for (std::size_t k = 0; k < strips.size(); ++k) {
        const auto first = 24 * static_cast<Index>(k);
        sheet.slice(first, first + 24).assign(strips[k]);
    }
    for (float& number : sheet)
        if (!is_finite(number)) number = 0;  // shown as grey
    io::write_png(o.output + ".png", sheet, 12);
    return {table, variants};
}

void run_program(const Options& o) {
    const auto start = Clock::now();
    const Table points = compare_points(o);
    const std::vector<Table> pictures = compare_pictures(o);
    const std::string all = points.markdown() + "\n" + pictures[0].markdown() + "\n" + pictures[1].markdown();
    std::ofstream file(o.output + ".md");
    file << all;
    file.close();
    if (!file) fail(ErrorCode::io, o.output, ".md: cannot be written");
    io::write_png(o.output + "_table.png", below({points.picture(), pictures[0].picture(), pictures[1].picture()}));
    std::printf(
        "%s\nwrote %s.md and %s_table.png (the tables), %s.png (two rows each of VAE, flow, GAN, diffusion: samples, "
        "and the way between two "
        "latents) and %s_points.png (data, and the four); %.0f s in all\n",
        all.c_str(), o.output.c_str(), o.output.c_str(), o.output.c_str(), o.output.c_str(), seconds_since(start));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Compares a VAE, a flow, a GAN and a diffusion model, each trained for the same time.",
                 "compare_models");
    Options o;
    app.add_option("data", o.data, "Pictures: a folder with MNIST's IDX files")->capture_default_str();
    app.add_option("--minutes", o.minutes, "Training time of each model of pictures")
        ->capture_default_str()
        ->check(CLI::Range(0.001, 1e5));
    app.add_option("--point-seconds", o.point_seconds, "Training time of each model of points, three times")
        ->capture_default_str()
        ->check(CLI::Range(0.01, 1e5));
    app.add_option("--steps", o.steps, "Train each model of pictures for this many steps instead")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--point-steps", o.point_steps, "Train each model of points for this many steps instead")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--count", o.count, "Pictures drawn from each model")->capture_default_str();
    app.add_option("--epochs", o.epochs, "Training of the judge")->capture_default_str()->check(CLI::Range(1, 1000));
    app.add_option("--only", o.only, "Only this family")->check(CLI::IsMember({"VAE", "flow", "GAN", "diffusion"}));
    app.add_option("-s,--seed", o.seed, "Seed")->capture_default_str();
    app.add_option("-o,--output", o.output, "Beginning of the names of the files to write")->capture_default_str();
    return run(app, argc, argv, [&] { run_program(o); });
}
