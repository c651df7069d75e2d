#include "examples/support/embedded_weights.hpp"

#include <cstdint>

#include "genmod/io/read_file.hpp"

// The assembler copies the files into the read-only data.
__asm__(
    ".section .rodata\n"
    "genmod_weights_diffusion:\n"
    ".incbin \"" GENMOD_WEIGHTS_FOLDER
    "/fashion_mnist.safetensors\"\n"
    "genmod_weights_vae:\n"
    ".incbin \"" GENMOD_WEIGHTS_FOLDER
    "/fashion_vae.safetensors\"\n"
    "genmod_weights_gan:\n"
    ".incbin \"" GENMOD_WEIGHTS_FOLDER
    "/fashion_gan.safetensors\"\n"
    "genmod_weights_flow:\n"
    ".incbin \"" GENMOD_WEIGHTS_FOLDER
    "/mnist_glow.safetensors\"\n"
    "genmod_weights_end:\n"
    ".byte 0\n"
    ".text\n");

extern "C" {
extern const std::uint8_t genmod_weights_diffusion[];
extern const std::uint8_t genmod_weights_vae[];
extern const std::uint8_t genmod_weights_gan[];
extern const std::uint8_t genmod_weights_flow[];
extern const std::uint8_t genmod_weights_end[];
}

namespace examples {

genmod::io::Safetensors embedded_weights(Weights which) {
    const std::uint8_t* const places[] = {genmod_weights_diffusion, genmod_weights_vae, genmod_weights_gan,
                                          genmod_weights_flow, genmod_weights_end};
    const auto k = static_cast<int>(which);
    return {genmod::io::Bytes(places[k], places[k + 1]), "the built-in model"};
}

}  // namespace examples
