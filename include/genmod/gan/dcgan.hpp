// DCGAN (Radford et al. 2016): a generator of transposed convolutions and a discriminator of convolutions, with the
// keys of PyTorch's DCGAN example, whose files load where the sizes are its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/gan/spectral_norm.hpp"
#include "genmod/nn/by_chunks.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/latent.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/norm.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/conv2d.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::gan {

// What follows the discriminator's inner convolutions. layer: over all numbers of a sample, as WGAN-GP's critics need,
// whose samples must not depend on one another.
enum class Norm { none, batch, layer };

struct DcganConfig {
    Index size = 28;   // height and width: coarse * 2^stages
    Index coarse = 7;  // where the generator begins and the discriminator ends
    Index channels = 1;
    Index latent = 100;
    Index width = 64;  // channels beside the picture; each coarser stage has twice as many
    Norm norm = Norm::batch;
    bool spectral_norm = false;  // of the discriminator's weights
};

namespace detail {

// How often the picture is halved down to `coarse`. Throws Error when sizes do not fit.
inline Index stages(const DcganConfig& config) {
    check(config.size >= 1 && config.coarse >= 1 && config.channels >= 1 && config.latent >= 1 && config.width >= 1,
          "Dcgan: sizes must be positive");
    Index stages = 0, side = config.coarse;
    for (; side < config.size && stages < 12; side *= 2) ++stages;
    check(side == config.size && stages >= 1, "Dcgan: ", config.size, " is not ", config.coarse,
          " doubled once or more");
    return stages;
}

// Weights begin at N(0, 0.02^2), those of norms at N(1, 0.02^2).
template <class T>
void start_norm(nn::BatchNorm<T>& norm, Rng& rng) {
    norm.weight = nn::normal_parameter<T>(norm.weight.shape(), 0.02, rng);
    for (T& value : norm.weight.value()) value += T(1);
}

}  // namespace detail

// Latents z [n, latent] -> pictures [n, size, size, channels] in -1..1.
template <class T>
struct Generator : nn::Module {
    DcganConfig config;
    std::vector<nn::ConvTranspose2d<T>> convs;
    std::vector<nn::BatchNorm<T>> norms;  // behind each but the last

    // Throws Error when the configuration does not fit together.
    Generator(const DcganConfig& c, Rng& rng) : config(c) {
        const Index stages = detail::stages(c);
        Index in = c.latent;
        for (Index k = stages; k >= 0; --k) {
            const Index out = k == 0 ? c.channels : c.width << (k - 1);
            const bool first = k == stages;
            convs.emplace_back(
                in, out, rng,
                nn::ConvTranspose2dOptions{
                    .kernel = first ? c.coarse : 4, .stride = first ? 1 : 2, .padding = first ? 0 : 1, .bias = false});
            convs.back().weight = nn::normal_parameter<T>(convs.back().weight.shape(), 0.02, rng);
            if (k > 0) detail::start_norm(norms.emplace_back(out), rng);
            in = out;
        }
    }

    Var<T> operator()(const Var<T>& z) const {
        check(z.rank() == 2 && z.dim(1) == config.latent, "Generator: latents ", z.shape(), " do not have ",
              config.latent, " numbers");
        Var<T> h = ops::reshape(z, Shape{z.dim(0), 1, 1, config.latent});
        for (std::size_t k = 0; k < norms.size(); ++k) h = ops::relu(norms[k](convs[k](h)));
        return ops::tanh(convs.back()(h));
    }

    // n pictures by the running moments: picture k depends on the model and seed + k only.
    Tensor<T> sample(Index n, std::uint64_t seed) const {
        check(n >= 1, "Generator: cannot draw ", n, " pictures");
        const NoGrad off;
        return nn::by_chunks(nn::sample_normals<T>({n, config.latent}, seed), 64,
                             [&](const Tensor<T>& z) { return (*this)(z).value(); });
    }

