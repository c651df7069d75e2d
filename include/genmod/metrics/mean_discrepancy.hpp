// The maximum mean discrepancy between two sets of points under Gaussian kernels (Gretton et al. 2012).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/metrics/pair_distances.hpp"

namespace genmod::metrics {

struct DiscrepancyOptions {
    std::vector<double> bandwidths = {};  // of the kernels, which are added up; none: the median distance of the pairs
    bool unbiased = true;                 // leave out the pairs of a point with itself
};

namespace detail {

// The median distance between two different points of the rows of both sets, of at most 1000 rows of each.
template <class T>
T median_distance(const Tensor<T>& a, const Tensor<T>& b) {
    const Index d = a.dim(1), n = std::min<Index>(a.dim(0), 1000), m = std::min<Index>(b.dim(0), 1000);
    Tensor<T> all({n + m, d});
    std::copy_n(b.data(), m * d, std::copy_n(a.data(), n * d, all.data()));
    std::vector<T> distances(static_cast<std::size_t>((n + m) * (n + m - 1) / 2));
    each_row_of_distances(all, all,
                          [&](Index i, const T* line) { std::copy_n(line, i, distances.begin() + i * (i - 1) / 2); });
    const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
    std::nth_element(distances.begin(), middle, distances.end());
    return std::sqrt(std::max(*middle, T(0)));
}

// The sum over rows of x and y of the kernels sum_h e^(-|x - y|^2 / (2 h^2)), without pairs (i, i) if told so.
template <class T>
T gaussian_kernel_sum(const Tensor<T>& x, const Tensor<T>& y, const std::vector<T>& bandwidths, bool without_self) {
    std::vector<T> sums(static_cast<std::size_t>(x.dim(0)), T(0));
    const Index m = y.dim(0);
    each_row_of_distances(x, y, [&](Index i, const T* line) {
        std::vector<T> terms(static_cast<std::size_t>(m));
        for (const T h : bandwidths) {
            for (Index k = 0; k < m; ++k) terms[static_cast<std::size_t>(k)] = -std::max(line[k], T(0)) / (2 * h * h);
            kernels::unary(kernels::Unary::exp, terms.data(), terms.data(), m);
            if (without_self) terms[static_cast<std::size_t>(i)] = 0;
            sums[static_cast<std::size_t>(i)] += kernels::sum(m, terms.data());
        }
    });
    return kernels::sum(x.dim(0), sums.data());
}

}  // namespace detail

// The squared discrepancy of points [n, d] and [m, d] (eq. 3, or 5 when biased), which of two samples of one
// distribution is about 0; the unbiased one may lie below. Throws Error when shapes or options do not fit,
// Error(non_finite) for NaN or infinity.
template <class T>
double mean_discrepancy(const Tensor<T>& a, const Tensor<T>& b, const DiscrepancyOptions& options = {}) {
    check(a.rank() == 2 && b.rank() == 2 && a.dim(1) == b.dim(1) && a.dim(1) >= 1 && a.dim(0) >= 2 && b.dim(0) >= 2,
          "mean discrepancy: expected points [n, d] and [m, d] with n, m >= 2, found ", a.shape(), " and ", b.shape());
    const Tensor<double> x = cast<double>(a), y = cast<double>(b);
    for (const auto* points : {&x, &y})
        for (const double value : *points)
            if (!is_finite(value)) fail(ErrorCode::non_finite, "mean discrepancy: NaN or infinity in the points");
    std::vector<double> bandwidths = options.bandwidths;
    if (bandwidths.empty()) bandwidths.push_back(detail::median_distance(x, y));
    for (const double h : bandwidths) check(h > 0, "mean discrepancy: a bandwidth of ", h);
    const auto n = static_cast<double>(x.dim(0)), m = static_cast<double>(y.dim(0));
    const double less = options.unbiased ? 1 : 0;
    const double within_x = detail::gaussian_kernel_sum(x, x, bandwidths, options.unbiased) / (n * (n - less));
    const double within_y = detail::gaussian_kernel_sum(y, y, bandwidths, options.unbiased) / (m * (m - less));
    return within_x + within_y - 2 * detail::gaussian_kernel_sum(x, y, bandwidths, false) / (n * m);
}

}  // namespace genmod::metrics
