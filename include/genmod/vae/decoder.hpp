// Decoders of a variational autoencoder: from a latent to logits or means of a sample.
#pragma once

#include <cstddef>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/vae/config.hpp"
#include "genmod/vae/encoder.hpp"

namespace genmod::vae {

// A linear layer, then transposed convolutions (4 x 4, stride 2), with an activation before each: z [n, latent] ->
// [n, h, w, c].
template <class T>
struct ConvDecoder : nn::Module {
    nn::Linear<T> linear;
    std::vector<nn::ConvTranspose2d<T>> deconvs;
    nn::Activation activation;
    Shape coarse;  // [h, w, channels] behind the linear layer

    ConvDecoder(const VaeConfig& config, Rng& rng)
        : linear(config.latent, coarse_shape(config).size(), rng),
          deconvs(doubling(config, rng)),
          activation(config.activation),
          coarse(coarse_shape(config)) {}

    Var<T> operator()(const Var<T>& z) const {
        Var<T> h = ops::reshape(linear(z), coarse.inserted(0, z.dim(0)));
        for (const nn::ConvTranspose2d<T>& deconv : deconvs) h = deconv(nn::activate(activation, h));
        return h;
    }

    static void visit(auto& self, auto&& f) {
        f("linear", self.linear);
        f("deconvs", self.deconvs);
    }

private:
    static Shape coarse_shape(const VaeConfig& config) {
        return {detail::coarse_extent(config.sample.dim(0), config),
                detail::coarse_extent(config.sample.dim(1), config), config.widths.back()};
    }

    static std::vector<nn::ConvTranspose2d<T>> doubling(const VaeConfig& config, Rng& rng) {
        std::vector<nn::ConvTranspose2d<T>> layers;
        for (std::size_t k = config.widths.size(); k-- > 0;)
            layers.emplace_back(config.widths[k], k == 0 ? config.sample.dim(-1) : config.widths[k - 1], rng,
                                nn::ConvTranspose2dOptions{.kernel = 4, .stride = 2, .padding = 1});
        return layers;
    }
};

// Fully connected: z [n, latent] -> [n, ...].
template <class T>
struct FullDecoder : nn::Module {
    nn::Mlp<T> mlp;
    Shape sample;

    FullDecoder(const VaeConfig& config, Rng& rng)
        : mlp(config.latent, config.sample.size(), rng,
              {.hidden = {config.widths.rbegin(), config.widths.rend()}, .activation = config.activation}),
          sample(config.sample) {}

    Var<T> operator()(const Var<T>& z) const { return ops::reshape(mlp(z), sample.inserted(0, z.dim(0))); }

    static void visit(auto& self, auto&& f) { f("", self.mlp); }
};

}  // namespace genmod::vae
