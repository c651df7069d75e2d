// The variational bound on the likelihood over a whole schedule, in bits per dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/bound.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/metrics/bits_per_dim.hpp"

namespace genmod::diffusion {

// All in bits per dimension.
struct VariationalBound {
    std::vector<double> total;   // of each picture: prior + the sum of its terms
    std::vector<double> prior;   // of each picture
    std::vector<double> terms;   // of each step 0..T-1, the mean over the pictures
    metrics::MeanAndError bits;  // of total
};

struct VariationalBoundOptions {
    VarianceType variance_type = VarianceType::fixed_small;
    std::uint64_t seed = 0;  // picture k uses seed + k
};

namespace detail {

// x0 as what a network of type `sample` would say, with the raw variance behind it if there is one.
template <class T>
Tensor<T> with_variance(const Prediction<T>& said) {
    if (said.variance.empty()) return said.x0;
    const Index c = said.x0.dim(-1);
    Tensor<T> result(said.x0.shape().with(-1, 2 * c));
    for (Index k = 0; k < said.x0.size(); ++k) {
        result[k / c * 2 * c + k % c] = said.x0[k];
        result[k / c * 2 * c + c + k % c] = said.variance[k];
    }
    return result;
}

}  // namespace detail

// The bound on the bits per dimension of bytes as numbers x0 [n, ..., c] in [-1, 1] (Ho et al. 2020, eq. 5): all T
// terms of the schedule, each with one draw of noise, and the prior's; Improved DDPM's calc_bpd_loop. predict(x, level)
// -> Prediction is what denoiser() gives, clipping included. callback(done, T) follows the work. Throws Error as
// bound_terms() does, Error(stopped).
template <class T, class Predict, class Callback = detail::NoCallback>
VariationalBound variational_bound(const Predict& predict, const Schedule& schedule, const Tensor<T>& x0,
                                   const VariationalBoundOptions& options = {}, Callback&& callback = {}) {
    const NoGrad off;
    check(x0.rank() >= 2 && x0.size() > 0, "bound: expected a batch of pictures, found shape ", x0.shape());
    std::vector<std::uint64_t> seeds;
    for (Index k = 0; k < x0.dim(0); ++k) seeds.push_back(options.seed + static_cast<std::uint64_t>(k));
    const SeededNoise noise(seeds);
    VariationalBound bound;
    bound.prior = prior_bits(schedule, x0);
    bound.total = bound.prior;
    for (Index t = 0; t < schedule.steps(); ++t) {
        if (stop_requested()) fail(ErrorCode::stopped, "bound: stopped before step ", t);
        const std::vector<Index> steps(static_cast<std::size_t>(x0.dim(0)), t);
        const Tensor<T> xt =
            add_noise(schedule, x0, noise.normals<T>(x0.shape(), static_cast<std::uint64_t>(t), 0), steps);
        const Tensor<T> output = detail::with_variance(predict(xt, level(schedule, t)));
        const auto terms =
            bound_terms(schedule, x0, xt, steps, output,
                        {.prediction_type = PredictionType::sample, .variance_type = options.variance_type});
        bound.terms.push_back(metrics::mean_and_error(terms.values).mean);
        for (std::size_t k = 0; k < terms.values.size(); ++k) bound.total[k] += terms.values[k];
        callback(t + 1, schedule.steps());
    }
    bound.bits = metrics::mean_and_error(bound.total);
    return bound;
}

}  // namespace genmod::diffusion
