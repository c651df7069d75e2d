// Latent vectors: drawn by key, on the way from one to another, and along one axis.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::nn {

// Standard normals [n, ...] of a training step: sample k draws from the stream (seed, step, k).
template <class T>
Tensor<T> step_normals(const Shape& shape, std::uint64_t seed, std::uint64_t step) {
    Tensor<T> z(shape);
    const Index size = shape.product(1, shape.rank());
    parallel_for(shape.dim(0), [&](Index k) {
        fill_normal({.seed = seed, .purpose = Purpose::latent, .step = step, .sample = static_cast<std::uint32_t>(k)},
                    z.data() + k * size, size);
    });
    return z;
}

// Standard normals [n, ...] to sample from: sample k depends on seed + k only.
template <class T>
Tensor<T> sample_normals(const Shape& shape, std::uint64_t seed) {
    Tensor<T> z(shape);
    const Index size = shape.product(1, shape.rank());
    parallel_for(shape.dim(0), [&](Index k) {
        fill_normal({.seed = seed + static_cast<std::uint64_t>(k), .purpose = Purpose::latent}, z.data() + k * size,
                    size);
    });
    return z;
}

// The way between two latents: a straight line, or an arc on which the length changes evenly with the angle (Shoemake
// 1985), so that points between two normals are as far out as normals are.
enum class Way { linear, spherical };

namespace detail {

// The angle between a and b.
template <class T>
double angle_between(const Tensor<T>& a, const Tensor<T>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (Index k = 0; k < a.size(); ++k) {
        const auto x = static_cast<double>(a[k]), y = static_cast<double>(b[k]);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 0 && bb > 0 ? std::acos(std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0)) : 0.0;
}

}  // namespace detail

// The point at `t` in 0..1 of the way from a to b, of their shape. Where the angle between them is next to 0 or to half
// a turn, the arc is a straight line. Throws Error when the shapes differ.
template <class T>
Tensor<T> interpolate(const Tensor<T>& a, const Tensor<T>& b, double t, Way way) {
    check(a.shape() == b.shape(), "interpolate: latents of shapes ", a.shape(), " and ", b.shape());
    const double angle = way == Way::spherical ? detail::angle_between(a, b) : 0.0;
    const double sine = std::sin(angle);
    const bool arc = sine > 1e-6;
    const double of_a = arc ? std::sin((1 - t) * angle) / sine : 1 - t;
    const double of_b = arc ? std::sin(t * angle) / sine : t;
    Tensor<T> point(a.shape());
    for (Index k = 0; k < a.size(); ++k)
        point[k] = static_cast<T>(of_a * static_cast<double>(a[k]) + of_b * static_cast<double>(b[k]));
    return point;
}

// `count` points from a to b, both included, [count, ...]. Throws Error unless count >= 2.
template <class T>
Tensor<T> interpolation(const Tensor<T>& a, const Tensor<T>& b, Index count, Way way = Way::spherical) {
    check(count >= 2, "interpolation: expected at least 2 points, found ", count);
    Tensor<T> points(a.shape().inserted(0, count));
    for (Index k = 0; k < count; ++k) {
        const Tensor<T> point = interpolate(a, b, static_cast<double>(k) / static_cast<double>(count - 1), way);
        std::copy(point.begin(), point.end(), points.data() + k * a.size());
    }
    return points;
}

// `count` copies of z [d] whose number `axis` goes from low to high, [count, d]. Throws Error when there is no such
// number or count < 2.
template <class T>
Tensor<T> traversal(const Tensor<T>& z, Index axis, double low, double high, Index count) {
    check(z.rank() == 1 && axis >= 0 && axis < z.size() && count >= 2, "traversal: axis ", axis, " of a latent ",
          z.shape(), " in ", count, " points");
    Tensor<T> points({count, z.size()});
    for (Index k = 0; k < count; ++k) {
        std::copy(z.begin(), z.end(), points.data() + k * z.size());
        const double t = static_cast<double>(k) / static_cast<double>(count - 1);
        points[k * z.size() + axis] = static_cast<T>(low + t * (high - low));
    }
    return points;
}

}  // namespace genmod::nn
