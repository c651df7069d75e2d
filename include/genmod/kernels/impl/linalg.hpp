// Householder's reduction to tridiagonal form and the implicit QL iteration (Golub and Van Loan, chapter 8).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::kernels {

namespace detail::symmetric {

template <class T>
T dot(Index n, const T* x, const T* y) {
    T sum = 0;
    for (Index k = 0; k < n; ++k) sum += x[k] * y[k];
    return sum;
}

// x += s * y
template <class T>
void add_scaled(Index n, T s, const T* y, T* x) {
    for (Index k = 0; k < n; ++k) x[k] += s * y[k];
}

// Reflects column k of `a` onto its first entry below the diagonal. Leaves the reflection I - factor v v^T in row k of
// `a`, from column k + 1 on, and updates the block to the lower right. Returns the factor.
template <class T>
T reflect(Index n, Index k, T* a, T* below, T* work) {
    const Index m = n - k - 1;
    T* v = a + k * n + k + 1;  // row k is column k, by symmetry
    const T length = std::sqrt(dot(m, v, v));
    *below = v[0] > 0 ? -length : length;
    if (length == 0) return 0;
    v[0] -= *below;
    const T factor = 2 / dot(m, v, v);
    for (Index i = 0; i < m; ++i) work[i] = factor * dot(m, a + (k + 1 + i) * n + k + 1, v);
    add_scaled(m, -factor / 2 * dot(m, work, v), v, work);
    for (Index i = 0; i < m; ++i) {
        T* row = a + (k + 1 + i) * n + k + 1;
        add_scaled(m, -v[i], work, row);
        add_scaled(m, -work[i], v, row);
    }
    return factor;
}

// The product of all reflections, transposed, into `vectors`.
template <class T>
void collect_reflections(Index n, const T* a, const T* factors, T* vectors, T* work) {
    std::fill(vectors, vectors + n * n, T(0));
    for (Index i = 0; i < n; ++i) vectors[i * n + i] = 1;
    for (Index k = n - 3; k >= 0; --k) {
        const Index m = n - k - 1;
        const T* v = a + k * n + k + 1;
        for (Index i = 0; i < m; ++i) work[i] = factors[k] * dot(m, vectors + (k + 1 + i) * n + k + 1, v);
        for (Index i = 0; i < m; ++i) add_scaled(m, -work[i], v, vectors + (k + 1 + i) * n + k + 1);
    }
}

// One sweep of the implicit QL iteration over rows first..last of a tridiagonal matrix (diagonal d, off-diagonal e).
template <class T>
void ql_sweep(Index n, Index first, Index last, T* d, T* e, T* vectors) {
    const T half = (d[first + 1] - d[first]) / (2 * e[first]);
    const T root = std::hypot(half, T(1));
    T g = d[last] - d[first] + e[first] / (half + (half < 0 ? -root : root));
    T sine = 1, cosine = 1, shift = 0;
    for (Index i = last - 1; i >= first; --i) {
        const T f = sine * e[i], b = cosine * e[i];
        const T length = std::hypot(f, g);
        e[i + 1] = length;
        if (length == 0) {  // the matrix falls apart here
            d[i + 1] -= shift;
            e[last] = 0;
            return;
        }
        sine = f / length;
        cosine = g / length;
        g = d[i + 1] - shift;
        const T r = (d[i] - g) * sine + 2 * cosine * b;
        shift = sine * r;
        d[i + 1] = g + shift;
        g = cosine * r - b;
        if (vectors == nullptr) continue;
        T *low = vectors + i * n, *high = low + n;
        for (Index k = 0; k < n; ++k) {
            const T x = low[k], y = high[k];
            high[k] = sine * x + cosine * y;
            low[k] = cosine * x - sine * y;
        }
    }
    d[first] -= shift;
    e[first] = g;
    e[last] = 0;
}

// Turns the off-diagonal into zeros. What is small beside the whole matrix counts as zero: a matrix of low rank leaves
// rounding errors that are not small beside one another. False when that takes too many sweeps.
template <class T>
bool diagonalise(Index n, T* d, T* e, T* vectors) {
    T largest = 0;
    for (Index k = 0; k < n; ++k) largest = std::max(largest, std::abs(d[k]) + std::abs(e[k]));
    const T negligible = std::numeric_limits<T>::epsilon() * largest;
    for (Index first = 0; first < n; ++first) {
        for (int sweep = 0;; ++sweep) {
            Index last = first;
            for (; last < n - 1; ++last)
                if (std::abs(e[last]) <= negligible) break;
            if (last == first) break;
            if (sweep == 60) return false;
            ql_sweep(n, first, last, d, e, vectors);
        }
    }
    return true;
}

template <class T>
void sort_ascending(Index n, T* values, T* vectors) {
    for (Index i = 0; i < n; ++i) {
        const Index least = std::min_element(values + i, values + n) - values;
        std::swap(values[i], values[least]);
        if (vectors != nullptr && least != i)
            std::swap_ranges(vectors + i * n, vectors + (i + 1) * n, vectors + least * n);
    }
}

}  // namespace detail::symmetric

template <class T>
bool symmetric_eigen(Index n, T* a, T* values, T* vectors) {
    const Scratch<T> off_diagonal(n + 1), factors(n + 1), work(n + 1);
    for (Index k = 0; k + 2 < n; ++k)
        factors.data()[k] = detail::symmetric::reflect(n, k, a, off_diagonal.data() + k, work.data());
    if (n >= 2) off_diagonal.data()[n - 2] = a[(n - 2) * n + n - 1];
    if (n >= 1) off_diagonal.data()[n - 1] = 0;
    for (Index k = 0; k < n; ++k) values[k] = a[k * n + k];
    if (vectors != nullptr) detail::symmetric::collect_reflections(n, a, factors.data(), vectors, work.data());
    for (Index k = 0; k < n; ++k)
        if (!is_finite(values[k]) || !is_finite(off_diagonal.data()[k])) return false;
    if (!detail::symmetric::diagonalise(n, values, off_diagonal.data(), vectors)) return false;
    detail::symmetric::sort_ascending(n, values, vectors);
    return true;
}

}  // namespace genmod::kernels
