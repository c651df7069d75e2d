// The autoencoder with a grid of codes for a latent (van den Oord et al. 2017).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/embed.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/vae/config.hpp"
#include "genmod/vae/objective.hpp"
#include "genmod/vae/observation.hpp"
#include "genmod/vae/vq.hpp"

namespace genmod::vae {

struct VqVaeConfig {
    Index channels = 1;
    std::vector<Index> widths = {32, 64};  // channels of the convolutions, each of which halves the picture
    Index code_size = 16;                  // numbers of a code
    VqOptions vq = {};
    Likelihood likelihood = Likelihood::bernoulli;
    double deviation = 1;  // of gaussian
};

// Convolutions (4 x 4, stride 2, ReLU) and one of 1 x 1 to vectors, their codes, and the way back: pictures
// [n, h, w, channels] in -1..1, h and w divisible by 2^widths.
template <class T>
struct VqVae : nn::Module {
    VqVaeConfig config;
    std::vector<nn::Conv2d<T>> encoder;
    VectorQuantizer<T> quantizer;
    std::vector<nn::ConvTranspose2d<T>> decoder;
    nn::Conv2d<T> first;  // of the decoder: 3 x 3

    // Throws Error when the configuration does not fit together.
    VqVae(const VqVaeConfig& c, Rng& rng)
        : config(c),
          encoder(halving(c, rng)),
          quantizer(c.code_size, rng, c.vq),
          decoder(doubling(c, rng)),
          first(c.code_size, c.widths.back(), rng, {.kernel = 3, .padding = 1}) {
        check(c.deviation > 0, "VqVae: a deviation of ", c.deviation);
    }

    // x [n, h, w, channels] -> vectors [n, h', w', code_size]. Throws Error when x does not fit.
    Var<T> encode(const Var<T>& x) const {
        const Index factor = Index{1} << config.widths.size();
        check(x.rank() == 4 && x.dim(3) == config.channels && x.dim(1) % factor == 0 && x.dim(2) % factor == 0,
              "VqVae: pictures ", x.shape(), " do not have ", config.channels, " channels and extents divisible by ",
              factor);
        Var<T> h = encoder.front()(x);
        for (std::size_t k = 1; k < encoder.size(); ++k) h = encoder[k](ops::relu(h));
        return h;
    }

    // Vectors [n, h', w', code_size] -> logits or means [n, h, w, channels].
    Var<T> decode(const Var<T>& codes) const {
        Var<T> h = first(codes);
        for (const nn::ConvTranspose2d<T>& deconv : decoder) h = deconv(ops::relu(h));
        return h;
    }

    // The codes' numbers of pictures, [n, h', w'], and back to the mean of the pictures.
    Tensor<Index> indices(const Tensor<T>& x) const {
        const NoGrad off;
        return quantizer.nearest(encode(x).value());
    }
    Tensor<T> pictures(const Tensor<Index>& indices) const {
        const NoGrad off;
        return expected(config.likelihood, decode(ops::embed(indices, quantizer.codebook)));
    }

    // Begins with a codebook of vectors of pictures.
    void initialize(const Tensor<T>& x, Rng& rng) {
        const NoGrad off;
        quantizer.initialize(encode(x).value(), rng);
    }

    static void visit(auto& self, auto&& f) {
        f("encoder", self.encoder);
        f("quantizer", self.quantizer);
        f("first", self.first);
        f("decoder", self.decoder);
    }

private:
    static std::vector<nn::Conv2d<T>> halving(const VqVaeConfig& config, Rng& rng) {
        check(!config.widths.empty() && config.widths.size() < 16, "VqVae: ", config.widths.size(), " widths");
        std::vector<nn::Conv2d<T>> layers;
        Index in = config.channels;
        for (const Index width : config.widths) {
            layers.emplace_back(in, width, rng, nn::Conv2dOptions{.kernel = 4, .stride = 2, .padding = 1});
            in = width;
        }
        layers.emplace_back(in, config.code_size, rng, nn::Conv2dOptions{.kernel = 1});
        return layers;
    }

    static std::vector<nn::ConvTranspose2d<T>> doubling(const VqVaeConfig& config, Rng& rng) {
        std::vector<nn::ConvTranspose2d<T>> layers;
        for (std::size_t k = config.widths.size(); k-- > 0;)
            layers.emplace_back(config.widths[k], k == 0 ? config.channels : config.widths[k - 1], rng,
                                nn::ConvTranspose2dOptions{.kernel = 4, .stride = 2, .padding = 1});
        return layers;
    }
};

// -log p(x | codes), and beta times what pulls codes and vectors together. Nothing is drawn.
template <class T>
TrainingLoss<T> training_loss(const VqVae<T>& model, const Tensor<T>& x, const ObjectiveOptions& options,
                              std::uint64_t /*seed*/, std::uint64_t /*step*/) {
    check(options.bound == Bound::elbo && options.capacity == 0 && options.draws == 1,
          "VqVae: its objective has neither capacity nor draws");
    const Quantised<T> codes = model.quantizer(model.encode(x));
    const Var<T> output = model.decode(codes.values);
    const Var<T> likelihood = log_likelihood(model.config.likelihood, output, Var<T>(x), model.config.deviation);
    const Var<T> reconstruction = ops::scale(ops::mean(likelihood), -1);
    const Var<T> loss = ops::add(reconstruction, ops::scale(codes.loss, options.beta));
    return {loss, static_cast<double>(reconstruction.item()), static_cast<double>(codes.loss.item())};
}

}  // namespace genmod::vae
