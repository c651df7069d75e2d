// Invertible 1x1 convolution: a square matrix over the channels (Kingma and Dhariwal 2018, section 3.2).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/linalg.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

namespace detail {

// A random rotation (or reflection): normals, made orthonormal row by row.
template <class T>
Tensor<T> random_rotation(Index n, Rng& rng) {
    Tensor<double> q = rng.normals<double>({n, n});
    for (Index i = 0; i < n; ++i) {
        double* row = q.data() + i * n;
        for (Index pass = 0; pass < 2; ++pass)
            for (Index j = 0; j < i; ++j) {
                const double* other = q.data() + j * n;
                double product = 0;
                for (Index k = 0; k < n; ++k) product += row[k] * other[k];
                for (Index k = 0; k < n; ++k) row[k] -= product * other[k];
            }
        double square = 0;
        for (Index k = 0; k < n; ++k) square += row[k] * row[k];
        for (Index k = 0; k < n; ++k) row[k] /= std::sqrt(square);
    }
    return cast<T>(q);
}

// a = permutation * lower * upper, with ones on the diagonal of `lower`; rows are exchanged for the largest pivots.
struct LuFactors {
    Tensor<double> permutation, lower, upper;
};
inline LuFactors lu(Tensor<double> a) {
    const Index n = a.dim(0);
    LuFactors result{Tensor<double>::zeros({n, n}), Tensor<double>::zeros({n, n}), Tensor<double>::zeros({n, n})};
    std::vector<Index> origin(static_cast<std::size_t>(n));
    for (Index k = 0; k < n; ++k) origin[static_cast<std::size_t>(k)] = k;
    for (Index k = 0; k < n; ++k) {
        Index best = k;
        for (Index i = k + 1; i < n; ++i)
            if (std::abs(a[i * n + k]) > std::abs(a[best * n + k])) best = i;
        if (best != k) std::swap_ranges(a.data() + k * n, a.data() + (k + 1) * n, a.data() + best * n);
        std::swap(origin[static_cast<std::size_t>(k)], origin[static_cast<std::size_t>(best)]);
        for (Index i = k + 1; i < n; ++i) {
            a[i * n + k] /= a[k * n + k];
            for (Index j = k + 1; j < n; ++j) a[i * n + j] -= a[i * n + k] * a[k * n + j];
        }
    }
    for (Index k = 0; k < n; ++k) result.permutation[origin[static_cast<std::size_t>(k)] * n + k] = 1;
    for (Index k = 0; k < n * n; ++k) (k % n < k / n ? result.lower : result.upper)[k] = a[k];
    return result;
}

// 1 strictly below (or above) the diagonal of a square matrix, 0 elsewhere.
template <class T>
Tensor<T> triangle(Index n, bool lower) {
    Tensor<T> result({n, n});
    for (Index k = 0; k < n * n; ++k) result[k] = (lower ? k % n < k / n : k % n > k / n) ? T(1) : T(0);
    return result;
}

template <class T>
Tensor<T> identity(Index n) {
    Tensor<T> result({n, n});
    for (Index k = 0; k < n * n; ++k) result[k] = k % n == k / n ? T(1) : T(0);
    return result;
}

}  // namespace detail

// How the matrix is kept: as it is, or as permutation * lower * (upper + diag(sign * exp(log_diagonal))) (eq. 10),
// whose determinant costs nothing.
enum class MatrixForm { full, lu };

// y = W x at each place of x [n, ..., c]; W starts as a random rotation.
template <class T>
struct InvConv1x1 : nn::Module {
    static constexpr const char* name = "invertible 1x1 convolution";
    Var<T> weight;          // [c, c], of the full form; the others are of the LU form
    Tensor<T> permutation;  // [c, c]
    Var<T> lower;           // [c, c], of which the part below the diagonal counts
    Var<T> upper;           // [c, c], of which the part above the diagonal counts
    Tensor<T> sign;         // [c]
    Var<T> log_diagonal;    // [c]

    InvConv1x1(Index channels, Rng& rng, MatrixForm form = MatrixForm::lu) {
        check(channels >= 1, "InvConv1x1: ", channels, " channels");
        Rng own(nn::detail::weight_stream(rng).seed, Purpose::weights);
        const Tensor<double> rotation = detail::random_rotation<double>(channels, own);
        if (form == MatrixForm::full) {
            weight = Var<T>::parameter(cast<T>(rotation));
            return;
        }
        const detail::LuFactors factors = detail::lu(rotation.clone());
        permutation = cast<T>(factors.permutation);
        lower = Var<T>::parameter(cast<T>(factors.lower));
        upper = Var<T>::parameter(cast<T>(factors.upper));
        sign = Tensor<T>({channels});
        log_diagonal = nn::constant_parameter<T>({channels}, 0);
        for (Index k = 0; k < channels; ++k) {
            const double pivot = factors.upper[k * channels + k];
            upper.value()[k * channels + k] = 0;
            sign[k] = pivot < 0 ? T(-1) : T(1);
            log_diagonal.value()[k] = static_cast<T>(std::log(std::abs(pivot)));
        }
    }

    // W [c, c]
    Var<T> matrix() const {
        if (!weight.empty()) return weight;
        const Index c = log_diagonal.size();
        const Var<T> one(detail::identity<T>(c));
        const Var<T> l = ops::add(ops::mul(lower, Var<T>(detail::triangle<T>(c, true))), one);
        const Var<T> diagonal = ops::mul(ops::mul(ops::exp(log_diagonal), Var<T>(sign)), one);
        const Var<T> u = ops::add(ops::mul(upper, Var<T>(detail::triangle<T>(c, false))), diagonal);
        return ops::matmul(Var<T>(permutation), ops::matmul(l, u));
    }

    // Throws Error when x does not fit, Error(non_finite) when W is singular.
    Transformed<T> forward(const Var<T>& x) const {
        const Var<T> w = matrix();
        return {ops::linear(x, w, Var<T>()), log_det(w, x, 1)};
    }
    Transformed<T> inverse(const Var<T>& y) const {
        const Var<T> w = matrix();
        return {ops::linear(y, ops::inverse(w), Var<T>()), log_det(w, y, -1)};
    }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight);
        f("P", self.permutation);
        f("L", self.lower);
        f("U", self.upper);
        f("sign_S", self.sign);
        f("log_S", self.log_diagonal);
    }

private:
    Var<T> log_det(const Var<T>& w, const Var<T>& x, double direction) const {
        const Var<T> one = weight.empty() ? ops::sum(log_diagonal) : ops::log_abs_det(w);
        return for_each_sample(one, x.dim(0), direction * pixels(x.shape()));
    }
};

}  // namespace genmod::flows
