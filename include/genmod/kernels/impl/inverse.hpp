// Gauss and Jordan's elimination with row pivots.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::kernels {

namespace detail::inverse {

// Clears column k of `a` [n, 2 n] but for a 1 in row k. Returns the pivot; 0 or NaN when there is none.
inline double eliminate(Index n, Index k, double* a) {
    const Index width = 2 * n;
    Index best = k;
    for (Index i = k + 1; i < n; ++i)
        if (std::abs(a[i * width + k]) > std::abs(a[best * width + k])) best = i;
    double* row = a + k * width;
    if (best != k) std::swap_ranges(row, row + width, a + best * width);
    const double pivot = row[k];
    if (pivot == 0 || !is_finite(pivot)) return 0;
    for (Index j = 0; j < width; ++j) row[j] /= pivot;
    for (Index i = 0; i < n; ++i) {
        double* other = a + i * width;
        const double factor = other[k];
        if (i == k || factor == 0) continue;
        for (Index j = k; j < width; ++j) other[j] -= factor * row[j];
    }
    return pivot;
}

}  // namespace detail::inverse

template <class T>
bool invert(Index n, const T* a, T* inverse, double* log_abs_det) {
    const Scratch<double> work(2 * n * n + 1);
    double* both = work.data();  // [a | 1] becomes [1 | inverse]
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
            both[2 * i * n + j] = static_cast<double>(a[i * n + j]);
            both[(2 * i + 1) * n + j] = i == j ? 1 : 0;
        }
    double sum = 0;
    for (Index k = 0; k < n; ++k) {
        const double pivot = detail::inverse::eliminate(n, k, both);
        if (pivot == 0) return false;
        sum += std::log(std::abs(pivot));
    }
    *log_abs_det = sum;
    for (Index i = 0; inverse != nullptr && i < n; ++i)
        for (Index j = 0; j < n; ++j) inverse[i * n + j] = static_cast<T>(both[(2 * i + 1) * n + j]);
    return true;
}

}  // namespace genmod::kernels
