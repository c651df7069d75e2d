// 2-D convolution and transposed convolution, channels last.
#pragma once

#include <algorithm>
#include <concepts>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/packed.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/ops/kept_weight.hpp"

namespace genmod::ops {

struct Conv2dOptions {
    Index stride = 1;
    Index padding = 0;      // zeros on all four sides
    Index end_padding = 0;  // further zeros at the bottom and at the right
};

namespace detail {

// The shapes of one convolution. Throws Error when x and weight do not fit.
inline kernels::ConvShape conv_shape(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
    check(x.rank() == 4 && weight.rank() == 4 && x.dim(3) == weight.dim(3) && weight.size() > 0, "conv2d: x ", x,
          " does not fit weight ", weight);
    check(options.stride >= 1 && options.padding >= 0 && options.end_padding >= 0, "conv2d: stride ", options.stride,
          ", padding ", options.padding, ", end_padding ", options.end_padding, " are not all in range");
    const Index zeros = 2 * options.padding + options.end_padding;
    const Index kernel_h = weight.dim(1), kernel_w = weight.dim(2);
    check(x.dim(1) + zeros >= kernel_h && x.dim(2) + zeros >= kernel_w, "conv2d: x ", x, " with ", zeros,
          " rows and columns of padding is smaller than weight ", weight);
    return {.n = x.dim(0),
            .height = x.dim(1),
            .width = x.dim(2),
            .in = x.dim(3),
            .out = weight.dim(0),
            .kernel_h = kernel_h,
            .kernel_w = kernel_w,
            .stride = options.stride,
            .pad_top = options.padding,
            .pad_left = options.padding,
            .out_height = (x.dim(1) + zeros - kernel_h) / options.stride + 1,
            .out_width = (x.dim(2) + zeros - kernel_w) / options.stride + 1};
}

}  // namespace detail

namespace detail {

// The bias of each sample, [n, out].
template <class T>
Tensor<T> shifted_bias(const Var<T>& bias, const Var<T>& shift) {
    if (bias.empty()) return shift.value();
    Tensor<T> sum(shift.shape());
    const Index out = bias.size();
    for (Index k = 0; k < sum.size(); ++k) sum[k] = bias.value()[k % out] + shift.value()[k];
    return sum;
}

}  // namespace detail

namespace detail {

template <class T>
void convolve(const kernels::ConvShape& shape, const Var<T>& x, const Var<T>& weight, T* y,
              const kernels::Epilogue<T>& epilogue) {
    if (weight.packed() == nullptr)
        kernels::conv2d(shape, x.data(), weight.data(), y, epilogue);
    else if (x.half() == nullptr)
        kernels::conv2d_packed(shape, x.data(), *weight.packed(), y, epilogue);
    else if constexpr (std::same_as<T, float>)
        kernels::conv2d_packed(shape, x.half().get(), *weight.packed(), y, epilogue);
}

}  // namespace detail

// x [n, h, w, in], weight [out, kh, kw, in], bias [out] or empty, residual [n, oh, ow, out] or empty, shift [n, out] or
// empty -> convolution + (bias + shift of the sample) + residual [n, oh, ow, out], where
// oh = (h + 2 * padding + end_padding - kh) / stride + 1, rounded down. Throws Error when they do not fit.
template <class T>
Var<T> conv2d(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, Conv2dOptions options = {},
              const Var<T>& residual = {}, const Var<T>& shift = {}) {
    const kernels::ConvShape shape = detail::conv_shape(x.shape(), weight.shape(), options);
    check(bias.empty() || bias.shape() == Shape{shape.out}, "conv2d: bias ", bias.shape(), " does not fit weight ",
          weight.shape());
    check(shift.empty() || shift.shape() == Shape{shape.n, shape.out}, "conv2d: shift ", shift.shape(),
          " does not fit x ", x.shape(), " and weight ", weight.shape());
    Tensor<T> y({shape.n, shape.out_height, shape.out_width, shape.out});
    check(residual.empty() || residual.shape() == y.shape(), "conv2d: residual ", residual.shape(),
          " does not fit the result ", y.shape());
    const Tensor<T> biases = shift.empty() ? bias.value() : detail::shifted_bias(bias, shift);
    const kernels::Epilogue<T> epilogue{
        .bias = biases.data(), .bias_step = shift.empty() ? 0 : shape.out, .residual = residual.data()};
    detail::convolve(shape, x, weight, y.data(), epilogue);
    Var<T> result(y);
    if (recording(x, weight, bias, residual, shift))
        result.attach({x, weight, bias, residual, shift}, [shape, xv = x.value(), kept = detail::KeptWeight<T>(weight)](
                                                              const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0])
                kernels::conv2d_backward_input(shape, dy.data(), kept.numbers().data(), dx.data, {.mode = dx.mode});
            if (auto dw = sinks[1]) kernels::conv2d_backward_weight(shape, xv.data(), dy.data(), dw.data, dw.mode);
            if (auto db = sinks[2]) kernels::sum_rows(dy.size() / shape.out, shape.out, dy.data(), db.data, db.mode);
            if (auto ds = sinks[4])
                for (Index n = 0, pixels = shape.out_height * shape.out_width; n < shape.n; ++n)
                    kernels::sum_rows(pixels, shape.out, dy.data() + n * pixels * shape.out, ds.data + n * shape.out,
                                      ds.mode);
            sinks.give(3, dy);
        });
    return result;
}

