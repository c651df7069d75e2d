// Encoders of a variational autoencoder: from a sample to the mean and log-variance of its latent.
#pragma once

#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/vae/config.hpp"

namespace genmod::vae {

namespace detail {

// The side of the pictures after all convolutions. Throws Error unless each halves an even one.
inline Index coarse_extent(Index extent, const VaeConfig& config) {
    check(config.sample.rank() == 3 && !config.widths.empty(), "Vae: a convolutional one needs samples [h, w, c] and ",
          "at least one width, found ", config.sample, " and ", config.widths.size());
    for (std::size_t k = 0; k < config.widths.size(); ++k) {
        check(extent >= 2 && extent % 2 == 0, "Vae: ", config.sample, " cannot be halved ", config.widths.size(),
              " times");
        extent /= 2;
    }
    return extent;
}

}  // namespace detail

// Convolutions (3 x 3, stride 2) with activations, then one linear layer: x [n, h, w, c] -> [n, 2 * latent]. The
// linear layer sees the pixels one after another, each with all its channels.
template <class T>
struct ConvEncoder : nn::Module {
    std::vector<nn::Conv2d<T>> convs;
    nn::Linear<T> linear;
    nn::Activation activation;

    ConvEncoder(const VaeConfig& config, Rng& rng)
        : convs(halving(config, rng)),
          linear(detail::coarse_extent(config.sample.dim(0), config) *
                     detail::coarse_extent(config.sample.dim(1), config) * config.widths.back(),
                 2 * config.latent, rng),
          activation(config.activation) {}

    Var<T> operator()(const Var<T>& x) const {
        Var<T> h = x;
        for (const nn::Conv2d<T>& conv : convs) h = nn::activate(activation, conv(h));
        return linear(ops::flatten(h));
    }

    static void visit(auto& self, auto&& f) {
        f("convs", self.convs);
        f("linear", self.linear);
    }

private:
    static std::vector<nn::Conv2d<T>> halving(const VaeConfig& config, Rng& rng) {
        std::vector<nn::Conv2d<T>> layers;
        Index in = config.sample.dim(-1);
        for (const Index width : config.widths) {
            layers.emplace_back(in, width, rng, nn::Conv2dOptions{.kernel = 3, .stride = 2, .padding = 1});
            in = width;
        }
        return layers;
    }
};

// Fully connected: x [n, ...] -> [n, 2 * latent].
template <class T>
struct FullEncoder : nn::Module {
    nn::Mlp<T> mlp;

    FullEncoder(const VaeConfig& config, Rng& rng)
        : mlp(config.sample.size(), 2 * config.latent, rng,
              {.hidden = config.widths, .activation = config.activation}) {}

    Var<T> operator()(const Var<T>& x) const { return mlp(ops::flatten(x)); }

    static void visit(auto& self, auto&& f) { f("", self.mlp); }
};

}  // namespace genmod::vae
