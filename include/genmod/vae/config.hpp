// What a variational autoencoder is made of.
#pragma once

#include <vector>

#include "genmod/core/shape.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/mlp.hpp"

namespace genmod::vae {

enum class Architecture { convolutional, fully_connected };

// p(x | z) of numbers in -1..1. bernoulli: each number is 1 or -1, the decoder says the logits; grey values count as
// the probability (x + 1) / 2 of a 1. gaussian: the decoder says the means, all numbers share one deviation.
enum class Likelihood { bernoulli, gaussian };

struct VaeConfig {
    Shape sample = {28, 28, 1};  // of one sample: [h, w, channels] when convolutional, anything otherwise
    Index latent = 20;           // numbers of a latent
    Architecture architecture = Architecture::convolutional;
    // Channels of the convolutions, each of which halves the picture, or widths of the hidden layers; the decoder has
    // them the other way round.
    std::vector<Index> widths = {32, 64};
    nn::Activation activation = nn::Activation::relu;
    Likelihood likelihood = Likelihood::bernoulli;
    double deviation = 1;          // of gaussian, or what it begins with
    bool learn_deviation = false;  // train it with the weights (Rybkin et al. 2021)
};

}  // namespace genmod::vae
