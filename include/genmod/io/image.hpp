// Pictures as bytes: from floats in [-1, 1] and back, and many of them on one sheet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/read_file.hpp"

namespace genmod::io {

// A picture of bytes: pixels[(y * width + x) * channels + channel], sRGB. 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
struct Image {
    Index height = 0, width = 0, channels = 0;
    Bytes pixels;
};

// The byte of a value in [-1, 1]: rounded, values outside clamped.
template <class T>
std::uint8_t to_byte(T value) {
    return static_cast<std::uint8_t>(std::clamp((value + T(1)) * T(127.5) + T(0.5), T(0), T(255)));
}

// The value in [-1, 1] of a byte; to_byte() gives the byte back.
template <class T>
T from_byte(std::uint8_t byte) {
    return static_cast<T>(byte) / T(127.5) - T(1);
}

// All pictures of images [n, h, w, c] (or one, [h, w, c]), c in 1..4, in rows of `columns` on one sheet, with `padding`
// white pixels between them (clear ones where there is alpha). Missing ones in the last row stay white. Throws
// Error(argument) for other shapes and for columns < 1, Error(non_finite) where a picture holds NaN or infinity.
template <class T>
Image grid(const Tensor<T>& images, Index columns = 1, Index padding = 2) {
    check(images.rank() == 3 || images.rank() == 4, "grid: expected images [n, h, w, c], found ", images.shape());
    const Index count = images.rank() == 4 ? images.dim(0) : 1;
    const Index height = images.dim(-3), width = images.dim(-2), channels = images.dim(-1);
    check(count >= 1 && height >= 1 && width >= 1 && channels >= 1 && channels <= 4,
          "grid: expected at least one picture of 1 to 4 channels, found ", images.shape());
    constexpr Index limit = 16384;
    check(columns >= 1 && columns <= limit && padding >= 0 && padding <= limit, "grid: columns ", columns,
          " or padding ", padding, " is not in 1..", limit);
    columns = std::min(columns, count);
    const Index rows = (count + columns - 1) / columns;
    check(height <= limit && width <= limit && rows <= limit, "grid: more than ", limit, " pixels a side");

    Image sheet{rows * (height + padding) - padding, columns * (width + padding) - padding, channels, {}};
    check(sheet.height <= limit && sheet.width <= limit, "grid: a sheet of ", sheet.height, " x ", sheet.width,
          " is over the limit of ", limit, " pixels a side");
    const std::uint8_t background = channels % 2 == 0 ? 0 : 255;
    sheet.pixels.assign(static_cast<std::size_t>(sheet.height * sheet.width * channels), background);
    for (Index i = 0; i < count; ++i) {
        const T* from = images.data() + i * height * width * channels;
        for (Index y = 0; y < height; ++y) {
            const Index row = i / columns * (height + padding) + y, column = i % columns * (width + padding);
            std::uint8_t* to = sheet.pixels.data() + (row * sheet.width + column) * channels;
            for (Index k = 0; k < width * channels; ++k) {
                const T value = from[y * width * channels + k];
                if (!is_finite(value)) fail(ErrorCode::non_finite, "picture ", i, " holds NaN or infinity");
                to[k] = to_byte(value);
            }
        }
    }
    return sheet;
}

// The picture as numbers in [-1, 1], [1, h, w, c].
template <class T>
Tensor<T> to_tensor(const Image& image) {
    Tensor<T> result({1, image.height, image.width, image.channels});
    std::transform(image.pixels.begin(), image.pixels.end(), result.begin(), from_byte<T>);
    return result;
}

}  // namespace genmod::io
