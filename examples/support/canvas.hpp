// Lines and small letters in a picture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "genmod/core/tensor.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

// A picture to draw on, white: [1, height, width, 3] in [-1, 1].
struct Canvas {
    Index width, height;
    Tensor<float> picture = Tensor<float>::full({1, height, width, 3}, 1.0f);

    void dot(Index x, Index y, const std::array<float, 3>& colour) {
        if (x < 0 || x >= width || y < 0 || y >= height) return;
        std::copy(colour.begin(), colour.end(), picture.data() + (y * width + x) * 3);
    }

    // Two dots wide.
    void line(double x0, double y0, double x1, double y1, const std::array<float, 3>& colour) {
        const double steps = std::ceil(2 * std::max({1.0, std::fabs(x1 - x0), std::fabs(y1 - y0)}));
        for (double k = 0; k <= steps; ++k) {
            const auto x = static_cast<Index>(x0 + k / steps * (x1 - x0));
            const auto y = static_cast<Index>(y0 + k / steps * (y1 - y0));
            for (Index d = 0; d < 4; ++d) dot(x + d % 2, y + d / 2, colour);
        }
    }

    // Small letters, digits and a few signs, 3 x 5 dots of 2 x 2, one octal digit a row; others are blank.
    void text(Index x, Index y, std::string_view words, const std::array<float, 3>& colour) {
        constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyz+-.,()/=%";
        constexpr std::array<std::uint32_t, 45> rows{
            075557, 026227, 071747, 071717, 055711, 074717, 074757, 071122, 075757, 075717, 025755, 065656,
            034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655, 044447, 057755, 065555,
            025552, 065644, 025563, 065655, 034216, 072222, 055557, 055522, 055775, 055255, 055222, 071247,
            002720, 000700, 000002, 000024, 024442, 021112, 011244, 007070, 051245};
        for (const char letter : words) {
            const std::size_t place = letters.find(letter);
            for (Index k = 0; place != std::string_view::npos && k < 60; ++k) {
                const Index row = k / 12, column = k % 12 / 4;
                if ((rows[place] >> (3 * (4 - row) + 2 - column) & 1) != 0)
                    dot(x + 2 * column + k % 2, y + 2 * row + k / 2 % 2, colour);
            }
            x += 8;
        }
    }
};

}  // namespace examples
