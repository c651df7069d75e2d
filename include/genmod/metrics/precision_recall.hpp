// Precision and recall of generated samples by nearest neighbours (Kynkaanniemi et al. 2019).
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/metrics/pair_distances.hpp"

namespace genmod::metrics {

// Both in 0..1: the part of the generated samples that lie within the real data, and of the real ones within the
// generated.
struct PrecisionRecall {
    double precision = 0;
    double recall = 0;
};

namespace detail {

// For each row of x the squared distance to its k-th nearest other row.
template <class T>
std::vector<T> neighbour_radii(const Tensor<T>& x, Index k) {
    std::vector<T> radii(static_cast<std::size_t>(x.dim(0)));
    each_row_of_distances(x, x, [&](Index i, T* line) {
        line[i] = std::numeric_limits<T>::infinity();
        std::nth_element(line, line + k - 1, line + x.dim(0));
        radii[static_cast<std::size_t>(i)] = line[k - 1];
    });
    return radii;
}

// The part of x's rows that lie within the radius of some row of y.
template <class T>
double covered(const Tensor<T>& x, const Tensor<T>& y, const std::vector<T>& radii) {
    std::vector<char> inside(static_cast<std::size_t>(x.dim(0)));
    each_row_of_distances(x, y, [&](Index i, const T* line) {
        for (std::size_t k = 0; k < radii.size() && inside[static_cast<std::size_t>(i)] == 0; ++k)
            if (line[k] <= radii[k]) inside[static_cast<std::size_t>(i)] = 1;
    });
    return static_cast<double>(std::count(inside.begin(), inside.end(), 1)) / static_cast<double>(inside.size());
}

}  // namespace detail

// Of features real [n, d] and generated [m, d], with the balls around each sample reaching to its k-th nearest
// neighbour of the same set. Throws Error when shapes do not fit or a set has k samples or fewer.
template <class T>
PrecisionRecall precision_recall(const Tensor<T>& real, const Tensor<T>& generated, Index k = 3) {
    check(real.rank() == 2 && generated.rank() == 2 && real.dim(1) == generated.dim(1),
          "precision and recall: expected features [n, d] and [m, d], found ", real.shape(), " and ",
          generated.shape());
    check(k >= 1 && real.dim(0) > k && generated.dim(0) > k, "precision and recall: ", k, " neighbours among ",
          real.dim(0), " and ", generated.dim(0), " samples");
    const Tensor<double> a = cast<double>(real), b = cast<double>(generated);
    return {.precision = detail::covered(b, a, detail::neighbour_radii(a, k)),
            .recall = detail::covered(a, b, detail::neighbour_radii(b, k))};
}

}  // namespace genmod::metrics
