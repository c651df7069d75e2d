// The way from pictures to noise, in closed form.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/schedule.hpp"

namespace genmod::diffusion {

namespace detail {

// a_k * x + b_k * y for each sample k of axis 0, where weights(k) -> {a_k, b_k} as a NoiseLevel's alpha and sigma.
template <class T, class Weights>
Tensor<T> mix_samples(const Tensor<T>& x, const Tensor<T>& y, Weights weights) {
    check(x.shape() == y.shape() && x.rank() >= 1, "forward process: pictures ", x.shape(), " and noise ", y.shape(),
          " do not fit");
    Tensor<T> result(x.shape());
    const Index size = x.shape().product(1, x.rank());
    parallel_for(x.dim(0), [&](Index k) {
        const NoiseLevel weight = weights(k);
        const T a = static_cast<T>(weight.alpha), b = static_cast<T>(weight.sigma);
        const T *px = x.data() + k * size, *py = y.data() + k * size;
        T* out = result.data() + k * size;
        for (Index i = 0; i < size; ++i) out[i] = a * px[i] + b * py[i];
    });
    return result;
}

// The same with weights(t[k]).
template <class T, class Weights>
Tensor<T> mix_samples(const Tensor<T>& x, const Tensor<T>& y, const std::vector<Index>& t, Weights weights) {
    check(x.rank() >= 1 && x.dim(0) == static_cast<Index>(t.size()), "forward process: pictures ", x.shape(), " and ",
          t.size(), " steps do not fit");
    return mix_samples(x, y, [&](Index k) { return weights(t[static_cast<std::size_t>(k)]); });
}

}  // namespace detail

// x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4), with one t for each sample of axis 0. Throws
// Error when shapes do not fit or a t is not in 0..T-1.
template <class T>
Tensor<T> add_noise(const Schedule& schedule, const Tensor<T>& x0, const Tensor<T>& noise,
                    const std::vector<Index>& t) {
    return detail::mix_samples(x0, noise, t, [&](Index step) { return level(schedule, step); });
}

// v = sqrt(abar_t) noise - sqrt(1 - abar_t) x0 (Salimans and Ho 2022), what a v_prediction network is to say.
template <class T>
Tensor<T> velocity(const Schedule& schedule, const Tensor<T>& x0, const Tensor<T>& noise, const std::vector<Index>& t) {
    return detail::mix_samples(noise, x0, t, [&](Index step) {
        const NoiseLevel at = level(schedule, step);
        return NoiseLevel{at.alpha, -at.sigma, at.t};
    });
}

}  // namespace genmod::diffusion
