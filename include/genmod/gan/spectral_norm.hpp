// Spectral normalisation of weights (Miyato et al. 2018), with the meaning of torch.nn.utils.spectral_norm.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::gan {

namespace detail {

// x / max(|x|, 1e-12)
template <class T>
void normalise(Tensor<T>& x) {
    const double length = std::sqrt(static_cast<double>(kernels::sum_of_squares(x.size(), x.data())));
    for (T& value : x) value = static_cast<T>(static_cast<double>(value) / std::max(length, 1e-12));
}

}  // namespace detail

// The two vectors of the power iteration of a weight [out, ...], seen as a matrix of `out` rows. Not a module: the
// layer that has the weight names them.
template <class T>
struct SpectralNorm {
    Tensor<T> u;  // [out]
    Tensor<T> v;  // [1, ...]: as long as a row

    SpectralNorm() = default;  // of no weight: normalises nothing

    // Begins at random. Throws Error unless the weight has at least two axes.
    SpectralNorm(const Shape& weight, Rng& rng) {
        check(weight.rank() >= 2 && weight.size() > 0, "spectral norm: a weight of shape ", weight);
        u = rng.normals<T>({weight.dim(0)});
        v = rng.normals<T>(weight.with(0, 1));
        detail::normalise(u);
        detail::normalise(v);
    }

    bool empty() const { return u.empty(); }

    // weight / sigma with sigma = u' W v, the largest singular value in the end; u and v count as constants. Inside a
    // Training scope u and v take one step first (eq. 20 to 22: v along W' u, u along W v), kept when the step is
    // committed: one a step, however often the weight is used.
    Var<T> operator()(const Var<T>& weight) const {
        if (empty()) return weight;
        check(weight.shape() == v.shape().with(0, u.size()), "spectral norm: weight ", weight.shape(), " for vectors ",
              u.shape(), " and ", v.shape());
        SpectralNorm now;
        now.u = u.clone();
        now.v = v.clone();
        if (training() != nullptr) {
            now.iterate(weight.value());
            training()->collect(training()->next_place(), [from = now, to = *this]() mutable {
                to.u.assign(from.u);
                to.v.assign(from.v);
            });
        }
        const Index rows = u.size(), cols = v.size();
        const Var<T> moved = ops::mul(ops::reshape(weight, {rows, cols}), Var<T>(now.v.reshape({1, cols})));
        const Var<T> sigma = ops::sum(ops::mul(ops::sum(moved, {1}), Var<T>(now.u)));
        return ops::div(weight, sigma);
    }

private:
    void iterate(const Tensor<T>& weight) {
        const Index rows = u.size(), cols = v.size();
        const auto matrix = kernels::row_major(weight.data(), rows, cols);
        kernels::gemm(kernels::row_major(u.data(), 1, rows), matrix, v.data(), cols);
        detail::normalise(v);
        kernels::gemm(matrix, kernels::row_major(v.data(), cols, 1), u.data(), 1);
        detail::normalise(u);
    }
};

}  // namespace genmod::gan
