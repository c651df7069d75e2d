// Enlarging and shrinking pictures, channels last. Every way of doing so is one list of weighted sources for each axis,
// and its gradient is the same kernel with the lists turned around.
#pragma once

#include <vector>

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// For one axis: output i is the sum of weight[k] * input[source[k]] over k in begin[i]..begin[i + 1]-1.
template <class T>
struct Taps {
    Index in = 0;
    Index out = 0;
    std::vector<Index> begin{0};
    std::vector<Index> source{};
    std::vector<T> weight{};
};

// Each input `factor` times.
template <class T>
Taps<T> nearest_taps(Index in, Index factor);

// Linear interpolation between pixel centres: output i lies at (i + 1/2) in / out - 1/2, bounded to the input
// (PyTorch's align_corners=False).
template <class T>
Taps<T> linear_taps(Index in, Index out);

// Means of `size` inputs, `stride` apart. size <= in.
template <class T>
Taps<T> mean_taps(Index in, Index size, Index stride);

// Every stride-th input, the first one included.
template <class T>
Taps<T> stride_taps(Index in, Index stride);

// The map from outputs back to inputs.
template <class T>
Taps<T> transposed(const Taps<T>& taps);

// y [n, rows.out, cols.out, c] = the taps applied to x [n, rows.in, cols.in, c].
template <class T>
void resample(const Taps<T>& rows, const Taps<T>& cols, Index n, Index c, const T* x, T* y,
              Accumulate mode = Accumulate::write);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/resample.hpp"
#endif
