// The sliced Wasserstein distance between two sets of points (Rabin et al. 2011; Bonneel et al. 2015).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::metrics {

// The Wasserstein distance of order 1 or 2 between two sets of numbers, to its order-th power: the integral of
// |difference of the quantile functions|^order. The sets may differ in size. Throws Error when one is empty.
inline double wasserstein_power(std::vector<double> a, std::vector<double> b, int order) {
    check(!a.empty() && !b.empty() && (order == 1 || order == 2), "Wasserstein distance: ", a.size(), " and ", b.size(),
          " numbers, order ", order);
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    // Both quantile functions are steps: of width 1/n and 1/m, or m and n in units of 1/(n m).
    const std::size_t n = a.size(), m = b.size();
    double sum = 0;
    for (std::size_t i = 0, j = 0, at = 0; i < n && j < m;) {
        const std::size_t end_a = (i + 1) * m, end_b = (j + 1) * n, end = std::min(end_a, end_b);
        const double difference = std::abs(a[i] - b[j]);
        sum += static_cast<double>(end - at) * (order == 1 ? difference : difference * difference);
        at = end;
        if (end == end_a) ++i;
        if (end == end_b) ++j;
    }
    return sum / (static_cast<double>(n) * static_cast<double>(m));
}

// `count` random directions [count, d] of length 1; the first ones are the same for any count.
inline Tensor<double> random_directions(Index count, Index d, std::uint64_t seed) {
    check(count >= 1 && d >= 1, "directions: ", count, " of ", d, " numbers");
    Tensor<double> directions({count, d});
    for (Index k = 0; k < count; ++k) {
        double* own = directions.data() + k * d;
        fill_normal({.seed = seed, .purpose = Purpose::probe, .step = static_cast<std::uint64_t>(k)}, own, d);
        double squares = 0;
        for (Index i = 0; i < d; ++i) squares += own[i] * own[i];
        for (Index i = 0; i < d; ++i) own[i] /= std::sqrt(squares);
    }
    return directions;
}

// (mean over the directions [k, d] of W_order^order)^(1/order) of points [n, d] and [m, d], each projected to a
// direction. Throws Error when shapes do not fit, Error(non_finite) for NaN or infinity.
template <class T>
double sliced_wasserstein(const Tensor<T>& a, const Tensor<T>& b, const Tensor<double>& directions, int order = 2) {
    check(a.rank() == 2 && b.rank() == 2 && directions.rank() == 2 && a.dim(1) == b.dim(1) &&
              a.dim(1) == directions.dim(1) && directions.dim(0) >= 1,
          "sliced Wasserstein: points ", a.shape(), " and ", b.shape(), ", directions ", directions.shape());
    const Index d = a.dim(1);
    const auto projected = [&](const Tensor<T>& points, Index k) {
        std::vector<double> numbers(static_cast<std::size_t>(points.dim(0)), 0.0);
        for (Index i = 0; i < points.size(); ++i)
            numbers[static_cast<std::size_t>(i / d)] += static_cast<double>(points[i]) * directions[k * d + i % d];
        for (const double number : numbers)
            if (!is_finite(number)) fail(ErrorCode::non_finite, "sliced Wasserstein: NaN or infinity in the points");
        return numbers;
    };
    double sum = 0;
    for (Index k = 0; k < directions.dim(0); ++k) sum += wasserstein_power(projected(a, k), projected(b, k), order);
    const double mean = sum / static_cast<double>(directions.dim(0));
    return order == 1 ? mean : std::sqrt(mean);
}

struct SlicedOptions {
    Index directions = 128;
    std::uint64_t seed = 0;  // of the directions
    int order = 2;           // 1 or 2
};

// The same along random directions.
template <class T>
double sliced_wasserstein(const Tensor<T>& a, const Tensor<T>& b, const SlicedOptions& options = {}) {
    check(a.rank() == 2, "sliced Wasserstein: expected points [n, d], found ", a.shape());
    return sliced_wasserstein(a, b, random_directions(options.directions, a.dim(1), options.seed), options.order);
}

}  // namespace genmod::metrics
