// Large batches a chunk at a time, so that what a network makes of one chunk stays in the cache of one core.
#pragma once

#include <algorithm>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod::nn {

// f(x) -> y [n, ...] for x [n, ...], asked for `rows` samples at a time, each time on one thread: for an f that takes
// samples one by one, records no gradients and costs little for each. Throws what f throws.
template <class T, class F>
Tensor<T> by_chunks(const Tensor<T>& x, Index rows, const F& f) {
    const Index n = x.dim(0), chunks = (n + rows - 1) / rows;
    if (chunks <= 1) return f(x);
    std::vector<Tensor<T>> parts(static_cast<std::size_t>(chunks));
    parallel_for(chunks, [&](Index chunk) {
        const NoGrad off;
        parts[static_cast<std::size_t>(chunk)] = f(x.slice(chunk * rows, std::min(n, (chunk + 1) * rows)));
    });
    Tensor<T> y(parts[0].shape().with(0, n));
    T* to = y.data();
    for (const Tensor<T>& part : parts) to = std::copy(part.begin(), part.end(), to);
    return y;
}

}  // namespace genmod::nn
