// Flows that are chosen by name, and their files: weights by key, the configuration as JSON in the metadata.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/flows/ffjord.hpp"
#include "genmod/flows/glow.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/flows/spline_flow.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/state.hpp"

namespace examples {

using genmod::Index;
using genmod::Shape;

struct FlowConfig {
    std::string model;   // of points: realnvp, spline, ffjord; of images: realnvp, glow
    Shape sample = {2};  // [d] or [h, w, c]
    Index depth = 8;     // couplings (of a level), steps (of a level of Glow), or hidden layers of ffjord
    Index hidden = 128;  // width of the networks
    Index levels = 2;    // of images
};

using AnyFlow = std::variant<genmod::flows::PointFlow<float>, genmod::flows::ImageFlow<float>,
                             genmod::flows::Flow<float, genmod::flows::Ffjord<float>>>;

namespace detail {

inline AnyFlow make_point_flow(const FlowConfig& c, genmod::Rng& rng) {
    namespace flows = genmod::flows;
    const Index dims = c.sample.dim(0);
    if (c.model == "realnvp")
        return flows::real_nvp<float>(dims, rng, {.couplings = c.depth, .network = {.hidden = {c.hidden, c.hidden}}});
    if (c.model == "spline")
        return flows::spline_flow<float>(dims, rng,
                                         {.couplings = c.depth, .network = {.hidden = {c.hidden, c.hidden}}});
    genmod::check(c.model == "ffjord", "flow: no model \"", c.model, "\" of points; there are realnvp, spline, ffjord");
    const std::vector<Index> widths(static_cast<std::size_t>(c.depth), c.hidden);
    const genmod::nn::IntegrateOptions integrate{.ode = {.atol = 1e-4, .rtol = 1e-4}, .seminorm = true};
    return flows::Flow<float, flows::Ffjord<float>>(
        flows::ffjord<float>(dims, rng, {.hidden = widths}, {.integrate = integrate}), c.sample);
}

inline AnyFlow make_image_flow(const FlowConfig& c, genmod::Rng& rng) {
    namespace flows = genmod::flows;
    if (c.model == "glow")
        return flows::glow<float>(c.sample, rng, {.levels = c.levels, .steps = c.depth, .hidden = c.hidden});
    genmod::check(c.model == "realnvp", "flow: no model \"", c.model, "\" of images; there are realnvp and glow");
    return flows::image_real_nvp<float>(c.sample, rng,
                                        {.halvings = c.levels, .couplings = c.depth, .hidden = c.hidden});
}

}  // namespace detail

// A flow with first weights. Throws Error(argument) for what does not fit.
inline AnyFlow make_flow(const FlowConfig& config, std::uint64_t seed) {
    genmod::Rng rng(seed, genmod::Purpose::weights);
    genmod::check(config.sample.rank() == 1 || config.sample.rank() == 3, "flow: samples ", config.sample);
    return config.sample.rank() == 1 ? detail::make_point_flow(config, rng) : detail::make_image_flow(config, rng);
}

inline genmod::io::Json to_json(const FlowConfig& config) {
    genmod::io::Json::Items sample;
    for (Index axis = 0; axis < config.sample.rank(); ++axis) sample.emplace_back(config.sample.dim(axis));
    return genmod::io::Json::Members{{"model", config.model},
                                     {"sample", sample},
                                     {"depth", config.depth},
                                     {"hidden", config.hidden},
                                     {"levels", config.levels}};
}

// Throws Error(bad_file) when a key is missing, unknown, of another kind or out of range.
inline FlowConfig read_flow_config(const genmod::io::Config& json) {
    json.allow_only({"model", "sample", "depth", "hidden", "levels"});
    const std::vector<Index> sample = json.integers("sample");
    FlowConfig config{.model = json.text("model"),
                      .sample = {},
                      .depth = json.integer("depth"),
                      .hidden = json.integer("hidden"),
                      .levels = json.integer("levels")};
    const auto fits = [](Index number) { return number >= 1 && number <= 1024; };
    if ((sample.size() != 1 && sample.size() != 3) || !std::all_of(sample.begin(), sample.end(), fits) ||
        !fits(config.depth) || !fits(config.hidden) || config.levels < 1 || config.levels > 8 || sample.back() > 64)
        genmod::fail(genmod::ErrorCode::bad_file, json.name(), ": sizes of a flow that are out of range");
    config.sample = Shape(sample.data(), static_cast<Index>(sample.size()));
    return config;
}

// Writes the model. Throws Error(io); then an old file is still there.
template <class Model>
void save_flow(const std::string& path, const FlowConfig& config, const Model& model) {
    genmod::io::SafetensorsWriter file;
    file.set_metadata("format", "pt");
    file.set_metadata("genmod.flow", genmod::io::to_text(to_json(config)));
    genmod::nn::save(model, file);
    file.save(path);
}

struct LoadedFlow {
    FlowConfig config;
    AnyFlow flow;
};

// Throws Error(bad_file) when the file is damaged or holds another kind of model.
inline LoadedFlow load_flow(const genmod::io::Safetensors& file) {
    using genmod::io::parse_json;
    const auto found = file.metadata().find("genmod.flow");
    if (found == file.metadata().end()) genmod::fail(genmod::ErrorCode::bad_file, file.name(), ": not a flow");
    const FlowConfig config = read_flow_config(genmod::io::Config(parse_json(found->second, file.name()), file.name()));
    // The widest matrices must be in the file, before memory is taken for them.
    const Index channels = config.sample.rank() == 3 ? config.sample.dim(2) * (Index{2} << config.levels) : 1;
    if (config.depth * (config.hidden * config.hidden + channels * channels) > file.numbers())
        genmod::fail(genmod::ErrorCode::bad_file, file.name(), ": smaller than the weights of the flow that it names");
    try {
        AnyFlow flow = make_flow(config, 0);
        std::visit([&](auto& model) { genmod::nn::load(model, file); }, flow);
        return {config, std::move(flow)};
    } catch (const genmod::Error& error) {
        genmod::fail(genmod::ErrorCode::bad_file, file.name(), ": ", error.what());
    }
}

}  // namespace examples
