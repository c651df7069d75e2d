// A variational autoencoder in one safetensors file: weights by key, the configuration as JSON in the metadata.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/vae/config.hpp"
#include "genmod/vae/vae.hpp"

namespace genmod::vae {

inline constexpr std::array<std::string_view, 2> architecture_names{"convolutional", "fully_connected"};
inline constexpr std::array<std::string_view, 2> likelihood_names{"bernoulli", "gaussian"};
inline constexpr std::array<std::string_view, 9> activation_names{
    "relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "quick_gelu", "tanh", "sigmoid", "softplus"};

// The value of an enumeration by its name in one of these lists. Throws Error(argument) for an unknown one.
template <class Enum, std::size_t count>
Enum parse_name(const std::array<std::string_view, count>& names, std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<Enum>(found - names.begin());
    std::string known;
    for (const std::string_view each : names) known += (known.empty() ? "" : ", ") + std::string(each);
    fail(ErrorCode::argument, "VAE: unknown name \"", name, "\"; known are ", known);
}

inline io::Json to_json(const VaeConfig& config) {
    io::Json::Items sample, widths;
    for (Index axis = 0; axis < config.sample.rank(); ++axis) sample.emplace_back(config.sample.dim(axis));
    for (const Index width : config.widths) widths.emplace_back(width);
    const auto name = [](const auto& names, auto value) { return std::string(names[static_cast<std::size_t>(value)]); };
    return io::Json::Members{{"sample", sample},
                             {"latent", config.latent},
                             {"architecture", name(architecture_names, config.architecture)},
                             {"widths", widths},
                             {"activation", name(activation_names, config.activation)},
                             {"likelihood", name(likelihood_names, config.likelihood)},
                             {"deviation", config.deviation},
                             {"learn_deviation", config.learn_deviation}};
}

namespace detail {

// Whether a file may ask for a model of these sizes: no weight has over 2^28 numbers.
inline bool sizes_in_range(const std::vector<Index>& sample, const VaeConfig& config) {
    const auto bounded = [](Index number) { return number >= 1 && number <= 8192; };
    if (sample.empty() || sample.size() > 4 || !std::all_of(sample.begin(), sample.end(), bounded) ||
        config.widths.size() > 16 || !std::all_of(config.widths.begin(), config.widths.end(), bounded) ||
        !bounded(config.latent))
        return false;
    Index size = 1, widest = config.latent;
    for (const Index extent : sample) size *= extent;
    for (const Index width : config.widths) widest = std::max(widest, width);
    return size <= (Index{1} << 28) / widest;
}

// No more weights than a VAE has, of sizes in range: those between neighbouring hidden layers, and those around them.
inline double least_weights(const VaeConfig& config) {
    const bool full = config.architecture == Architecture::fully_connected;
    double sum = 0, in = full ? static_cast<double>(config.sample.size()) : 1;
    double places = full ? 1 : static_cast<double>(config.sample.size() / config.sample.dim(-1));
    for (const Index width : config.widths) {
        sum += in * static_cast<double>(width);
        in = static_cast<double>(width);
        places /= 4;
    }
    return sum + in * static_cast<double>(config.latent) * std::max(1.0, places);
}

}  // namespace detail

// Throws Error(bad_file) when a key is missing, unknown, of another kind or out of range.
inline VaeConfig read_vae_config(const io::Config& json) {
    json.allow_only(
        {"sample", "latent", "architecture", "widths", "activation", "likelihood", "deviation", "learn_deviation"});
    const std::vector<Index> sample = json.integers("sample");
    VaeConfig config{.sample = {}, .latent = json.integer("latent"), .widths = json.integers("widths")};
    if (!detail::sizes_in_range(sample, config) || !(json.number("deviation") > 0))
        fail(ErrorCode::bad_file, json.name(), ": sizes of a VAE that are out of range");
    config.sample = Shape(sample.data(), static_cast<Index>(sample.size()));
    config.deviation = json.number("deviation");
    config.learn_deviation = json.flag("learn_deviation");
    try {
        config.architecture = parse_name<Architecture>(architecture_names, json.text("architecture"));
        config.activation = parse_name<nn::Activation>(activation_names, json.text("activation"));
        config.likelihood = parse_name<Likelihood>(likelihood_names, json.text("likelihood"));
    } catch (const Error& error) {
        fail(ErrorCode::bad_file, json.name(), ": ", error.what());
    }
    return config;
}

// Writes the model, its weights as bfloat16. Throws Error(io); then an old file is still there.
template <class T>
void save_vae(const std::string& path, const Vae<T>& model) {
    io::SafetensorsWriter file;
    file.set_metadata("format", "pt");
    file.set_metadata("genmod.vae", io::to_text(to_json(model.config)));
    nn::save(model, file, {.prefix = {}, .dtype = io::Dtype::bf16});
    file.save(path);
}

// Throws Error(bad_file) when the file is damaged or holds another kind of model.
template <class T>
Vae<T> load_vae(const io::Safetensors& file) {
    const auto text = file.metadata().find("genmod.vae");
    if (text == file.metadata().end())
        fail(ErrorCode::bad_file, file.name(), ": no VAE: its metadata lack the key 'genmod.vae'");
    const VaeConfig config = read_vae_config(io::Config(io::parse_json(text->second, file.name()), file.name()));
    Rng rng(0);
    try {
        check(detail::least_weights(config) <= static_cast<double>(file.numbers()), "a VAE of more weights than the ",
              file.numbers(), " numbers of the file");
        Vae<T> model(config, rng);
        nn::load(model, file);
        return model;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::bad_file) throw;
        fail(ErrorCode::bad_file, file.name(), ": ", error.what());
    }
}

}  // namespace genmod::vae
