// Point clouds in the plane, for models that learn in seconds. All fit in [-4.5, 4.5] x [-4.5, 4.5], and the same seed
// gives the same points on every machine.
#pragma once

#include <array>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::data {

namespace detail {

// `count` points [count, 2], each drawn by draw() as {x, y}.
template <class T>
Tensor<T> points(Index count, auto&& draw) {
    check(count >= 0, "toy data: cannot draw ", count, " points");
    Tensor<T> result({count, 2});
    for (Index i = 0; i < count; ++i) {
        const std::array<double, 2> point = draw();
        result[2 * i] = static_cast<T>(point[0]);
        result[2 * i + 1] = static_cast<T>(point[1]);
    }
    return result;
}

// cos and sin of 2 pi turns, turns >= 0, with the same bits everywhere.
inline std::array<double, 2> direction(double turns) {
    return genmod::detail::exact_cos_sin(turns - static_cast<double>(static_cast<Index>(turns)));
}

}  // namespace detail

// Eight normal clouds of deviation 0.2 on a circle of radius 3.
template <class T = float>
Tensor<T> eight_gaussians(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const auto centre = detail::direction(static_cast<double>(rng.below(8)) / 8);
        const double x = rng.normal(), y = rng.normal();
        return {3 * centre[0] + 0.2 * x, 3 * centre[1] + 0.2 * y};
    });
}

// Normal clouds of deviation 0.1 on the 5 x 5 grid of the points -3, -1.5, 0, 1.5, 3.
template <class T = float>
Tensor<T> grid_gaussians(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const auto column = static_cast<double>(rng.below(5)), row = static_cast<double>(rng.below(5));
        const double x = rng.normal(), y = rng.normal();
        return {1.5 * (column - 2) + 0.1 * x, 1.5 * (row - 2) + 0.1 * y};
    });
}

// Two half circles of radius 2 that reach into one another, with noise of deviation 0.1.
template <class T = float>
Tensor<T> moons(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const bool upper = rng.below(2) == 0;
        const auto at = detail::direction(rng.uniform() / 2);
        const double x = 0.1 * rng.normal(), y = 0.1 * rng.normal();
        return upper ? std::array{2 * at[0] - 1 + x, 2 * at[1] - 0.5 + y}
                     : std::array{1 - 2 * at[0] + x, 0.5 - 2 * at[1] + y};
    });
}

// Circles of radius 1, 2, 3 and 4 around 0, each with as many points, with noise of deviation 0.05.
template <class T = float>
Tensor<T> rings(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const auto radius = static_cast<double>(1 + rng.below(4));
        const auto at = detail::direction(rng.uniform());
        const double x = 0.05 * rng.normal(), y = 0.05 * rng.normal();
        return {radius * at[0] + x, radius * at[1] + y};
    });
}

// Even on the dark squares, of side 2, of a board of 4 x 4.
template <class T = float>
Tensor<T> checkerboard(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const Index column = rng.below(4), row = 2 * rng.below(2) + column % 2;
        const double x = rng.uniform(), y = rng.uniform();
        return {2 * (static_cast<double>(column) + x) - 4, 2 * (static_cast<double>(row) + y) - 4};
    });
}

// One arm that winds one and a half times around 0 as its radius grows from 1.2 to 4, with noise of deviation 0.1.
template <class T = float>
Tensor<T> swiss_roll(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const double turns = 0.65 + 1.5 * rng.uniform();
        const auto at = detail::direction(turns);
        const double x = 0.1 * rng.normal(), y = 0.1 * rng.normal(), radius = 4 * turns / 2.15;
        return {radius * at[0] + x, radius * at[1] + y};
    });
}

// Two arms that wind around each other, denser near the middle, with noise of deviation 0.1.
template <class T = float>
Tensor<T> spirals(Index count, Rng& rng) {
    return detail::points<T>(count, [&]() -> std::array<double, 2> {
        const double sign = rng.below(2) == 0 ? 1 : -1;
        const double part = genmod::detail::exact_sqrt(rng.uniform());
        const auto at = detail::direction(1.5 * part);
        const double x = 0.1 * rng.normal(), y = 0.1 * rng.normal();
        return {sign * 4 * part * at[0] + x, sign * 4 * part * at[1] + y};
    });
}

}  // namespace genmod::data
