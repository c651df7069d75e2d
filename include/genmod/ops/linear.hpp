// Matrix products: fully connected layers, and products of matrices that are both variables.
#pragma once

#include <concepts>
#include <optional>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/packed.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/kept_weight.hpp"
#include "genmod/ops/rounded.hpp"
#include "genmod/ops/unary.hpp"

namespace genmod::ops {

namespace detail {

template <class T>
kernels::Matrix<T> as_rows(const Tensor<T>& tensor, Index cols) {
    return kernels::row_major(tensor.data(), tensor.size() / cols, cols);
}

}  // namespace detail

namespace detail {

// What follows the product of a linear layer.
struct LinearFinish {
    std::optional<kernels::Unary> f = {};
    bool gated = false;                  // the left half times f of the right half
    Precision reader = Precision::full;  // of the product that alone reads the result
};

// y [..., width] = rows of x * weight^T, as the epilogue has it.
template <class T, class Out>
void multiply_rows(const Var<T>& x, const Var<T>& weight, Out* y, Index width, const kernels::Epilogue<T>& epilogue) {
    const Index in = weight.dim(1);
    if (weight.packed() == nullptr) {
        if constexpr (std::same_as<T, Out>)
            kernels::gemm(as_rows(x.value(), in), kernels::transposed(as_rows(weight.value(), in)), y, width, epilogue);
    } else if (x.half() == nullptr) {
        kernels::gemm_packed(as_rows(x.value(), in), *weight.packed(), y, width, epilogue);
    } else if constexpr (std::same_as<T, float>) {
        kernels::gemm_packed(kernels::row_major(x.half().get(), x.size() / in, in), *weight.packed(), y, width,
                             epilogue);
    }
}

// f(x * weight^T + bias), or the left half times f of the right half. Throws Error when they do not fit.
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, const LinearFinish& finish = {}) {
    check(weight.rank() == 2 && x.rank() >= 1 && x.dim(-1) == weight.dim(1) && weight.size() > 0, "linear: x ",
          x.shape(), " does not fit weight ", weight.shape());
    const Index out = weight.dim(0);
    check(bias.empty() || bias.shape() == Shape{out}, "linear: bias ", bias.shape(), " does not fit weight ",
          weight.shape());
    check(!finish.gated || out % 2 == 0, "linear: expected an even number of outputs to gate, found weight ",
          weight.shape());
    const Index width = finish.gated ? out / 2 : out;
    const kernels::Epilogue<T> epilogue{.bias = bias.data(), .activation = finish.f, .gated = finish.gated};
    const bool rounded = stores_rounded<T>(finish.reader) && multiplies_in(weight) == Precision::bf16_tiles;
    return stored<T>(x.shape().with(-1, width), rounded,
                     [&](auto* y) { multiply_rows(x, weight, y, width, epilogue); });
}

}  // namespace detail

// x [..., in], weight [out, in], bias [out] or empty -> x * weight^T + bias [..., out]. Throws Error when they do not
// fit.
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
    Var<T> result = detail::linear(x, weight, bias);
    if (recording(x, weight, bias))
        result.attach({x, weight, bias}, [xv = x.value(), kept = detail::KeptWeight<T>(weight), out = weight.dim(0),
                                          in = weight.dim(1)](const Tensor<T>& dy, Sinks<T>& sinks) {
            const kernels::Matrix<T> rows = detail::as_rows(dy, out);
            if (auto dx = sinks[0])
                kernels::gemm(rows, detail::as_rows(kept.numbers(), in), dx.data, in, {.mode = dx.mode});
            if (auto dw = sinks[1])
                kernels::gemm_over_samples(kernels::transposed(rows), detail::as_rows(xv, in), dw.data, dw.mode);
            if (auto db = sinks[2]) kernels::sum_rows(rows.rows, out, dy.data(), db.data, db.mode);
        });
    return result;
}

template <class T>
Dual<T> linear(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias) {
    return {linear(x.value, weight, bias), linear(x.tangent, weight, Var<T>{})};
}

// f(linear(x, weight, bias)) for an f without parameters: in one pass where no gradient is recorded, with the same
// bits. `reader`: of the product that alone reads the result (ops/rounded.hpp).
template <class T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, kernels::Unary f,
              Precision reader = Precision::full) {
    if (recording(x, weight, bias)) return detail::unary(f, linear(x, weight, bias));
    return detail::linear(x, weight, bias, {.f = f, .reader = reader});
}
template <class T>
Dual<T> linear(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, kernels::Unary f) {
    return detail::unary(f, linear(x, weight, bias));
}

