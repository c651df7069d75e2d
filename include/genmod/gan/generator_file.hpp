// A DCGAN's generator in one safetensors file: weights by key, the configuration as JSON in the metadata.
#pragma once

#include <cmath>
#include <string>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_writer.hpp"
#include "genmod/nn/state.hpp"

namespace genmod::gan {

// What a generator needs to know of a configuration.
inline io::Json to_json(const DcganConfig& config) {
    return io::Json::Members{{"size", config.size},
                             {"coarse", config.coarse},
                             {"channels", config.channels},
                             {"latent", config.latent},
                             {"width", config.width}};
}

// Throws Error(bad_file) when a key is missing, unknown, of another kind or out of range.
inline DcganConfig read_dcgan_config(const io::Config& json) {
    json.allow_only({"size", "coarse", "channels", "latent", "width"});
    const auto bounded = [&](const char* key) {
        const Index number = json.integer(key);
        if (number < 1 || number > 4096) fail(ErrorCode::bad_file, json.name(), ": ", key, " ", number, " of a DCGAN");
        return number;
    };
    DcganConfig config;
    config.size = bounded("size");
    config.coarse = bounded("coarse");
    config.channels = bounded("channels");
    config.latent = bounded("latent");
    config.width = bounded("width");
    return config;
}

namespace detail {

// How many weights the convolutions of a generator have, as sizes from outside may be too large for an Index.
inline double generator_weights(const DcganConfig& config) {
    const Index last = stages(config);
    double in = static_cast<double>(config.latent), sum = 0;
    for (Index k = last; k >= 0; --k) {
        const double out = k == 0 ? static_cast<double>(config.channels)
                                  : std::ldexp(static_cast<double>(config.width), static_cast<int>(k - 1));
        const double side = k == last ? static_cast<double>(config.coarse) : 4.0;
        sum += in * out * side * side;
        in = out;
    }
    return sum;
}

}  // namespace detail

// Writes the generator, its weights as bfloat16. Throws Error(io); then an old file is still there.
template <class T>
void save_generator(const std::string& path, const Generator<T>& model) {
    io::SafetensorsWriter file;
    file.set_metadata("format", "pt");
    file.set_metadata("genmod.dcgan", io::to_text(to_json(model.config)));
    nn::save(model, file, {.prefix = {}, .dtype = io::Dtype::bf16});
    file.save(path);
}

// Throws Error(bad_file) when the file is damaged or holds another kind of model.
template <class T>
Generator<T> load_generator(const io::Safetensors& file) {
    const auto text = file.metadata().find("genmod.dcgan");
    if (text == file.metadata().end())
        fail(ErrorCode::bad_file, file.name(), ": no generator: its metadata lack the key 'genmod.dcgan'");
    const DcganConfig config = read_dcgan_config(io::Config(io::parse_json(text->second, file.name()), file.name()));
    Rng rng(0);
    try {
        check(detail::generator_weights(config) <= static_cast<double>(file.numbers()),
              "a DCGAN of more weights than the ", file.numbers(), " numbers of the file");
        Generator<T> model(config, rng);
        nn::load(model, file);
        return model;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::bad_file) throw;
        fail(ErrorCode::bad_file, file.name(), ": ", error.what());
    }
}

}  // namespace genmod::gan
