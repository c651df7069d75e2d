#include "genmod/diffusion/classifier.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/classifier_guidance.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/optim/adam.hpp"
#include "tests/support/catch.hpp"

namespace classifier_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

// Pictures 8x8: class 0 bright on the left, class 1 bright at the top.
Tensor<float> pictures(const List& labels) {
    Tensor<float> x({static_cast<Index>(labels.size()), 8, 8, 1});
    for (Index k = 0; k < x.size(); ++k) {
        const bool bright = labels[static_cast<std::size_t>(k / 64)] == 0 ? k % 8 < 4 : k / 8 % 8 < 4;
        x[k] = bright ? 1.0f : -1.0f;
    }
    return x;
}

NoisyClassifier<float> trained(const Schedule& schedule) {
    Rng rng(3);
    NoisyClassifier<float> net({.size = 8, .classes = 2, .width = 8, .mults = {1, 2}, .attention = {4}}, rng);
    optim::Adam<float> adam(net, {.lr = 3e-3});
    List labels;
    for (Index k = 0; k < 16; ++k) labels.push_back(k % 2);
    const auto x0 = pictures(labels);
    for (std::uint64_t step = 0; step < 60; ++step) {
        backward(classifier_loss(net, schedule, x0, labels, {.seed = 1, .step = step}));
        adam.step();
    }
    return net;
}

}  // namespace

TEST_CASE("a classifier learns noisy pictures, and its gradient guides sampling to the asked class") {
    const Schedule schedule;
    const auto net = trained(schedule);
    const List labels{0, 1, 0, 1, 1, 0, 0, 1};
    const auto x0 = pictures(labels);
    const auto inputs = draw_training_inputs(schedule, x0, labels, LossOptions{}, {.seed = 9});
    const auto right = [&](const Tensor<float>& x, Index t) {
        const auto logits = net(x, Tensor<float>::full({8}, static_cast<float>(t))).value();
        int count = 0;
        for (Index k = 0; k < 8; ++k)
            count += (logits[2 * k + 1] > logits[2 * k]) == (labels[static_cast<std::size_t>(k)] == 1) ? 1 : 0;
        return count;
    };
    REQUIRE(right(add_noise(schedule, x0, inputs.noise, List(8, 300)), 300) == 8);
    // A denoiser that knows no classes: every pixel -1 or 1 by itself.
    const auto predict = [&](const Tensor<float>& x, const NoiseLevel& at) {
        Prediction<float> said{.x0 = Tensor<float>(x.shape()), .eps = {}, .variance = {}, .gradient = {}};
        for (Index k = 0; k < x.size(); ++k)
            said.x0[k] = static_cast<float>(std::tanh(at.alpha * x[k] / (at.sigma * at.sigma)));
        said.eps = eps_from_x0(x, said.x0, at);
        return said;
    };
    const auto classify = [&](const auto& x, const auto& t) { return net(x, t); };
    const SampleOptions<float> options{.shape = {8, 8, 8, 1}, .seed = 5};
    const auto guided =
        sample(classifier_guided(predict, classify, labels, 3.0), Ddim{}, ddim_levels(schedule, 50), options);
    const auto free = sample(predict, Ddim{}, ddim_levels(schedule, 50), options);
    REQUIRE(right(guided, 0) == 8);
    REQUIRE(right(free, 0) < 8);
}

TEST_CASE("a classifier's options and inputs are checked, and a loss that is not finite names the step") {
    Rng rng(4);
    using Net = NoisyClassifier<float>;
    REQUIRE_THROWS_AS(Net({.classes = 1}, rng), Error);
    REQUIRE_THROWS_AS(Net({.width = 12}, rng), Error);
    const Net net({.size = 8, .classes = 2, .width = 8, .mults = {1}}, rng);
    REQUIRE(net(rng.normals<float>({2, 8, 8, 1}), Tensor<float>::zeros({2})).shape() == Shape{2, 2});
    REQUIRE_THROWS_AS(net(rng.normals<float>({2, 8, 8, 2}), Tensor<float>::zeros({2})), Error);
    auto x0 = pictures({0, 1});
    x0[3] = std::numeric_limits<float>::quiet_NaN();
    try {
        classifier_loss(net, Schedule(), x0, {0, 1}, {.step = 21});
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 21") != std::string::npos);
    }
}

}  // namespace classifier_test
