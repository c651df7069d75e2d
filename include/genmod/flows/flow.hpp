// A normalizing flow: a density that is standard normal after an invertible map (Rezende and Mohamed 2015).
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/by_chunks.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// log N(z; 0, 1) in nats of each sample of z [n, ...] -> [n]
template <class T>
Var<T> standard_normal_log_prob(const Var<T>& z) {
    const Var<T> flat = ops::flatten(z);
    const double constant = -0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(flat.dim(1));
    return ops::add_scalar(ops::scale(ops::sum(ops::square(flat), {1}), -0.5), constant);
}

// `F` is any Transform; `latent` is the shape of one sample after it (without the batch axis).
template <class T, class F>
    requires Transform<F, T>
struct Flow : nn::Module {
    F transform;
    Shape latent;

    Flow(F map, const Shape& latent_shape) : transform(std::move(map)), latent(latent_shape) {}

    // log p(x) in nats of each sample of x [n, ...] -> [n]. Throws Error when x does not fit.
    Var<T> log_prob(const Var<T>& x, const Var<T>& context = {}) const {
        const Transformed<T> noise = detail::forward<T>(transform, x, context);
        check(noise.y.shape() == latent.inserted(0, x.dim(0)), "flow: x ", x.shape(), " became ", noise.y.shape(),
              ", but a latent is ", latent);
        const Var<T> base = standard_normal_log_prob(noise.y);
        return ops::add(base, noise.log_det);
    }

    // n samples [n, ...]: sample k depends on the model and seed + k only. The base's deviation is `temperature`:
    // under 1 samples come from denser places. Step sizes of FFJORD are chosen for up to 512 samples together. Throws
    // Error unless n >= 1 and temperature >= 0.
    Tensor<T> sample(Index n, std::uint64_t seed, double temperature = 1, const Var<T>& context = {}) const {
        check(n >= 1 && temperature >= 0, "flow: ", n, " samples of temperature ", temperature);
        const NoGrad off;
        Tensor<T> z = nn::sample_normals<T>(latent.inserted(0, n), seed);
        for (T& number : z) number *= static_cast<T>(temperature);
        const auto decode = [&](const Tensor<T>& part) {
            return detail::inverse<T>(transform, part, context).y.value();
        };
        // Points by chunks. (A context belongs to the whole batch.)
        return latent.size() <= 64 && context.empty() ? nn::by_chunks(z, 512, decode) : decode(z);
    }

    // Starts what depends on data from a batch x [n, ...], once, before training.
    void initialize(const Tensor<T>& x, const Var<T>& context = {}) {
        const NoGrad off;
        detail::initialize<T>(transform, x, context);
    }

    static void visit(auto& self, auto&& f) { f("transform", self.transform); }
};

}  // namespace genmod::flows