// geglu(linear(x, weight, bias)): in one pass where no gradient is recorded, with the same bits. `reader` as above.
template <class T>
Var<T> linear_geglu(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, Precision reader = Precision::full) {
    if (recording(x, weight, bias)) return geglu(linear(x, weight, bias));
    return detail::linear(x, weight, bias, {.f = kernels::Unary::gelu, .gated = true, .reader = reader});
}

struct MatmulOptions {
    bool transpose_a = false;  // a is [..., k, m]
    bool transpose_b = false;  // b is [..., n, k]
};

namespace detail {

// A batch of matrices whose products lie one after another.
template <class T>
struct MatrixBatch {
    kernels::Matrix<T> first;
    Index stride = 0;
};

template <class T>
MatrixBatch<T> as_matrices(const Tensor<T>& tensor) {
    const Index rows = tensor.dim(-2), cols = tensor.dim(-1);
    return {kernels::row_major(tensor.data(), rows, cols), rows * cols};
}

template <class T>
MatrixBatch<T> transposed_if(bool yes, const MatrixBatch<T>& batch) {
    return yes ? MatrixBatch<T>{kernels::transposed(batch.first), batch.stride} : batch;
}

template <class T>
void multiply(Index batch, const MatrixBatch<T>& a, const MatrixBatch<T>& b, T* c, Accumulate mode) {
    const Index cols = b.first.cols;
    kernels::gemm_batch(batch, a.first, a.stride, b.first, b.stride, c, cols, a.first.rows * cols, {.mode = mode});
}

}  // namespace detail

// a [..., m, k] times b [..., k, n] -> [..., m, n], for each of the leading axes, which must be equal. Throws Error
// when they do not fit.
template <class T>
Var<T> matmul(const Var<T>& a, const Var<T>& b, MatmulOptions options = {}) {
    check(a.rank() >= 2 && a.rank() == b.rank(), "matmul: a ", a.shape(), " does not fit b ", b.shape());
    const Index rank = a.rank(), batch = a.shape().product(0, rank - 2);
    const Index m = a.dim(options.transpose_a ? -1 : -2), k = a.dim(options.transpose_a ? -2 : -1);
    const Index n = b.dim(options.transpose_b ? -2 : -1);
    const Shape shape = a.shape().with(-2, m).with(-1, n);
    check(k == b.dim(options.transpose_b ? -1 : -2) && b.shape().with(-2, m).with(-1, n) == shape, "matmul: a ",
          a.shape(), " does not fit b ", b.shape());
    Tensor<T> y(shape);
    detail::multiply(batch, detail::transposed_if(options.transpose_a, detail::as_matrices(a.value())),
                     detail::transposed_if(options.transpose_b, detail::as_matrices(b.value())), y.data(),
                     Accumulate::write);
    Var<T> result(y);
    if (recording(a, b))
        result.attach({a, b}, [av = a.value(), bv = b.value(), options, batch](const Tensor<T>& dy, Sinks<T>& sinks) {
            using detail::transposed_if;
            const auto a_all = transposed_if(options.transpose_a, detail::as_matrices(av));
            const auto b_all = transposed_if(options.transpose_b, detail::as_matrices(bv));
            const auto d_all = detail::as_matrices(dy);
            // da = dy * b^T and db = a^T * dy, each the other way round where the operand lies transposed.
            if (auto da = sinks[0]) {
                if (options.transpose_a)
                    detail::multiply(batch, b_all, transposed_if(true, d_all), da.data, da.mode);
                else
                    detail::multiply(batch, d_all, transposed_if(true, b_all), da.data, da.mode);
            }
            if (auto db = sinks[1]) {
                if (options.transpose_b)
                    detail::multiply(batch, transposed_if(true, d_all), a_all, db.data, db.mode);
                else
                    detail::multiply(batch, transposed_if(true, a_all), d_all, db.data, db.mode);
            }
        });
    return result;
}

// With the tangent on one side; the other side is held fixed.
template <class T>
Dual<T> matmul(const Dual<T>& a, const Var<T>& b, MatmulOptions options = {}) {
    return {matmul(a.value, b, options), matmul(a.tangent, b, options)};
}
template <class T>
Dual<T> matmul(const Var<T>& a, const Dual<T>& b, MatmulOptions options = {}) {
    return {matmul(a, b.value, options), matmul(a, b.tangent, options)};
}

}  // namespace genmod::ops
