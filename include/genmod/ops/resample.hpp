// Pictures [n, h, w, c] in other sizes.
#pragma once

#include <utility>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/resample.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::ops {

namespace detail {

template <class T>
Var<T> resample(const Var<T>& x, const kernels::Taps<T>& rows, const kernels::Taps<T>& cols) {
    const Index n = x.dim(0), c = x.dim(3);
    Tensor<T> y({n, rows.out, cols.out, c});
    kernels::resample(rows, cols, n, c, x.data(), y.data());
    Var<T> result(std::move(y));
    if (recording(x))
        result.attach({x}, [n, c, rows, cols](const Tensor<T>& dy, Sinks<T>& sinks) {
            if (auto dx = sinks[0])
                kernels::resample(kernels::transposed(rows), kernels::transposed(cols), n, c, dy.data(), dx.data,
                                  dx.mode);
        });
    return result;
}

template <class T>
void check_picture(const Var<T>& x, const char* name) {
    check(x.rank() == 4, name, ": expected pictures [n, h, w, c], found ", x.shape());
}

}  // namespace detail

// Each pixel becomes factor x factor pixels. Throws Error unless factor >= 1.
template <class T>
Var<T> upsample_nearest(const Var<T>& x, Index factor = 2) {
    detail::check_picture(x, "upsample_nearest");
    check(factor >= 1, "upsample_nearest: factor ", factor);
    return detail::resample(x, kernels::nearest_taps<T>(x.dim(1), factor), kernels::nearest_taps<T>(x.dim(2), factor));
}
template <class T>
Dual<T> upsample_nearest(const Dual<T>& x, Index factor = 2) {
    return {upsample_nearest(x.value, factor), upsample_nearest(x.tangent, factor)};
}

// Bilinear interpolation to height x width between pixel centres, without smoothing when it shrinks (PyTorch's
// interpolate with align_corners=False). Throws Error unless all sizes are positive.
template <class T>
Var<T> resize_bilinear(const Var<T>& x, Index height, Index width) {
    detail::check_picture(x, "resize_bilinear");
    check(height >= 1 && width >= 1 && x.dim(1) >= 1 && x.dim(2) >= 1, "resize_bilinear: from ", x.shape(), " to ",
          height, " x ", width);
    return detail::resample(x, kernels::linear_taps<T>(x.dim(1), height), kernels::linear_taps<T>(x.dim(2), width));
}
template <class T>
Dual<T> resize_bilinear(const Dual<T>& x, Index height, Index width) {
    return {resize_bilinear(x.value, height, width), resize_bilinear(x.tangent, height, width)};
}

// Means over windows of size x size pixels, `stride` apart (0: size). Throws Error when no window fits.
template <class T>
Var<T> average_pool(const Var<T>& x, Index size, Index stride = 0) {
    detail::check_picture(x, "average_pool");
    check(size >= 1 && stride >= 0 && size <= x.dim(1) && size <= x.dim(2), "average_pool: windows of ", size, ", ",
          stride, " apart, on ", x.shape());
    const Index step = stride == 0 ? size : stride;
    return detail::resample(x, kernels::mean_taps<T>(x.dim(1), size, step),
                            kernels::mean_taps<T>(x.dim(2), size, step));
}
template <class T>
Dual<T> average_pool(const Dual<T>& x, Index size, Index stride = 0) {
    return {average_pool(x.value, size, stride), average_pool(x.tangent, size, stride)};
}

// Every stride-th pixel of every stride-th row, beginning with the first. Throws Error unless stride >= 1.
template <class T>
Var<T> subsample(const Var<T>& x, Index stride) {
    detail::check_picture(x, "subsample");
    check(stride >= 1, "subsample: stride ", stride);
    return detail::resample(x, kernels::stride_taps<T>(x.dim(1), stride), kernels::stride_taps<T>(x.dim(2), stride));
}
template <class T>
Dual<T> subsample(const Dual<T>& x, Index stride) {
    return {subsample(x.value, stride), subsample(x.tangent, stride)};
}

// [n, h, w, c] -> [n, h / r, w / r, c r^2]: channel k r^2 + i r + j of the result is channel k of pixel (i, j) of a
// block (PyTorch's pixel_unshuffle). Throws Error unless r divides h and w.
template <class T>
Var<T> space_to_depth(const Var<T>& x, Index r) {
    detail::check_picture(x, "space_to_depth");
    check(r >= 1 && x.dim(1) % r == 0 && x.dim(2) % r == 0, "space_to_depth: blocks of ", r, " do not tile ",
          x.shape());
    const Index n = x.dim(0), h = x.dim(1) / r, w = x.dim(2) / r, c = x.dim(3);
    return reshape(permute(reshape(x, Shape{n, h, r, w, r, c}), {0, 1, 3, 5, 2, 4}), Shape{n, h, w, c * r * r});
}
template <class T>
Dual<T> space_to_depth(const Dual<T>& x, Index r) {
    return {space_to_depth(x.value, r), space_to_depth(x.tangent, r)};
}

// The inverse of space_to_depth(): [n, h, w, c r^2] -> [n, h r, w r, c] (PyTorch's pixel_shuffle). Throws Error unless
// r^2 divides the channels.
template <class T>
Var<T> depth_to_space(const Var<T>& x, Index r) {
    detail::check_picture(x, "depth_to_space");
    check(r >= 1 && x.dim(3) % (r * r) == 0, "depth_to_space: blocks of ", r, " do not fit the channels of ",
          x.shape());
    const Index n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3) / (r * r);
    return reshape(permute(reshape(x, Shape{n, h, w, c, r, r}), {0, 1, 4, 2, 5, 3}), Shape{n, h * r, w * r, c});
}
template <class T>
Dual<T> depth_to_space(const Dual<T>& x, Index r) {
    return {depth_to_space(x.value, r), depth_to_space(x.tangent, r)};
}

}  // namespace genmod::ops
