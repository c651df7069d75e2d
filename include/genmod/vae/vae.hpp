// The variational autoencoder (Kingma and Welling 2014).
#pragma once

#include <cmath>
#include <cstdint>
#include <variant>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/by_chunks.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/vae/config.hpp"
#include "genmod/vae/decoder.hpp"
#include "genmod/vae/encoder.hpp"
#include "genmod/vae/gaussian.hpp"
#include "genmod/vae/observation.hpp"

namespace genmod::vae {

namespace detail {

template <class T>
using AnyEncoder = std::variant<ConvEncoder<T>, FullEncoder<T>>;
template <class T>
using AnyDecoder = std::variant<ConvDecoder<T>, FullDecoder<T>>;

// The first of two modules when convolutional, the second otherwise.
template <class Any>
Any build(const VaeConfig& config, Rng& rng) {
    check(config.latent >= 1 && config.sample.size() >= 1 && config.deviation > 0, "Vae: latents of ", config.latent,
          " numbers, samples of ", config.sample.size(), ", deviation ", config.deviation, " are not all positive");
    if (config.architecture == Architecture::convolutional) return std::variant_alternative_t<0, Any>(config, rng);
    return std::variant_alternative_t<1, Any>(config, rng);
}

}  // namespace detail

// Encoder q(z | x), decoder p(x | z) and prior N(0, 1). Samples are [n, ...] in -1..1.
template <class T>
struct Vae : nn::Module {
    VaeConfig config;
    detail::AnyEncoder<T> encoder;
    detail::AnyDecoder<T> decoder;
    Var<T> log_deviation;  // [1], or empty unless it is learnt

    // Throws Error when the configuration does not fit together.
    Vae(const VaeConfig& c, Rng& rng)
        : config(c),
          encoder(detail::build<detail::AnyEncoder<T>>(c, rng)),
          decoder(detail::build<detail::AnyDecoder<T>>(c, rng)) {
        if (c.learn_deviation) log_deviation = nn::constant_parameter<T>({1}, std::log(c.deviation));
    }

    // x [n, ...] -> q(z | x). Throws Error when x does not have the configuration's shape.
    Gaussian<T> encode(const Var<T>& x) const {
        check(x.shape() == config.sample.inserted(0, x.rank() == 0 ? 0 : x.dim(0)), "Vae: x ", x.shape(),
              " is no batch of samples ", config.sample);
        const Var<T> said = std::visit([&](const auto& part) { return part(x); }, encoder);
        const std::vector<Var<T>> halves = ops::chunk(said, 2, 1);
        return {halves[0], halves[1]};
    }

    // z [m, latent] -> logits or means [m, ...].
    Var<T> decode(const Var<T>& z) const {
        check(z.rank() == 2 && z.dim(1) == config.latent, "Vae: latents ", z.shape(), " do not have ", config.latent,
              " numbers");
        return std::visit([&](const auto& part) { return part(z); }, decoder);
    }

    // The mean of p(x | z), where `output` is decode(z).
    Tensor<T> expected(const Var<T>& output) const { return vae::expected(config.likelihood, output); }

    // log p(x | z) in nats of each sample of x [m, ...], [m], where `output` is decode(z): see log_likelihood().
    Var<T> log_likelihood(const Var<T>& output, const Var<T>& x) const {
        if (config.likelihood == Likelihood::bernoulli || log_deviation.empty())
            return vae::log_likelihood(config.likelihood, output, x, config.deviation);
        const auto d = static_cast<double>(config.sample.size());
        const Var<T> squares = ops::scale(ops::mse_per_sample(output, x), -0.5 * d);
        const Var<T> weighted = ops::mul(squares, ops::exp(ops::scale(log_deviation, -2)));
        const Var<T> spread = ops::scale(log_deviation, -d);
        return ops::add_scalar(ops::add(weighted, spread), detail::normal_constant(config.sample.size()));
    }

    // n samples' means [n, ...]: sample k depends on the model and seed + k only.
    Tensor<T> sample(Index n, std::uint64_t seed) const {
        check(n >= 1, "Vae: cannot draw ", n, " samples");
        const NoGrad off;
        return nn::by_chunks(nn::sample_normals<T>({n, config.latent}, seed), 64,
                             [&](const Tensor<T>& z) { return expected(decode(z)); });
    }

    // x [n, ...] by way of the mean of its latent.
    Tensor<T> reconstruct(const Tensor<T>& x) const {
        const NoGrad off;
        return expected(decode(encode(x).mean));
    }

    static void visit(auto& self, auto&& f) {
        f("encoder", self.encoder);
        f("decoder", self.decoder);
        f("log_deviation", self.log_deviation);
    }
};

}  // namespace genmod::vae
