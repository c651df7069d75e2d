// Keeps predicted pictures in range: clipping and dynamic thresholding.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// Every number into [-range, range]; NaN stays NaN.
template <class T>
Tensor<T> clip(const Tensor<T>& x, double range) {
    check(range > 0, "clip: range ", range, " is not positive");
    const T bound = static_cast<T>(range);
    Tensor<T> result(x.shape());
    const T* in = x.data();
    T* out = result.data();
    parallel_ranges(x.size(), 32768, [=](Index first, Index last) {
        for (Index k = first; k < last; ++k) out[k] = std::clamp(in[k], -bound, bound);
    });
    return result;
}

// The number below which the part `ratio` (0..1) of the values lies, linear between two values. Reorders them.
template <class T>
T quantile(std::vector<T>& values, double ratio) {
    check(!values.empty() && ratio >= 0 && ratio <= 1, "quantile: ratio ", ratio, " of ", values.size(), " values");
    const double rank = ratio * static_cast<double>(values.size() - 1);
    const auto lower = values.begin() + static_cast<std::ptrdiff_t>(rank);
    std::nth_element(values.begin(), lower, values.end());
    const T below = *lower;
    if (lower + 1 == values.end()) return below;
    const T above = *std::min_element(lower + 1, values.end());
    return below + static_cast<T>(rank - std::floor(rank)) * (above - below);
}

// Imagen's dynamic thresholding (Saharia et al. 2022, appendix A.2): for each sample of axis 0, s is the quantile of
// the absolute values, kept in [1, max_value]; numbers are clipped to [-s, s] and divided by s.
template <class T>
Tensor<T> dynamic_threshold(const Tensor<T>& x, double ratio, double max_value) {
    check(max_value >= 1, "dynamic thresholding: sample_max_value ", max_value, " is below 1");
    Tensor<T> result(x.shape());
    const Index samples = x.dim(0), size = samples == 0 ? 0 : x.size() / samples;
    parallel_for(samples, [&](Index n) {
        const T* in = x.data() + n * size;
        T* out = result.data() + n * size;
        std::vector<T> values(in, in + size);
        for (T& value : values) value = std::abs(value);
        const T s = std::clamp(quantile(values, ratio), T(1), static_cast<T>(max_value));
        for (Index k = 0; k < size; ++k) out[k] = std::clamp(in[k], -s, s) / s;
    });
    return result;
}

}  // namespace genmod::diffusion