    static void visit(auto& self, auto&& f) {
        for (std::size_t k = 0; k < self.convs.size(); ++k) {
            f("main." + std::to_string(3 * k), self.convs[k]);
            if (k < self.norms.size()) f("main." + std::to_string(3 * k + 1), self.norms[k]);
        }
    }
};

// A convolution without bias whose weight may be normalised. Keys as torch.nn.utils.spectral_norm has them, but the
// row vector in the weight's shape.
template <class T>
struct SpectralConv2d : nn::Module {
    nn::Conv2d<T> conv;
    SpectralNorm<T> spectral;

    SpectralConv2d(Index in, Index out, const nn::Conv2dOptions& options, bool normalised, Rng& rng)
        : conv(in, out, rng, options) {
        conv.weight = nn::normal_parameter<T>(conv.weight.shape(), 0.02, rng);
        if (normalised) spectral = SpectralNorm<T>(conv.weight.shape(), rng);
    }

    // x is a Var or a Dual.
    template <class Value>
    Value operator()(const Value& x) const {
        return ops::conv2d(x, spectral(conv.weight), conv.bias, conv.options);
    }

    static void visit(auto& self, auto&& f) {
        f(self.spectral.empty() ? "weight" : "weight_orig", self.conv.weight, nn::Layout::conv);
        f("bias", self.conv.bias);
        f("weight_u", self.spectral.u);
        f("weight_v", self.spectral.v, nn::Layout::conv);
    }
};

// Pictures x [n, size, size, channels] -> one logit for each, [n]. Also of Duals.
template <class T>
struct Discriminator : nn::Module {
    using AnyNorm = std::variant<nn::BatchNorm<T>, nn::GroupNorm<T>>;
    DcganConfig config;
    std::vector<SpectralConv2d<T>> convs;
    std::vector<std::optional<AnyNorm>> norms;  // behind each but the first and the last

    // Throws Error when the configuration does not fit together.
    Discriminator(const DcganConfig& c, Rng& rng) : config(c) {
        const Index stages = detail::stages(c);
        Index in = c.channels;
        for (Index k = 0; k <= stages; ++k) {
            const bool last = k == stages;
            const Index out = last ? 1 : c.width << k;
            convs.emplace_back(
                in, out,
                nn::Conv2dOptions{
                    .kernel = last ? c.coarse : 4, .stride = last ? 1 : 2, .padding = last ? 0 : 1, .bias = false},
                c.spectral_norm, rng);
            norms.push_back(k == 0 || last ? std::optional<AnyNorm>() : norm_of(out, rng));
            in = out;
        }
    }

    Var<T> operator()(const Var<T>& x) const { return apply(x); }
    Dual<T> operator()(const Dual<T>& x) const { return apply(x); }

    static void visit(auto& self, auto&& f) {
        std::size_t place = 0;
        for (std::size_t k = 0; k < self.convs.size(); ++k) {
            f("main." + std::to_string(place++), self.convs[k]);
            if (self.norms[k]) f("main." + std::to_string(place++), *self.norms[k]);
            ++place;  // the activation
        }
    }

private:
    std::optional<AnyNorm> norm_of(Index width, Rng& rng) const {
        if (config.norm == Norm::none) return {};
        if (config.norm == Norm::layer) return AnyNorm(nn::GroupNorm<T>(width, {.groups = 1}));
        nn::BatchNorm<T> norm(width);
        detail::start_norm(norm, rng);
        return AnyNorm(std::move(norm));
    }

    template <class Value>
    Value apply(const Value& x) const {
        check(x.rank() == 4 && x.shape() == Shape{x.dim(0), config.size, config.size, config.channels},
              "Discriminator: pictures ", x.shape(), " are not of ", config.size, " x ", config.size, " x ",
              config.channels);
        Value h = convs.front()(x);
        for (std::size_t k = 1; k < convs.size(); ++k) {
            h = convs[k](ops::leaky_relu(h, 0.2));
            if (norms[k]) h = std::visit([&](const auto& norm) -> Value { return norm(h); }, *norms[k]);
        }
        return ops::reshape(h, Shape{x.dim(0)});
    }
};

}  // namespace genmod::gan
