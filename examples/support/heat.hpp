// Densities and points in the plane, in colours.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

// From 0 to 1: night blue, violet, red, orange, pale yellow; in [-1, 1].
inline std::array<float, 3> heat(double value) {
    static constexpr std::array<std::array<double, 3>, 6> colours{
        {{12, 10, 38}, {62, 18, 102}, {142, 36, 104}, {214, 70, 66}, {250, 150, 40}, {252, 250, 200}}};
    const double at = std::clamp(value, 0.0, 1.0) * 5;
    const auto k = std::min<std::size_t>(4, static_cast<std::size_t>(at));
    std::array<float, 3> result{};
    for (std::size_t c = 0; c < 3; ++c) {
        const double part = at - static_cast<double>(k);
        result[c] = static_cast<float>((colours[k][c] * (1 - part) + colours[k + 1][c] * part) / 127.5 - 1);
    }
    return result;
}

// The centres of the pixels of a picture of -range..range on both axes: [side * side, 2], row by row from the top.
inline Tensor<float> pixel_centres(Index side, double range) {
    Tensor<float> points({side * side, 2});
    const double step = 2 * range / static_cast<double>(side);
    for (Index k = 0; k < side * side; ++k) {
        points[2 * k] = static_cast<float>((static_cast<double>(k % side) + 0.5) * step - range);
        points[2 * k + 1] = static_cast<float>(range - (static_cast<double>(k / side) + 0.5) * step);
    }
    return points;
}

// Values of the pixels, from 0 to that which only 1 % of the bright ones exceed: [1, side, side, 3].
inline Tensor<float> heat_map(const std::vector<double>& values, Index side) {
    genmod::check(static_cast<Index>(values.size()) == side * side, "heat map: ", values.size(), " values for ", side);
    const double most = *std::max_element(values.begin(), values.end());
    std::vector<double> bright;
    for (const double value : values)
        if (value > 0.05 * most) bright.push_back(value);
    std::sort(bright.begin(), bright.end());
    const double top = bright.empty() ? 1 : bright[(bright.size() - 1) * 99 / 100];
    Tensor<float> picture({1, side, side, 3});
    for (std::size_t k = 0; k < values.size(); ++k) {
        const std::array<float, 3> colour = heat(std::sqrt(values[k] / top));
        std::copy(colour.begin(), colour.end(), picture.data() + 3 * static_cast<Index>(k));
    }
    return picture;
}

// How many points [n, 2] lie around each pixel, as a heat map.
inline Tensor<float> point_map(const Tensor<float>& points, Index side, double range) {
    std::vector<double> counts(static_cast<std::size_t>(side * side), 0.0);
    const double scale = static_cast<double>(side) / (2 * range);
    for (Index k = 0; k < points.dim(0); ++k) {
        const double column = std::floor((static_cast<double>(points[2 * k]) + range) * scale);
        const double row = std::floor((range - static_cast<double>(points[2 * k + 1])) * scale);
        const double last = static_cast<double>(side - 1);
        if (!(column >= 0 && column <= last && row >= 0 && row <= last)) continue;
        counts[static_cast<std::size_t>(row) * static_cast<std::size_t>(side) + static_cast<std::size_t>(column)] += 1;
    }
    return heat_map(counts, side);
}

// Pictures of one height side by side, `gap` white pixels apart: [1, h, sum of w, c].
inline Tensor<float> beside(const std::vector<Tensor<float>>& pictures, Index gap = 6) {
    genmod::check(!pictures.empty(), "beside: no pictures");
    const Index h = pictures[0].dim(1), c = pictures[0].dim(3);
    Index width = -gap;
    for (const Tensor<float>& picture : pictures) width += picture.dim(2) + gap;
    Tensor<float> result = Tensor<float>::full({1, h, width, c}, 1.0f);
    Index left = 0;
    for (const Tensor<float>& picture : pictures) {
        const Index w = picture.dim(2);
        for (Index y = 0; y < h; ++y)
            std::copy_n(picture.data() + y * w * c, w * c, result.data() + (y * width + left) * c);
        left += w + gap;
    }
    return result;
}

// Pictures below one another, the narrower ones with white on their right.
inline Tensor<float> below(const std::vector<Tensor<float>>& pictures, Index gap = 6) {
    genmod::check(!pictures.empty(), "below: no pictures");
    const Index c = pictures[0].dim(3);
    Index width = 0, height = -gap;
    for (const Tensor<float>& picture : pictures) {
        width = std::max(width, picture.dim(2));
        height += picture.dim(1) + gap;
    }
    Tensor<float> result = Tensor<float>::full({1, height, width, c}, 1.0f);
    Index top = 0;
    for (const Tensor<float>& picture : pictures) {
        const Index w = picture.dim(2);
        for (Index y = 0; y < picture.dim(1); ++y)
            std::copy_n(picture.data() + y * w * c, w * c, result.data() + (top + y) * width * c);
        top += picture.dim(1) + gap;
    }
    return result;
}

}  // namespace examples
