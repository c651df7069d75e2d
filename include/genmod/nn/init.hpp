// First values of weights, drawn in the order in which layers are built.
#pragma once

#include <cmath>
#include <cstdint>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod::nn {

namespace detail {

// A stream of its own for one weight: whatever its size, the generator moves on by two words.
inline Stream weight_stream(Rng& rng) {
    const std::uint64_t high = rng.next();
    return {.seed = (high << 32) | rng.next(), .purpose = Purpose::weights};
}

}  // namespace detail

// A parameter drawn from U(-bound, bound).
template <class T>
Var<T> uniform_parameter(const Shape& shape, double bound, Rng& rng) {
    Tensor<T> value(shape);
    fill_uniform(detail::weight_stream(rng), value.data(), value.size());
    for (T& number : value) number = static_cast<T>(bound) * (T(2) * number - T(1));
    return Var<T>::parameter(value);
}

// A parameter drawn from N(0, deviation^2).
template <class T>
Var<T> normal_parameter(const Shape& shape, double deviation, Rng& rng) {
    Tensor<T> value(shape);
    fill_normal(detail::weight_stream(rng), value.data(), value.size());
    for (T& number : value) number *= static_cast<T>(deviation);
    return Var<T>::parameter(value);
}

// A parameter of equal numbers.
template <class T>
Var<T> constant_parameter(const Shape& shape, double value) {
    return Var<T>::parameter(Tensor<T>::full(shape, static_cast<T>(value)));
}

// What PyTorch draws for weights and biases of linear and convolution layers with `fan_in` inputs to each output:
// U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
template <class T>
Var<T> fan_in_parameter(const Shape& shape, Index fan_in, Rng& rng) {
    check(fan_in >= 1, "fan_in_parameter: expected at least 1 input, found ", fan_in);
    return uniform_parameter<T>(shape, 1.0 / std::sqrt(static_cast<double>(fan_in)), rng);
}

}  // namespace genmod::nn
