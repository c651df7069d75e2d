// Curves on logarithmic axes, with their names, as a picture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;

struct Curve {
    std::string name;
    std::vector<std::pair<double, double>> points;  // x and y, above 0
};

namespace detail {

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
        constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyz+-.,()/=";
        constexpr std::array<std::uint32_t, 44> rows{
            075557, 026227, 071747, 071717, 055711, 074717, 074757, 071122, 075757, 075717, 025755,
            065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655, 044447,
            057755, 065555, 025552, 065644, 025563, 065655, 034216, 072222, 055557, 055522, 055775,
            055255, 055222, 071247, 002720, 000700, 000002, 000024, 024442, 021112, 011244, 007070};
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

// Where the values from `low` to `high` are drawn.
struct LogAxis {
    double low, high, first, last;
    double operator()(double value) const {
        return first + std::log(value / low) / std::log(high / low) * (last - first);
    }
};

inline std::array<float, 3> colour_of(std::size_t k) {
    static constexpr std::array<std::array<float, 3>, 8> colours{{{-0.9f, -0.1f, 0.5f},
                                                                  {0.7f, -0.4f, -0.9f},
                                                                  {-0.7f, 0.2f, -0.7f},
                                                                  {0.7f, -0.7f, -0.6f},
                                                                  {0.2f, -0.3f, 0.5f},
                                                                  {0.1f, -0.3f, -0.4f},
                                                                  {0.8f, 0.0f, 0.5f},
                                                                  {-0.3f, -0.3f, -0.3f}}};
    return colours[k % colours.size()];
}

// Whole powers of ten around all y.
inline LogAxis axis_of_y(const std::vector<Curve>& curves, double first, double last) {
    LogAxis axis{1e300, 1e-300, first, last};
    for (const Curve& curve : curves)
        for (const auto& [x, y] : curve.points) {
            genmod::check(x > 0 && y > 0, "plot: ", curve.name, " is not above 0");
            axis.low = std::min(axis.low, std::pow(10, std::floor(std::log10(y))));
            axis.high = std::max(axis.high, std::pow(10, std::ceil(std::log10(y))));
        }
    return axis;
}

inline void draw_axes(Canvas& canvas, const LogAxis& across, const LogAxis& up, const Curve& ticks) {
    const std::array<float, 3> grey{0.75f, 0.75f, 0.75f}, black{-1, -1, -1};
    for (const auto& [x, y] : ticks.points) {
        canvas.line(across(x), up.first, across(x), up.last, grey);
        const std::string number = std::to_string(std::lround(x));
        canvas.text(static_cast<Index>(across(x)) - 4 * static_cast<Index>(number.size()),
                    static_cast<Index>(up.first) + 10, number, black);
    }
    for (double y = up.low; y < up.high * 1.5; y *= 10) {
        canvas.line(across.first, up(y), across.last, up(y), grey);
        const std::string number = "1e" + std::to_string(std::lround(std::log10(y)));
        canvas.text(10, static_cast<Index>(up(y)) - 4, number, black);
    }
}

// Where the names are written: at the ends of the curves, but 14 dots apart and above `lowest`.
inline std::vector<double> places_of_names(const std::vector<double>& ends, double lowest) {
    std::vector<std::size_t> order(ends.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ends[a] < ends[b]; });
    std::vector<double> places = ends;
    for (std::size_t k = 1; k < order.size(); ++k)
        places[order[k]] = std::max(places[order[k]], places[order[k - 1]] + 14);
    for (std::size_t k = order.size(); k-- > 0; lowest -= 14) places[order[k]] = std::min(places[order[k]], lowest);
    return places;
}

}  // namespace detail

// The curves from left to right, each with its name at its end, and lines at the x of the first one and at the powers
// of ten of y; [1, height, width, 3] in [-1, 1]. The title is in small letters.
inline Tensor<float> log_log_plot(const std::vector<Curve>& curves, const std::string& title, Index width = 800,
                                  Index height = 560) {
    genmod::check(!curves.empty() && curves[0].points.size() >= 2, "plot: no curves");
    const double bottom = static_cast<double>(height) - 40;
    const detail::LogAxis across{curves[0].points.front().first, curves[0].points.back().first, 50,
                                 static_cast<double>(width) - 250};
    const detail::LogAxis up = detail::axis_of_y(curves, bottom, 40);
    detail::Canvas canvas{width, height};
    detail::draw_axes(canvas, across, up, curves[0]);
    canvas.text(50, 16, title, {-1, -1, -1});
    std::vector<double> ends;
    for (const Curve& curve : curves) ends.push_back(up(curve.points.back().second));
    const std::vector<double> places = detail::places_of_names(ends, bottom);
    for (std::size_t k = 0; k < curves.size(); ++k) {
        const auto& points = curves[k].points;
        const std::array<float, 3> colour = detail::colour_of(k);
        for (std::size_t j = 1; j < points.size(); ++j)
            canvas.line(across(points[j - 1].first), up(points[j - 1].second), across(points[j].first),
                        up(points[j].second), colour);
        canvas.line(across.last, ends[k], across.last + 20, places[k], colour);
        canvas.text(static_cast<Index>(across.last) + 26, static_cast<Index>(places[k]) - 5, curves[k].name, colour);
    }
    return canvas.picture;
}

}  // namespace examples
