// A small classifier that judges pictures: which class it sees, and features for distances between sets of pictures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/data/batches.hpp"
#include "genmod/data/images.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/ops/shape.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/lr_schedule.hpp"

namespace examples {

using genmod::Index;
using genmod::Tensor;
using genmod::Var;

struct Judgement {
    Var<float> features;  // [n, 128]
    Var<float> logits;    // [n, classes]
};

// Three convolutions with ReLU, two of which halve the picture, and two linear layers. Not the classifier that guides.
struct Judge : genmod::nn::Module {
    genmod::nn::Conv2d<float> conv1, conv2, conv3;
    genmod::nn::Linear<float> linear, head;

    Judge(Index size, Index channels, Index classes, genmod::Rng& rng)
        : conv1(channels, 32, rng, {.kernel = 3, .padding = 1}),
          conv2(32, 64, rng, {.kernel = 3, .stride = 2, .padding = 1}),
          conv3(64, 64, rng, {.kernel = 3, .stride = 2, .padding = 1}),
          linear((size + 3) / 4 * ((size + 3) / 4) * 64, 128, rng),
          head(128, classes, rng) {}

    Judgement operator()(const Var<float>& x) const {
        namespace ops = genmod::ops;
        Var<float> h = ops::relu(conv3(ops::relu(conv2(ops::relu(conv1(x))))));
        h = ops::relu(linear(ops::reshape(h, {x.dim(0), -1})));
        return {h, head(h)};
    }

    static void visit(auto& self, auto&& f) {
        f("conv1", self.conv1);
        f("conv2", self.conv2);
        f("conv3", self.conv3);
        f("linear", self.linear);
        f("head", self.head);
    }
};

// What a judge says about many pictures, in batches.
struct Verdicts {
    Tensor<float> features;      // [n, 128]
    std::vector<Index> classes;  // n
};

inline Verdicts judge_all(const Judge& judge, const Tensor<float>& images) {
    const genmod::NoGrad off;
    Verdicts result{Tensor<float>({images.dim(0), 128}), {}};
    constexpr Index batch = 250;
    for (Index first = 0; first < images.dim(0); first += batch) {
        const Judgement said = judge(images.slice(first, std::min(images.dim(0), first + batch)));
        std::copy(said.features.value().begin(), said.features.value().end(), result.features.data() + first * 128);
        const Index classes = said.logits.dim(1);
        for (Index k = 0; k < said.logits.dim(0); ++k) {
            const float* row = said.logits.data() + k * classes;
            result.classes.push_back(std::max_element(row, row + classes) - row);
        }
    }
    return result;
}

// The share of pictures whose class the judge names.
inline double agreement(const std::vector<Index>& said, const std::vector<Index>& asked) {
    Index same = 0;
    for (std::size_t k = 0; k < said.size(); ++k) same += said[k] == asked[k] ? 1 : 0;
    return static_cast<double>(same) / static_cast<double>(said.size());
}

// Trains a judge for some epochs with Adam, batches of 128, mirrored at random.
inline Judge train_judge(const genmod::data::Images& images, Index epochs, std::uint64_t seed) {
    genmod::Rng rng(seed, genmod::Purpose::weights);
    Judge judge(images.pixels.dim(1), images.pixels.dim(3), static_cast<Index>(images.class_names.size()), rng);
    genmod::optim::Adam<float> adam(judge);
    const Index batch = 128, steps = epochs * (images.size() / batch);
    const genmod::optim::CosineLr factor{.warmup = 50, .total = steps};
    const genmod::data::Batches batches(images.size(), batch, seed);
    genmod::io::Progress progress("training the judge");
    for (Index step = 0; step < steps; ++step) {
        const auto indices = batches.indices(step);
        const Tensor<float> x =
            images.batch(indices, {.flip = true, .seed = seed, .step = static_cast<std::uint64_t>(step)});
        genmod::backward(genmod::ops::cross_entropy_loss(judge(x).logits, images.batch_labels(indices)));
        adam.options.lr = 2e-3 * factor(step);
        adam.step();
        progress(step + 1, steps);
    }
    return judge;
}

}  // namespace examples
