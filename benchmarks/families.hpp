// The rows of the benchmarks by families: product_MxNxK, conv_NxHxWxIN_OUT, unet_train_BATCH ...
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace benchmarks {

// What a row does again and again.
struct Work {
    std::function<void()> run;
    double gflop = 0;  // of products and convolutions, counted directly (Winograd saves nothing); 0: unknown
    genmod::Index parameters = 0;          // of the model, if there is one
    std::function<double()> outside = {};  // share of the time that was not the network's, of a sampler
};

// Rows of one kind: "NAME_SIZES".
struct Family {
    std::string name;
    std::vector<std::string> sizes;             // of the rows that are measured unless others are asked for
    Work (*prepare)(const std::string& sizes);  // throws std::invalid_argument or Error for sizes that make no sense
};

std::vector<Family> product_families();
std::vector<Family> convolution_families();
std::vector<Family> attention_families();
std::vector<Family> unet_families();
std::vector<Family> sampler_families();
std::vector<Family> vae_families();
std::vector<Family> flow_families();
std::vector<Family> gan_families();
std::vector<Family> sd_families();

// Uniform numbers in [-1, 1).
inline genmod::Tensor<float> random(const genmod::Shape& shape, std::uint64_t seed = 0) {
    genmod::Tensor<float> values(shape);
    genmod::fill_uniform({.seed = seed}, values.data(), values.size());
    for (float& value : values) value = 2 * value - 1;
    return values;
}

// The same, or rounded to bf16.
template <class Number>
genmod::Tensor<Number> random_as(const genmod::Shape& shape, std::uint64_t seed = 0) {
    const genmod::Tensor<float> numbers = random(shape, seed);
    if constexpr (std::same_as<Number, float>) {
        return numbers;
    } else {
        genmod::Tensor<Number> rounded(shape);
        std::transform(numbers.begin(), numbers.end(), rounded.begin(), genmod::to_bf16);
        return rounded;
    }
}

}  // namespace benchmarks
