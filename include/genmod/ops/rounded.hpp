// Results that only a product in bf16 reads, stored as it would round them: half the memory to write and to read, and
// the same bits behind the product.
#pragma once

#include <concepts>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::ops {

namespace detail {

// Whether results are stored as Precision::bf16_tiles rounds them when a product of precision `reader` alone reads
// them: where no gradients are recorded, which want the numbers themselves.
template <class T>
bool stores_rounded(Precision reader) {
    return std::same_as<T, float> && reader == Precision::bf16_tiles && !context().recording;
}

// The numbers of the given shape that `write` puts to a T* or a bf16*.
template <class T, class Write>
Var<T> stored(const Shape& shape, bool rounded, Write write) {
    if constexpr (std::same_as<T, float>)
        if (rounded) {
            Tensor<bf16> y(shape);
            write(y.data());
            return Var<T>::rounded(y);
        }
    Tensor<T> y(shape);
    write(y.data());
    return y;
}

}  // namespace detail

}  // namespace genmod::ops
