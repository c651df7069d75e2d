// Draws pictures of chosen classes from a trained diffusion model and writes them as one PNG sheet.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/support/draw.hpp"
#include "examples/support/embedded_weights.hpp"
#include "examples/support/model_file.hpp"
#include "examples/support/picture_file.hpp"
#include "examples/support/run.hpp"
#include "genmod/io/apng.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/nn/freeze.hpp"
#include "genmod/version.hpp"

using namespace genmod;
using namespace examples;

namespace {

struct Options {
    std::string model;  // empty: the one inside the program
    std::vector<std::string> classes;
    std::string output = "samples.png";
    std::string animation;
    Index count = 4;
    Index columns = 0;
    std::int64_t seed = 42;
    std::string spacing = "trailing";
    std::string negative, init_image, mask;
    std::vector<double> guided = {0, 1};
    bool list = false;
    bool bare = false;
    bool bf16 = false;
    DrawOptions draw;
};

void add_options(CLI::App& app, Options& o) {
    app.add_option("classes", o.classes, "Names or numbers of classes (default: all)");
    app.add_option("-m,--model", o.model, "Model file of train_diffusion (default: Fashion-MNIST, inside the program)");
    app.add_option("-o,--output", o.output, "PNG file to write")->capture_default_str();
    app.add_option("-b,--batch-count", o.count, "Pictures of each class")
        ->capture_default_str()
        ->check(CLI::Range(1, 10000));
    app.add_option("--columns", o.columns, "Pictures in a row (default: one row a class)")->check(CLI::Range(1, 1000));
    app.add_option("--steps", o.draw.steps, "Sampling steps")->capture_default_str()->check(CLI::Range(1, 100000));
    app.add_option("--cfg-scale", o.draw.cfg_scale, "Guidance: 1 is none, 0 leaves the class out")
        ->capture_default_str()
        ->check(CLI::Range(-100.0, 100.0));
    app.add_option("--cfg-rescale", o.draw.cfg_rescale, "How far to bring the contrast back, 0 to 1")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--eta", o.draw.eta, "Noise of DDIM steps, 0 to 1")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("-s,--seed", o.seed, "Seed of the first picture, the next ones count up; negative: a random one")
        ->capture_default_str();
    app.add_option("--sampling-method", o.draw.sampler,
                   "ddim, euler_a, dpm++2m, unipc ..., as in stable-diffusion.cpp, k-diffusion, web UIs or diffusers")
        ->capture_default_str();
    app.add_option(
        "--scheduler", o.draw.scheduler,
        "Noise levels: discrete, karras, exponential, sgm_uniform, beta, ays ... (default: the method's own)");
    app.add_option("--spacing", o.spacing, "leading, linspace, trailing or quadratic, for ddim, ddpm and pndm")
        ->capture_default_str();
    app.add_option("--animation", o.animation, "Also write the way from noise to picture as an animated PNG");
    app.add_flag("--bf16", o.bf16, "Keep and multiply the weights in bf16: half the memory");
    app.add_flag("--list-classes", o.list, "Print the model's classes and end");
    app.add_flag("--disable-image-metadata", o.bare, "Leave the generation parameters out of the PNG");
}

void add_control_options(CLI::App& app, Options& o) {
    app.add_option("--negative", o.negative, "Class to be led away from, instead of none in particular");
    app.add_option("--guidance-interval", o.guided, "Guide in this part of the steps only, as 0.2 0.8")->expected(2);
    auto* init = app.add_option("-i,--init-img,--init-image", o.init_image, "PNG file to start from");
    app.add_option("--strength", o.draw.strength, "How much of it to redraw, 0 to 1")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--mask", o.mask, "PNG file: what is white in it is redrawn, the rest stays")->needs(init);
}

io::Safetensors open_model(const std::string& path) {
    return path.empty() ? embedded_weights(Weights::diffusion) : io::Safetensors(path);
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The number of a class given by name or number.
Index class_number(const std::string& text, const std::vector<std::string>& names) {
    for (std::size_t k = 0; k < names.size(); ++k)
        if (same_name(text, names[k]) || text == std::to_string(k)) return static_cast<Index>(k);
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    fail(ErrorCode::argument, "unknown class \"", text, "\"; known are ", known);
}

std::vector<Index> wanted_labels(const Options& o, const std::vector<std::string>& names) {
    std::vector<Index> labels;
    for (const std::string& text : o.classes)
        labels.insert(labels.end(), static_cast<std::size_t>(o.count), class_number(text, names));
    for (std::size_t k = 0; o.classes.empty() && k < names.size(); ++k)
        labels.insert(labels.end(), static_cast<std::size_t>(o.count), static_cast<Index>(k));
    return labels;
}

// The last part of a path.
std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

// What steered the run, where anything did.
void add_control(const Options& o, io::Json::Members& json, std::string& line) {
    if (!o.negative.empty()) json["negative"] = o.negative;
    if (o.guided != std::vector<double>{0, 1}) json["guidance_interval"] = io::Json::Items{o.guided[0], o.guided[1]};
    if (o.init_image.empty()) return;
    json["init_image"] = file_name(o.init_image);
    json["strength"] = o.draw.strength;
    line += message(", Denoising strength: ", o.draw.strength);
    if (!o.mask.empty()) json["mask"] = file_name(o.mask);
}

// What made the picture: one line as web programs write it, and the same as JSON.
io::PngText parameters(const Options& o, const ModelConfig& config, const std::vector<Index>& labels,
                       std::uint64_t seed) {
    if (o.bare) return {};
    std::string prompt;
    io::Json::Items classes;
    for (std::size_t k = 0; k < labels.size(); k += static_cast<std::size_t>(o.count)) {
        const std::string& name = config.class_names[static_cast<std::size_t>(labels[k])];
        prompt += (prompt.empty() ? "" : ", ") + name;
        classes.emplace_back(name);
    }
    const std::string model = o.model.empty() ? "built-in" : file_name(o.model);
    const std::string side = std::to_string(config.size());
    std::string line =
        message("Steps: ", o.draw.steps, ", Sampler: ", o.draw.sampler, ", CFG scale: ", o.draw.cfg_scale,
                ", Seed: ", seed, ", Size: ", side, "x", side, ", Model: ", model, ", Version: genmod ", version);
    io::Json::Members json{{"classes", classes},
                           {"pictures_per_class", o.count},
                           {"steps", o.draw.steps},
                           {"sampling_method", o.draw.sampler},
                           {"scheduler", o.draw.scheduler},
                           {"spacing", o.spacing},
                           {"eta", o.draw.eta},
                           {"cfg_scale", o.draw.cfg_scale},
                           {"cfg_rescale", o.draw.cfg_rescale},
                           {"seed", static_cast<Index>(seed)},
                           {"model", model},
                           {"precision", o.bf16 ? "bf16" : "float"},
                           {"version", std::string(version)}};
    add_control(o, json, line);
    return {{"parameters", prompt + "\n" + line}, {"genmod", io::to_text(json)}};
}

// Reads what steers the run.
void take_control(Options& o, const ModelConfig& config) {
    if (!o.negative.empty()) o.draw.negative = class_number(o.negative, config.class_names);
    o.draw.guidance_start = o.guided[0];
    o.draw.guidance_stop = o.guided[1];
    if (!o.init_image.empty()) o.draw.init_image = read_picture(o.init_image, config.size(), config.unet.in_channels);
    if (!o.mask.empty()) o.draw.mask = read_mask(o.mask, config.size());
}

void run_program(Options o) {
    o.draw.spacing = diffusion::parse_spacing(o.spacing);
    for (const double number : {o.draw.cfg_scale, o.draw.cfg_rescale, o.draw.eta})
        check(is_finite(number), "expected a finite number, found ", number);
    TrainedModel model = load_model(open_model(o.model));
    nn::freeze(model.network, o.bf16 ? Precision::bf16 : Precision::full);
    const auto& names = model.config.class_names;
    if (o.list) {
        for (std::size_t k = 0; k < names.size(); ++k) std::printf("%zu %s\n", k, names[k].c_str());
        return;
    }
    const std::vector<Index> labels = wanted_labels(o, names);
    take_control(o, model.config);
    const std::uint64_t seed = o.seed >= 0 ? static_cast<std::uint64_t>(o.seed) : std::random_device{}();
    const Index columns = o.columns > 0 ? o.columns : o.classes.size() == 1 ? std::min<Index>(o.count, 8) : o.count;
    if (!o.animation.empty()) {
        check(static_cast<Index>(labels.size()) <= 256, "--animation: at most 256 pictures, found ", labels.size());
        o.draw.batch = static_cast<Index>(labels.size());
    }
    std::vector<io::Image> frames;
    io::Progress progress("sampling");
    const Tensor<float> pictures =
        draw(model.config, model.network, labels, seed, o.draw, [&](diffusion::SampleStep<float>& step) {
            progress(step.step, step.total);
            if (!o.animation.empty()) frames.push_back(io::grid(step.x, columns));
        });
    const io::PngText text = parameters(o, model.config, labels, seed);
    io::write_png(o.output, pictures, columns, text);
    std::printf("wrote %s: %zu pictures, seed %llu\n", o.output.c_str(), labels.size(),
                static_cast<unsigned long long>(seed));
    if (o.animation.empty()) return;
    io::write_apng(o.animation, frames, {.frame_ms = 60, .last_frame_ms = 2000}, text);
    std::printf("wrote %s: %zu frames\n", o.animation.c_str(), frames.size());
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Draws pictures from a trained diffusion model.", "sample_images");
    Options options;
    add_options(app, options);
    add_control_options(app, options);
    return run(app, argc, argv, [&] { run_program(options); });
}
