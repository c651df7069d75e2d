// The Frechet distance between two sets of features (Heusel et al. 2017): with Inception's features it is the FID.
#pragma once

#include <algorithm>
#include <cmath>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/linalg.hpp"

namespace genmod::metrics {

// Mean [d] and unbiased covariance [d, d] of features. T is double.
template <class T>
struct FeatureMoments {
    Tensor<T> mean;
    Tensor<T> covariance;
};

// The moments of features [n, d]. Throws Error unless there are at least two samples, Error(non_finite) for NaN or
// infinity.
template <class T>
FeatureMoments<double> feature_moments(const Tensor<T>& features) {
    check(features.rank() == 2 && features.dim(0) >= 2 && features.dim(1) >= 1,
          "frechet: expected features [n, d] with n >= 2, found ", features.shape());
    const Index n = features.dim(0), d = features.dim(1);
    Tensor<double> centred = cast<double>(features);
    FeatureMoments<double> moments{Tensor<double>::zeros({d}), Tensor<double>({d, d})};
    for (Index k = 0; k < n * d; ++k) {
        if (!is_finite(centred[k])) fail(ErrorCode::non_finite, "frechet: sample ", k / d, " has NaN or infinity");
        moments.mean[k % d] += centred[k];
    }
    for (double& value : moments.mean) value /= static_cast<double>(n);
    for (Index k = 0; k < n * d; ++k) centred[k] -= moments.mean[k % d];
    const kernels::Matrix<double> rows = kernels::row_major<double>(centred.data(), n, d);
    kernels::gemm(kernels::transposed(rows), rows, moments.covariance.data(), d,
                  {.scale = 1 / static_cast<double>(n - 1)});
    return moments;
}

namespace detail {

// The symmetric square root of a covariance; eigenvalues below zero are rounding errors and count as zero.
template <class T>
Tensor<T> matrix_root(const Tensor<T>& a) {
    const Index d = a.dim(0);
    Tensor<T> copy = a.clone(), values({d}), vectors({d, d}), result({d, d});
    if (!kernels::symmetric_eigen(d, copy.data(), values.data(), vectors.data()))
        fail(ErrorCode::non_finite, "frechet: the covariance has no eigenvalues");
    copy.assign(vectors);
    for (Index k = 0; k < d * d; ++k) copy[k] *= std::sqrt(std::max(values[k / d], T(0)));
    const auto left = kernels::transposed(kernels::row_major<T>(vectors.data(), d, d));
    kernels::gemm(left, kernels::row_major<T>(copy.data(), d, d), result.data(), d);
    return result;
}

// trace((root b root)^(1/2)) for root = a^(1/2).
template <class T>
T trace_of_root(const Tensor<T>& a, const Tensor<T>& b) {
    const Index d = a.dim(0);
    const Tensor<T> root = matrix_root(a);
    Tensor<T> half({d, d}), product({d, d}), values({d});
    const auto matrix = [d](const Tensor<T>& x) { return kernels::row_major<T>(x.data(), d, d); };
    kernels::gemm(matrix(root), matrix(b), half.data(), d);
    kernels::gemm(matrix(half), matrix(root), product.data(), d);
    for (Index i = 0; i < d; ++i)
        for (Index j = 0; j < i; ++j)
            product[i * d + j] = product[j * d + i] = (product[i * d + j] + product[j * d + i]) / 2;
    if (!kernels::symmetric_eigen<T>(d, product.data(), values.data(), nullptr))
        fail(ErrorCode::non_finite, "frechet: the covariance has no eigenvalues");
    T trace = 0;
    for (const T value : values) trace += std::sqrt(std::max(value, T(0)));
    return trace;
}

}  // namespace detail

// |mean_a - mean_b|^2 + trace(a + b - 2 (a b)^(1/2)) of the Gaussians with these moments (Dowson and Landau 1982).
// Never negative. Throws Error when the numbers of features differ.
template <class T>
double frechet_distance(const FeatureMoments<T>& a, const FeatureMoments<T>& b) {
    check(a.mean.shape() == b.mean.shape(), "frechet: features of ", a.mean.shape(), " and ", b.mean.shape());
    const Index d = a.mean.size();
    T sum = 0;
    for (Index k = 0; k < d; ++k) {
        const T difference = a.mean[k] - b.mean[k];
        sum += difference * difference + a.covariance[k * (d + 1)] + b.covariance[k * (d + 1)];
    }
    return std::max(T(0), sum - 2 * detail::trace_of_root(a.covariance, b.covariance));
}

// The distance between features [n, d] and [m, d].
template <class T>
double frechet_distance(const Tensor<T>& a, const Tensor<T>& b) {
    return frechet_distance(feature_moments(a), feature_moments(b));
}

}  // namespace genmod::metrics
