// Curves on logarithmic axes, with their names, as a picture.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/canvas.hpp"
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
    Canvas canvas{width, height};
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