template <class T>
Dual<T> conv2d(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias, Conv2dOptions options = {}) {
    return {conv2d(x.value, weight, bias, options), conv2d(x.tangent, weight, Var<T>{}, options)};
}

struct ConvTranspose2dOptions {
    Index stride = 1;
    Index padding = 0;         // rows and columns cut off on all four sides
    Index output_padding = 0;  // rows and columns added at the bottom and at the right; below stride
};

namespace detail {

// The shapes of the convolution that leads back from the result to x. Throws Error when x and weight do not fit.
inline kernels::ConvShape conv_transpose_shape(const Shape& x, const Shape& weight,
                                               const ConvTranspose2dOptions& options) {
    check(x.rank() == 4 && weight.rank() == 4 && x.dim(3) == weight.dim(0) && weight.size() > 0, "conv_transpose2d: x ",
          x, " does not fit weight ", weight);
    check(options.stride >= 1 && options.padding >= 0 && options.output_padding >= 0 &&
              options.output_padding < options.stride,
          "conv_transpose2d: stride ", options.stride, ", padding ", options.padding, ", output_padding ",
          options.output_padding, " are not all in range");
    const Index more = options.output_padding - 2 * options.padding;
    const Index height = (x.dim(1) - 1) * options.stride + weight.dim(1) + more;
    const Index width = (x.dim(2) - 1) * options.stride + weight.dim(2) + more;
    check(x.dim(1) >= 1 && x.dim(2) >= 1 && height >= 1 && width >= 1, "conv_transpose2d: x ", x, " and weight ",
          weight, " leave no pixel");
    return {.n = x.dim(0),
            .height = height,
            .width = width,
            .in = weight.dim(3),
            .out = x.dim(3),
            .kernel_h = weight.dim(1),
            .kernel_w = weight.dim(2),
            .stride = options.stride,
            .pad_top = options.padding,
            .pad_left = options.padding,
            .out_height = x.dim(1),
            .out_width = x.dim(2)};
}

}  // namespace detail

// x [n, h, w, in], weight [in, kh, kw, out], bias [out] or empty -> [n, oh, ow, out], where
// oh = (h - 1) * stride - 2 * padding + kh + output_padding: the gradient of a convolution of the result to x with
// respect to its input. Throws Error when they do not fit.
template <class T>
Var<T> conv_transpose2d(const Var<T>& x, const Var<T>& weight, const Var<T>& bias,
                        ConvTranspose2dOptions options = {}) {
    const kernels::ConvShape shape = detail::conv_transpose_shape(x.shape(), weight.shape(), options);
    check(bias.empty() || bias.shape() == Shape{shape.in}, "conv_transpose2d: bias ", bias.shape(),
          " does not fit weight ", weight.shape());
    Tensor<T> y({shape.n, shape.height, shape.width, shape.in});
    kernels::conv2d_backward_input(shape, x.data(), weight.data(), y.data(), {.bias = bias.data()});
    Var<T> result(y);
    if (recording(x, weight, bias))
        result.attach({x, weight, bias},
                      [shape, xv = x.value(), wv = weight.value()](const Tensor<T>& dy, Sinks<T>& sinks) {
                          if (auto dx = sinks[0])
                              kernels::conv2d(shape, dy.data(), wv.data(), dx.data, {.mode = dx.mode});
                          if (auto dw = sinks[1])
                              kernels::conv2d_backward_weight(shape, dy.data(), xv.data(), dw.data, dw.mode);
                          if (auto db = sinks[2])
                              kernels::sum_rows(dy.size() / shape.in, shape.in, dy.data(), db.data, db.mode);
                      });
    return result;
}

template <class T>
Dual<T> conv_transpose2d(const Dual<T>& x, const Var<T>& weight, const Var<T>& bias,
                         ConvTranspose2dOptions options = {}) {
    return {conv_transpose2d(x.value, weight, bias, options), conv_transpose2d(x.tangent, weight, Var<T>{}, options)};
}

}  // namespace genmod::ops
