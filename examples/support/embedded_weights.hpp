// The file examples/weights/fashion_mnist.safetensors as part of the program.
#pragma once

#include <cstdint>
#include <span>

namespace examples {

std::span<const std::uint8_t> embedded_weights();

}  // namespace examples
