// Grey pictures made black and white by chance.
#pragma once

#include <cstdint>

#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::vae {

// x [n, ...] in -1..1 -> 1 with probability (x + 1) / 2, else -1, drawn by (seed, step, sample): anew for each step
// (Salakhutdinov and Murray 2008), or once for all with a fixed step.
template <class T>
Tensor<T> binarised(const Tensor<T>& x, std::uint64_t seed, std::uint64_t step = 0) {
    Tensor<T> result(x.shape());
    const Index size = x.shape().product(1, x.rank());
    parallel_for(x.dim(0), [&](Index k) {
        const Stream stream{
            .seed = seed, .purpose = Purpose::data, .step = step, .sample = static_cast<std::uint32_t>(k)};
        T* own = result.data() + k * size;
        fill_uniform(stream, own, size);
        for (Index i = 0; i < size; ++i) own[i] = own[i] < (x[k * size + i] + T(1)) / T(2) ? T(1) : T(-1);
    });
    return result;
}

}  // namespace genmod::vae
