// Definitions of io/png.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "genmod/core/error.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/impl/stb_image_write.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io::detail {

template <class Picture>
Bytes encode_pixels(const Picture& image) {
    const auto expected = static_cast<std::size_t>(image.height * image.width * image.channels);
    check(image.height >= 1 && image.width >= 1 && image.channels >= 1 && image.channels <= 4, "png: cannot write ",
          image.height, " x ", image.width, " pixels of ", image.channels, " channels");
    // stb counts bytes in an int and doubles its buffers.
    check(image.height <= 16384 && image.width <= 16384 && expected <= (std::size_t{1} << 29) - 16384,
          "png: a picture of ", image.height, " x ", image.width, " pixels is too large");
    check(image.pixels.size() == expected, "png: expected ", expected, " bytes of pixels, found ", image.pixels.size());
    const stb::Memory memory;
    int size = 0;
    const unsigned char* png =
        stb::stbi_write_png_to_mem(image.pixels.data(), 0, static_cast<int>(image.width),
                                   static_cast<int>(image.height), static_cast<int>(image.channels), &size);
    return Bytes(png, png + size);
}

}  // namespace genmod::io::detail
