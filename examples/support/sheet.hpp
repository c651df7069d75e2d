// Sheets of several parts: rows of small pictures with white space between the parts.
#pragma once

#include <algorithm>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

// Pictures in rows of a sheet: part k holds pictures [n, h, w, c] in rows of `columns`, missing ones are white.
// Returns [1, height, width, c], each pixel drawn `zoom` x `zoom`, with `gap` such pixels between the parts.
inline Tensor<float> sheet(const std::vector<Tensor<float>>& parts, Index columns, Index gap = 4, Index zoom = 1) {
    genmod::check(!parts.empty() && columns >= 1 && zoom >= 1, "sheet: nothing to draw");
    const Index h = parts[0].dim(1), w = parts[0].dim(2), c = parts[0].dim(3);
    Index height = -gap;
    for (const Tensor<float>& part : parts) height += (part.dim(0) + columns - 1) / columns * h + gap;
    const Index width = columns * w * zoom;
    Tensor<float> picture = Tensor<float>::full({1, height * zoom, width, c}, 1.0f);
    Index top = 0;
    for (const Tensor<float>& part : parts) {
        genmod::check(part.shape() == parts[0].shape().with(0, part.dim(0)), "sheet: pictures of two sizes");
        for (Index k = 0; k < part.dim(0); ++k)
            for (Index y = 0; y < h * zoom; ++y) {
                float* to =
                    picture.data() + ((top + k / columns * h) * zoom + y) * width * c + k % columns * w * zoom * c;
                const float* from = part.data() + (k * h + y / zoom) * w * c;
                for (Index x = 0; x < w * zoom; ++x) std::copy_n(from + x / zoom * c, c, to + x * c);
            }
        top += (part.dim(0) + columns - 1) / columns * h + gap;
    }
    return picture;
}

// The pictures of all parts, one after the other.
inline Tensor<float> joined(const std::vector<Tensor<float>>& parts) {
    Index n = 0;
    for (const Tensor<float>& part : parts) n += part.dim(0);
    Tensor<float> result(parts.at(0).shape().with(0, n));
    float* to = result.data();
    for (const Tensor<float>& part : parts) to = std::copy(part.begin(), part.end(), to);
    return result;
}

}  // namespace examples
