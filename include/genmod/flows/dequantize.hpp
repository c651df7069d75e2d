// Making numbers on a grid (bytes) continuous: noise over each cell, even or learned, and the bound on the grid's
// probabilities that follows from it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// Samples between the points of the grid, and log q of the noise u in [0, 1]^d that led there, in nats, [n].
template <class T>
struct Dequantized {
    Var<T> x;
    Var<T> log_q;
};

namespace detail {

// x + (u - 1/2) / per_unit: u = 1/2 is the point of the grid.
template <class T>
Var<T> within_cells(const Tensor<T>& x, const Var<T>& u, double per_unit) {
    check(x.shape() == u.shape(), "dequantize: noise ", u.shape(), " for ", x.shape());
    const Var<T> shift = ops::scale(ops::add_scalar(u, -0.5), 1 / per_unit);
    return ops::add(Var<T>(x), shift);
}

// Fills sample k of [n, ...] by fill(stream, numbers, count), where the stream has seed + k and the step.
template <class T, class Fill>
Tensor<T> noise_of_samples(const Shape& shape, std::uint64_t seed, std::uint64_t step, Fill fill) {
    check(shape.rank() >= 2, "dequantize: expected samples [n, ...], found shape ", shape);
    Tensor<T> result(shape);
    const Index size = shape.product(1, shape.rank());
    for (Index k = 0; k < shape.dim(0); ++k)
        fill(Stream{.seed = seed + static_cast<std::uint64_t>(k), .purpose = Purpose::data, .step = step},
             result.data() + k * size, size);
    return result;
}

}  // namespace detail

// Noise that is even over each cell (Theis et al. 2016). The grid has `per_unit` steps per unit: 127.5 for bytes in
// [-1, 1].
template <class T>
struct UniformDequantizer : nn::Module {
    double per_unit;

    explicit UniformDequantizer(double steps_per_unit = 127.5) : per_unit(steps_per_unit) {
        check(per_unit > 0, "UniformDequantizer: ", per_unit, " steps per unit");
    }

    // x [n, ...]; the noise of sample k depends on seed + k and the step.
    Dequantized<T> operator()(const Tensor<T>& x, std::uint64_t seed, std::uint64_t step = 0) const {
        const auto fill = [](const Stream& stream, T* out, Index count) { fill_uniform(stream, out, count); };
        const Var<T> u(detail::noise_of_samples<T>(x.shape(), seed, step, fill));
        return {detail::within_cells(x, u, per_unit), no_log_det(u)};
    }

    static void visit(auto&, auto&&) {}
};

// Noise from a flow that sees the sample (Ho et al. 2019, section 3.1): u = sigmoid(flow(eps, context(x))) with
// standard normals eps. `F` is a conditional Transform, from normals to noise; context(x) is a network.
template <class T, class Context, class F>
struct VariationalDequantizer : nn::Module {
    Context context;
    F flow;
    double per_unit;

    VariationalDequantizer(Context network, F map, double steps_per_unit = 127.5)
        : context(std::move(network)), flow(std::move(map)), per_unit(steps_per_unit) {
        check(per_unit > 0, "VariationalDequantizer: ", per_unit, " steps per unit");
    }

    // x [n, ...]; the noise of sample k depends on seed + k and the step.
    Dequantized<T> operator()(const Tensor<T>& x, std::uint64_t seed, std::uint64_t step = 0) const {
        const auto fill = [](const Stream& stream, T* out, Index count) { fill_normal(stream, out, count); };
        return at(x, Var<T>(detail::noise_of_samples<T>(x.shape(), seed, step, fill)));
    }

    // The same with given normals.
    Dequantized<T> at(const Tensor<T>& x, const Var<T>& eps) const {
        const Transformed<T> moved = detail::forward<T>(flow, eps, context(Var<T>(x)));
        const Var<T> above = ops::softplus(moved.y), below = ops::softplus(ops::negate(moved.y));
        const Var<T> squash = ops::negate(per_sample(ops::add(above, below)));  // log u (1 - u) = log du/dy
        const Var<T> log_det = ops::add(moved.log_det, squash);
        const Var<T> u = ops::sigmoid(moved.y);
        return {detail::within_cells(x, u, per_unit), ops::sub(standard_normal_log_prob(eps), log_det)};
    }

    // Starts what depends on data from a batch x [n, ...].
    void initialize(const Tensor<T>& x, std::uint64_t seed) {
        const NoGrad off;
        const auto fill = [](const Stream& stream, T* out, Index count) { fill_normal(stream, out, count); };
        detail::initialize<T>(flow, detail::noise_of_samples<T>(x.shape(), seed, 0, fill), context(Var<T>(x)));
    }

    static void visit(auto& self, auto&& f) {
        f("context", self.context);
        f("flow", self.flow);
    }
};

// log p(x + noise) - log q(noise) of each sample in nats, [n], for one draw: its mean over draws is a lower bound of
// log (P(x) per_unit^d), P the probability of the point of the grid, so that metrics::bits_per_dim(nats, d, per_unit)
// gives bits. Minus its mean is the loss that trains model and dequantizer. `model` has log_prob(x).
template <class T, class Model, class Dequantizer>
Var<T> dequantized_bound(const Model& model, const Dequantizer& dequantizer, const Tensor<T>& x, std::uint64_t seed,
                         std::uint64_t step = 0) {
    const Dequantized<T> drawn = dequantizer(x, seed, step);
    const Var<T> log_p = model.log_prob(drawn.x);
    return ops::sub(log_p, drawn.log_q);
}

// The importance-weighted bound of `samples` draws (Burda et al. 2016; 4096 draws in Flow++): the logarithm of the mean
// of p / q, in nats of each sample as above. In the mean it rises with the draws, to log (P(x) per_unit^d). Throws
// Error(non_finite), Error(stopped).
template <class T, class Model, class Dequantizer>
std::vector<double> importance_weighted_nats(const Model& model, const Dequantizer& dequantizer, const Tensor<T>& x,
                                             Index samples, std::uint64_t seed) {
    check(samples >= 1, "importance weighting: ", samples, " samples");
    const NoGrad off;
    const auto n = static_cast<std::size_t>(x.dim(0));
    std::vector<double> largest(n, -HUGE_VAL), sums(n, 0.0), nats;
    for (Index draw = 0; draw < samples; ++draw) {
        if (stop_requested()) fail(ErrorCode::stopped, "importance weighting: stopped after ", draw, " draws");
        const Var<T> bound = dequantized_bound<T>(model, dequantizer, x, seed, static_cast<std::uint64_t>(draw));
        for (std::size_t k = 0; k < n; ++k) {
            const auto value = static_cast<double>(bound.value()[static_cast<Index>(k)]);
            if (!is_finite(value)) fail(ErrorCode::non_finite, "importance weighting: NaN or infinity in sample ", k);
            const double before = largest[k];
            largest[k] = std::max(before, value);
            sums[k] = sums[k] * std::exp(before - largest[k]) + std::exp(value - largest[k]);
        }
    }
    for (std::size_t k = 0; k < n; ++k) nats.push_back(largest[k] + std::log(sums[k] / static_cast<double>(samples)));
    return nats;
}

}  // namespace genmod::flows
