// Inverses and determinants of small square matrices.
#pragma once

#include <utility>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::ops {

namespace detail {

template <class T>
struct Inverted {
    Tensor<T> inverse;
    double log_abs_det = 0;
};

template <class T>
Inverted<T> invert(const char* op, const Tensor<T>& a) {
    check(a.rank() == 2 && a.dim(0) == a.dim(1) && a.size() > 0, op, ": expected a square matrix, found shape ",
          a.shape());
    Inverted<T> result{Tensor<T>(a.shape())};
    if (!kernels::invert(a.dim(0), a.data(), result.inverse.data(), &result.log_abs_det))
        fail(ErrorCode::non_finite, op, ": a matrix ", a.shape(), " is singular or not finite");
    return result;
}

}  // namespace detail

// a^-1 of a square matrix, computed in double. Throws Error when a is no square, Error(non_finite) when it is singular.
template <class T>
Var<T> inverse(const Var<T>& a) {
    const Tensor<T> y = detail::invert("inverse", a.value()).inverse;
    Var<T> result(y);
    if (recording(a))
        result.attach({a}, [y](const Tensor<T>& dy, Sinks<T>& sinks) {  // da = -y^T dy y^T
            const auto da = sinks[0];
            if (!da) return;
            const Index n = y.dim(0);
            const auto across = kernels::transposed(kernels::row_major(y.data(), n, n));
            Tensor<T> left(y.shape());
            kernels::gemm(across, kernels::row_major(dy.data(), n, n), left.data(), n);
            kernels::gemm(kernels::row_major(std::as_const(left).data(), n, n), across, da.data, n,
                          {.scale = T(-1), .mode = da.mode});
        });
    return result;
}

// log |det a| of a square matrix, of shape [], computed in double. Throws as inverse() does.
template <class T>
Var<T> log_abs_det(const Var<T>& a) {
    const auto found = detail::invert("log_abs_det", a.value());
    Var<T> result(Tensor<T>::full({}, static_cast<T>(found.log_abs_det)));
    if (recording(a))
        result.attach({a}, [y = found.inverse](const Tensor<T>& dy, Sinks<T>& sinks) {  // da = dy y^T
            const auto da = sinks[0];
            const Index n = y.dim(0);
            for (Index k = 0; da && k < n * n; ++k) {
                const T part = dy[0] * y[k % n * n + k / n];
                da.data[k] = da.mode == Accumulate::write ? part : da.data[k] + part;
            }
        });
    return result;
}

}  // namespace genmod::ops
