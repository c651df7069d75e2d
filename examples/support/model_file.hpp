// A trained diffusion model in one safetensors file: weights under diffusers' names, configurations in the metadata.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/state.hpp"

namespace examples {

using genmod::Index;

// What a network needs besides its weights. `unet` may hold one class more than class_names: the last one stands for
// "no class" in classifier-free guidance.
struct ModelConfig {
    genmod::diffusion::UnetConfig unet;
    genmod::diffusion::ScheduleOptions schedule;
    genmod::diffusion::PredictionType prediction_type = genmod::diffusion::PredictionType::v_prediction;
    std::vector<std::string> class_names;

    Index null_class() const { return static_cast<Index>(class_names.size()); }
    Index size() const { return unet.sample_size.at(0); }
};

struct TrainedModel {
    ModelConfig config;
    genmod::diffusion::Unet<float> network;
};

inline genmod::io::Json to_json(const ModelConfig& config) {
    using genmod::io::Json;
    Json::Items names;
    for (const std::string& name : config.class_names) names.emplace_back(name);
    return Json::Members{{"unet", genmod::diffusion::to_json(config.unet)},
                         {"scheduler", Json::Members{{"num_train_timesteps", config.schedule.num_train_timesteps},
                                                     {"beta_start", config.schedule.beta_start},
                                                     {"beta_end", config.schedule.beta_end},
                                                     {"beta_schedule", to_string(config.schedule.beta_schedule)},
                                                     {"prediction_type", to_string(config.prediction_type)}}},
                         {"class_names", names}};
}

// Throws Error(bad_file) for a text that is not such a configuration.
inline ModelConfig parse_model_config(const std::string& text, const std::string& name) {
    const genmod::io::Config json(genmod::io::parse_json(text, name), name);
    const genmod::io::Config scheduler = json.object("scheduler");
    try {
        ModelConfig config{
            .unet = genmod::diffusion::read_unet_config(json.object("unet")).config,
            .schedule = {},
            .prediction_type = genmod::diffusion::parse_prediction_type(scheduler.text("prediction_type")),
            .class_names = json.texts("class_names")};
        config.schedule.num_train_timesteps = scheduler.integer("num_train_timesteps");
        config.schedule.beta_start = scheduler.number("beta_start");
        config.schedule.beta_end = scheduler.number("beta_end");
        config.schedule.beta_schedule = genmod::diffusion::parse_beta_schedule(scheduler.text("beta_schedule"));
        return config;
    } catch (const genmod::Error& error) {
        genmod::fail(genmod::ErrorCode::bad_file, name, ": ", error.what());
    }
}

// Writes the network's weights as bfloat16, which halves the file. Throws Error(io); then an old file is still there.
inline void save_model(const std::string& path, const ModelConfig& config,
                       const genmod::diffusion::Unet<float>& network) {
    genmod::io::SafetensorsWriter file;
    file.set_metadata("format", "pt");
    file.set_metadata("genmod", genmod::io::to_text(to_json(config)));
    genmod::nn::save(network, file, {.prefix = "", .dtype = genmod::io::Dtype::bf16});
    file.save(path);
}

// Throws Error(bad_file) when the file is damaged or holds another kind of model.
inline TrainedModel load_model(const genmod::io::Safetensors& file) {
    const auto text = file.metadata().find("genmod");
    if (text == file.metadata().end())
        genmod::fail(genmod::ErrorCode::bad_file, file.name(),
                     ": no model of train_diffusion: its metadata lack the key 'genmod'");
    ModelConfig config = parse_model_config(text->second, file.name());
    genmod::Rng rng(0);
    genmod::diffusion::Unet<float> network(config.unet, rng);
    genmod::nn::load(network, file);
    return {std::move(config), std::move(network)};
}

}  // namespace examples
