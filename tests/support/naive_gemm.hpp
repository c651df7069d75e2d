// The matrix product as its definition says, in double, with the size of the rounding errors to expect.
#pragma once

#include <cmath>
#include <vector>

#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"

namespace naive {

using genmod::Index;

// A value in double and the sum of the absolute values of everything that was added up to it.
struct Sum {
    double value = 0;
    double magnitude = 0;

    void add(double term) {
        value += term;
        magnitude += std::abs(term);
    }
};

// What an epilogue makes of a finished sum; `at` is the position in c, `before` what c held.
template <class T>
Sum finish(const Sum& sum, const genmod::kernels::Epilogue<T>& epilogue, Index column, Index at, double before) {
    Sum result{sum.value * epilogue.scale, std::abs(sum.magnitude * epilogue.scale)};
    if (epilogue.bias != nullptr) result.add(epilogue.bias[column]);
    if (epilogue.residual != nullptr) result.add(epilogue.residual[at]);
    if (epilogue.mode == genmod::Accumulate::add) result.add(before);
    return result;
}

// One entry of a * b.
template <class T>
Sum product(const genmod::kernels::Matrix<T>& a, const genmod::kernels::Matrix<T>& b, Index row, Index column) {
    Sum sum;
    for (Index k = 0; k < a.cols; ++k)
        sum.add(static_cast<double>(a.data[row * a.row_step + k * a.col_step]) *
                static_cast<double>(b.data[k * b.row_step + column * b.col_step]));
    return sum;
}

}  // namespace naive
