// Squared distances between all rows of two sets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"

namespace genmod::metrics::detail {

// Calls body(i, distances) with the squared distances of row i of x [n, d] to all rows of y [m, d], for several i at a
// time. They may lie below 0 by a rounding error.
template <class T, class Body>
void each_row_of_distances(const Tensor<T>& x, const Tensor<T>& y, Body body) {
    const Index n = x.dim(0), m = y.dim(0), d = x.dim(1), block = 128;
    const auto squares = [d](const Tensor<T>& rows) {
        std::vector<T> sums(static_cast<std::size_t>(rows.dim(0)));
        for (Index k = 0; k < rows.size(); ++k) sums[static_cast<std::size_t>(k / d)] += rows[k] * rows[k];
        return sums;
    };
    const std::vector<T> of_x = squares(x), of_y = squares(y);
    Tensor<T> distances({block, m});
    for (Index first = 0; first < n; first += block) {
        const Index rows = std::min(block, n - first);
        const auto part = kernels::row_major<T>(x.data() + first * d, rows, d);
        const auto all = kernels::transposed(kernels::row_major<T>(y.data(), m, d));
        kernels::gemm(part, all, distances.data(), m, {.bias = of_y.data(), .scale = T(-2)});
        parallel_for(rows, [&](Index row) {
            T* const line = distances.data() + row * m;
            for (Index k = 0; k < m; ++k) line[k] += of_x[static_cast<std::size_t>(first + row)];
            body(first + row, line);
        });
    }
}

}  // namespace genmod::metrics::detail
