// Pictures that a program is given, as the network sees them.
#pragma once

#include <algorithm>
#include <string>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/png_read.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

// A PNG file as [1, size, size, channels] in [-1, 1]. Alpha is left out, grey is taken for every colour, and colours
// are averaged for a model of grey pictures. Throws Error(bad_file) when it has another size.
inline Tensor<float> read_picture(const std::string& path, Index size, Index channels) {
    const genmod::io::Image image = genmod::io::read_png(path);
    if (image.height != size || image.width != size)
        genmod::fail(genmod::ErrorCode::bad_file, path, ": a picture of ", image.width, " x ", image.height,
                     " pixels, the model's have ", size, " x ", size);
    const Tensor<float> found = genmod::io::to_tensor<float>(image);
    const Index all = image.channels, colours = all <= 2 ? 1 : 3;
    Tensor<float> result({1, size, size, channels});
    for (Index pixel = 0; pixel < size * size; ++pixel) {
        float mean = 0;
        for (Index k = 0; k < colours; ++k) mean += found[pixel * all + k] / static_cast<float>(colours);
        for (Index k = 0; k < channels; ++k)
            result[pixel * channels + k] = channels == colours ? found[pixel * all + k] : mean;
    }
    return result;
}

// A mask of the same size, [1, size, size, 1]: 1, to be repainted, where the file is brighter than half grey.
inline Tensor<float> read_mask(const std::string& path, Index size) {
    Tensor<float> mask = read_picture(path, size, 1);
    for (float& value : mask) value = value > 0 ? 1.0f : 0.0f;
    return mask;
}

// `count` times the same picture, [count, h, w, c].
inline Tensor<float> repeated(const Tensor<float>& picture, Index count) {
    Tensor<float> result(picture.shape().with(0, count));
    for (Index k = 0; k < count; ++k) std::copy(picture.begin(), picture.end(), result.data() + k * picture.size());
    return result;
}

}  // namespace examples
