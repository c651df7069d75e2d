// What a product or a convolution does with its sums.
#pragma once

#include <optional>

#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"

namespace genmod::kernels {

// What happens to a finished sum: c = [c +] scale * sum + bias[column] + residual, then c = activation(c), while the
// block of c is in the cache.
template <class T>
struct Epilogue {
    const T* bias = nullptr;      // [n]
    Index bias_step = 0;          // of conv2d(): numbers from the bias of one sample to that of the next
    const T* residual = nullptr;  // laid out like c
    T scale = T(1);
    Accumulate mode = Accumulate::write;
    std::optional<Unary> activation = {};  // one without parameters
    bool gated = false;  // c has n / 2 columns: the left half of the products times the activation of the right one
};

}  // namespace genmod::kernels
