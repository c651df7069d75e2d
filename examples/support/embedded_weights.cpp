#include "examples/support/embedded_weights.hpp"

// The assembler copies the file into the read-only data.
__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    "genmod_weights_begin:\n"
    ".incbin \"" GENMOD_WEIGHTS_FILE
    "\"\n"
    "genmod_weights_end:\n"
    ".byte 0\n"
    ".text\n");

extern "C" {
extern const std::uint8_t genmod_weights_begin[];
extern const std::uint8_t genmod_weights_end[];
}

namespace examples {

std::span<const std::uint8_t> embedded_weights() { return {genmod_weights_begin, genmod_weights_end}; }

}  // namespace examples
