// The beta distribution's distribution function and its inverse, for noise levels spaced by it.
#pragma once

#include <cmath>
#include <limits>

#include "genmod/core/error.hpp"

namespace genmod::diffusion {

namespace detail {

// The continued fraction of the incomplete beta function (Press et al. 2007, section 6.4), by Lentz's method. It
// converges within a few dozen terms for x < (a + 1) / (a + b + 2).
inline double beta_fraction(double x, double a, double b) {
    constexpr double tiny = 1e-300;
    const auto nonzero = [](double value) { return std::abs(value) < tiny ? tiny : value; };
    double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), result = d;
    for (int k = 1; k <= 500; ++k) {
        const double m = k;
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / nonzero(1 + even * d);
        c = nonzero(1 + even / c);
        result *= c * d;
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / nonzero(1 + odd * d);
        c = nonzero(1 + odd / c);
        result *= c * d;
        if (std::abs(c * d - 1) <= std::numeric_limits<double>::epsilon()) break;
    }
    return result;
}

}  // namespace detail

// The part of a beta(a, b) distribution that lies below x in 0..1: the regularised incomplete beta function I_x(a, b).
// Throws Error unless a and b are in (0, 50].
inline double beta_distribution(double x, double a, double b) {
    check(a > 0 && b > 0 && a <= 50 && b <= 50, "beta distribution: parameters ", a, " and ", b, " are not in (0, 50]");
    check(x >= 0 && x <= 1, "beta distribution: ", x, " is not in 0..1");
    if (x == 0 || x == 1) return x;
    if (x > (a + 1) / (a + b + 2)) return 1 - beta_distribution(1 - x, b, a);
    const double whole = std::tgamma(a) / std::tgamma(a + b) * std::tgamma(b);
    return std::pow(x, a) * std::pow(1 - x, b) / (a * whole) * detail::beta_fraction(x, a, b);
}

// The x with beta_distribution(x, a, b) = part, by halving down to neighbouring numbers. Throws Error unless part is in
// 0..1 and a and b are in (0, 50].
inline double beta_quantile(double part, double a, double b) {
    check(part >= 0 && part <= 1, "beta distribution: part ", part, " is not in 0..1");
    if (part == 0 || part == 1) return part;
    double low = 0, high = 1;
    for (double middle = 0.5; low < middle && middle < high; middle = low + (high - low) / 2)
        (beta_distribution(middle, a, b) < part ? low : high) = middle;
    return high;
}

}  // namespace genmod::diffusion
