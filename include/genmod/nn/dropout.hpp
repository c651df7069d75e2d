// Dropout (Srivastava et al. 2014).
#pragma once

#include <algorithm>
#include <cstdint>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"

namespace genmod::nn {

// The factors of dropout for `shape` = [n, ...]: 0 with the given probability, else 1 / (1 - probability). Those of
// sample k depend on the seed and step of the Training scope, the place in the network, and k only.
template <class T>
Tensor<T> dropout_mask(const Shape& shape, double probability, const Training& training, std::uint32_t place) {
    Tensor<T> mask(shape);
    const Index samples = shape.dim(0), numbers = shape.product(1, shape.rank());
    const T keep = static_cast<T>(1 / (1 - probability)), threshold = static_cast<T>(probability);
    const Index grain = std::max<Index>(1, 16384 / std::max<Index>(1, numbers));
    parallel_ranges(samples, grain, [&](Index first, Index last) {
        for (Index k = first; k < last; ++k) {
            T* begin = mask.data() + k * numbers;
            fill_uniform(Stream{.seed = training.seed(),
                                .purpose = Purpose::dropout,
                                .step = training.step(),
                                .sample = static_cast<std::uint32_t>(k),
                                .draw = place},
                         begin, numbers);
            for (T* number = begin; number != begin + numbers; ++number) *number = *number < threshold ? T(0) : keep;
        }
    });
    return mask;
}

// In a Training scope each number becomes 0 with the given probability, and the others grow to keep the mean; elsewhere
// nothing happens. Recomputation (gradient checkpointing) draws the same numbers.
struct Dropout : Module {
    double probability;

    // Throws Error unless 0 <= p < 1.
    explicit Dropout(double p = 0) : probability(p) {
        check(p >= 0 && p < 1, "Dropout: the probability ", p, " is not in [0, 1)");
    }

    // x [n, ...]
    template <class T>
    Var<T> operator()(const Var<T>& x) const {
        if (training() == nullptr || probability == 0) return x;
        return ops::mul(x, Var<T>(next_mask<T>(x.shape())));
    }
    template <class T>
    Dual<T> operator()(const Dual<T>& x) const {
        if (training() == nullptr || probability == 0) return x;
        const Var<T> mask = next_mask<T>(x.shape());
        return {ops::mul(x.value, mask), ops::mul(x.tangent, mask)};
    }

    static void visit(auto&, auto&&) {}

private:
    template <class T>
    Tensor<T> next_mask(const Shape& shape) const {
        return dropout_mask<T>(shape, probability, *training(), training()->next_place());
    }
};

}  // namespace genmod::nn
