// Very small plots: points in the plane, as pictures.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

// points [n, 2] as dark spots on white, [1, side, side, 1] in [-1, 1]; the picture shows -range..range on both axes.
inline Tensor<float> scatter(const Tensor<float>& points, Index side = 256, float range = 2) {
    genmod::check(points.rank() == 2 && points.dim(1) == 2, "scatter: expected points [n, 2], found ", points.shape());
    Tensor<float> picture = Tensor<float>::full({1, side, side, 1}, 1.0f);
    const float scale = static_cast<float>(side) / (2 * range);
    for (Index k = 0; k < points.dim(0); ++k) {
        const auto x = static_cast<Index>(std::floor((points[2 * k] + range) * scale));
        const auto y = static_cast<Index>(std::floor((range - points[2 * k + 1]) * scale));
        for (Index row = y; row <= y + 1; ++row)
            for (Index col = x; col <= x + 1; ++col) {
                if (row < 0 || row >= side || col < 0 || col >= side) continue;
                float& spot = picture[row * side + col];
                spot = std::max(-1.0f, spot - 0.5f);
            }
    }
    return picture;
}

// A curve of values, left to right, from 0 at the bottom to `top`: [1, height, width, 1].
inline Tensor<float> curve(const std::vector<double>& values, double top, Index width = 400, Index height = 200) {
    Tensor<float> picture = Tensor<float>::full({1, height, width, 1}, 1.0f);
    const auto count = static_cast<Index>(values.size());
    for (Index x = 0; count > 0 && x < width; ++x) {
        const double value = values[static_cast<std::size_t>(x * count / width)];
        const double share = std::clamp(value / top, 0.0, 1.0);
        const auto y = static_cast<Index>((1 - share) * static_cast<double>(height - 1));
        for (Index row = y; row < height; ++row) picture[row * width + x] = row < y + 2 ? -1.0f : 0.8f;
    }
    return picture;
}

// The toy sets reach from -4 to 4; half of that suits noise of deviation 1.
inline Tensor<float> half_size(Tensor<float> points) {
    for (float& number : points) number *= 0.5f;
    return points;
}

}  // namespace examples
