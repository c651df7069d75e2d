// The files of examples/weights as parts of the programs.
#pragma once

#include <filesystem>
#include <string>

#include "genmod/io/safetensors.hpp"

namespace examples {

enum class Weights { diffusion, vae, gan, flow };

// Throws Error(bad_file) when the file was damaged as the program was built.
genmod::io::Safetensors embedded_weights(Weights which);

// The picture that a training program draws with them before it trains: gan.png -> gan_shipped.png.
inline std::string shipped_name(const std::string& output) {
    const std::filesystem::path path(output);
    return (path.parent_path() / path.stem()).string() + "_shipped" + path.extension().string();
}

}  // namespace examples
