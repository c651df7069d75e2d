// The kernel distance between two sets of features (Binkowski et al. 2018): with Inception's features it is the KID.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/metrics/bits_per_dim.hpp"

namespace genmod::metrics {

struct KernelDistanceOptions {
    Index subsets = 100;
    Index subset_size = 1000;  // at most as many as the smaller set has
    std::uint64_t seed = 0;    // of the choice of subsets
};

namespace detail {

// The sum of (x . y / d + 1)^3 over rows of x and y [n, d], without the pairs (i, i) if told so.
template <class T>
T cubic_kernel_sum(const Tensor<T>& x, const Tensor<T>& y, bool without_self) {
    const Index n = x.dim(0), m = y.dim(0), d = x.dim(1);
    Tensor<T> products({n, m});
    kernels::gemm(kernels::row_major<T>(x.data(), n, d), kernels::transposed(kernels::row_major<T>(y.data(), m, d)),
                  products.data(), m, {.scale = 1 / static_cast<T>(d)});
    T sum = 0;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < m; ++j) {
            const T base = products[i * m + j] + 1;
            if (!without_self || i != j) sum += base * base * base;
        }
    return sum;
}

// Chosen rows of x.
template <class T>
Tensor<T> rows_of(const Tensor<T>& x, const std::vector<Index>& order, Index count) {
    Tensor<T> rows({count, x.dim(1)});
    for (Index k = 0; k < count; ++k)
        std::copy_n(x.data() + order[static_cast<std::size_t>(k)] * x.dim(1), x.dim(1), rows.data() + k * x.dim(1));
    return rows;
}

inline void check_features(const char* name, const Shape& a, const Shape& b, Index least) {
    check(a.rank() == 2 && b.rank() == 2 && a.dim(1) == b.dim(1) && a.dim(1) >= 1 && a.dim(0) >= least &&
              b.dim(0) >= least,
          name, ": expected features [n, d] and [m, d] with n, m >= ", least, ", found ", a, " and ", b);
}

}  // namespace detail

// The unbiased estimate of the squared maximum mean discrepancy under the kernel (x . y / d + 1)^3 (eq. 4), of all rows
// of features [n, d] and [m, d]. About 0 or a little below for sets of one distribution. Throws Error when shapes do
// not fit, Error(non_finite) for NaN or infinity.
template <class T>
double cubic_discrepancy(const Tensor<T>& a, const Tensor<T>& b) {
    detail::check_features("kernel distance", a.shape(), b.shape(), 2);
    const Tensor<double> x = cast<double>(a), y = cast<double>(b);
    const auto n = static_cast<double>(x.dim(0)), m = static_cast<double>(y.dim(0));
    const double within_x = detail::cubic_kernel_sum(x, x, true) / (n * (n - 1));
    const double within_y = detail::cubic_kernel_sum(y, y, true) / (m * (m - 1));
    const double across = detail::cubic_kernel_sum(x, y, false) / (n * m);
    const double result = within_x + within_y - 2 * across;
    if (!is_finite(result)) fail(ErrorCode::non_finite, "kernel distance: NaN or infinity in the features");
    return result;
}

// The mean of that over random subsets of equal size, drawn without replacement, and its standard error over the
// subsets (0 of a single one).
template <class T>
MeanAndError kernel_distance(const Tensor<T>& a, const Tensor<T>& b, const KernelDistanceOptions& options = {}) {
    detail::check_features("kernel distance", a.shape(), b.shape(), 2);
    check(options.subsets >= 1 && options.subset_size >= 2, "kernel distance: ", options.subsets, " subsets of ",
          options.subset_size);
    const Tensor<double> x = cast<double>(a), y = cast<double>(b);
    const Index size = std::min({options.subset_size, x.dim(0), y.dim(0)});
    Rng rng(options.seed, Purpose::shuffle);
    std::vector<double> distances;
    for (Index k = 0; k < options.subsets; ++k) {
        const Tensor<double> of_x = detail::rows_of(x, rng.permutation(x.dim(0)), size);
        const Tensor<double> of_y = detail::rows_of(y, rng.permutation(y.dim(0)), size);
        distances.push_back(cubic_discrepancy(of_x, of_y));
    }
    return mean_and_error(distances);
}

}  // namespace genmod::metrics
