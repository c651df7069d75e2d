// Flow matching: its numbers against the formulas, its densities, and a network that learns.
#include "genmod/diffusion/flow_matching.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/point_net.hpp"

namespace flow_matching_test {

using namespace genmod;
using namespace genmod::diffusion;
using namespace genmod::test;

TEMPLATE_TEST_CASE("a flow's data and loss are those of the formulas", "", float, double) {
    using T = TestType;
    const Golden golden("training/flow_edm.safetensors");
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-14;
    const auto noise = golden.read<T>("noise"), output = golden.read<T>("output");
    std::vector<RegressionWeights> weights;
    for (const double sigma : golden.raw<double>("flow/sigma")) weights.push_back(FlowMatching{}.weights(sigma, {}));
    const auto inputs = regression_inputs(golden.read<T>("x0"), {noise, noise}, weights);
    golden.require_close("flow/seen", inputs.seen, tolerance);
    golden.require_close("flow/times", inputs.times, tolerance);
    const auto terms = squared_error_terms(output, inputs.target, {1, 1, 1, 1});
    golden.require_close("flow/loss", Tensor<double>::from({4}, terms.values), tolerance);
    golden.require_close("flow/doutput", terms.slopes, tolerance);
}

TEST_CASE("sigmas are drawn as their densities say") {
    const auto draw = [](const FlowMatching& flow) {
        std::vector<double> sigma;
        for (Index k = 0; k < 4000; ++k)
            sigma.push_back(
                draw_training_inputs(flow, Tensor<double>::zeros({1, 1}), {}, {}, {.seed = 3, .first_sample = k})
                    .times[0] /
                1000);
        std::sort(sigma.begin(), sigma.end());
        return sigma;
    };
    const auto uniform = draw({}), shifted = draw({.shift = 3}), mode = draw({.density = FlowDensity::mode});
    const auto normal = draw({.density = FlowDensity::logit_normal, .logit_mean = 0.5, .logit_std = 0.8});
    for (const double part : {0.1, 0.5, 0.9}) {
        const auto k = static_cast<std::size_t>(part * 4000);
        REQUIRE(uniform[k] == Approx(part).margin(0.03));
        REQUIRE(shifted[k] == Approx(3 * uniform[k] / (1 + 2 * uniform[k])).epsilon(1e-9));
        // mode's sigma falls with u, so that its quantile is the sigma of 1 - part.
        const double u = 1 - part, cosine = std::cos(std::numbers::pi * u / 2);
        REQUIRE(mode[k] == Approx(1 - u - 1.29 * (cosine * cosine - 1 + u)).margin(0.03));
        const double z = part == 0.5 ? 0 : part < 0.5 ? -1.2816 : 1.2816;
        REQUIRE(normal[k] == Approx(1 / (1 + std::exp(-0.5 - 0.8 * z))).margin(0.03));
    }
    REQUIRE((uniform.front() >= 0 && uniform.back() < 1 && mode.front() >= 0 && mode.back() <= 1));
}

TEST_CASE(
    "data of a flow are drawn by seed, step and sample; labels are dropped, and options that do not fit refused") {
    const auto x0 = Rng(1).normals<float>({32, 2, 2, 1});
    const LossOptions options{.input_perturbation = 0.1, .condition_dropout = 0.5, .null_class = 7};
    const FlowMatching flow;
    const auto all = draw_training_inputs(flow, x0, std::vector<Index>(32, 3), options, {.seed = 5, .step = 9});
    const auto part = draw_training_inputs(flow, x0.slice(8, 16), std::vector<Index>(8, 3), options,
                                           {.seed = 5, .step = 9, .first_sample = 8});
    REQUIRE(std::equal(part.seen.begin(), part.seen.end(), all.seen.data() + 32));
    REQUIRE(std::equal(part.target.begin(), part.target.end(), all.target.data() + 32));
    REQUIRE(std::equal(part.labels.begin(), part.labels.end(), all.labels.begin() + 8));
    const auto dropped = std::count(all.labels.begin(), all.labels.end(), Index{7});
    REQUIRE((dropped > 6 && dropped < 26));
    const auto refused = [&](const FlowMatching& objective, const LossOptions& wrong) {
        REQUIRE_THROWS_AS(draw_training_inputs(objective, x0, {}, wrong, {}), Error);
    };
    refused({}, {.prediction_type = PredictionType::v_prediction});
    refused({}, {.kind = LossKind::hybrid});
    refused({}, {.min_snr_gamma = 5});
    refused({.mode_scale = 2}, {});
    refused({.train_steps = 0}, {});
    refused({.shift = 0}, {});
    REQUIRE_THROWS_AS(draw_training_inputs(flow, x0, {1, 2}, {}, {}), Error);
}

TEST_CASE("a network trained by flow matching draws the ring, and a run resumes to the byte") {
    const auto make = [] {
        Rng rng(1, Purpose::weights);
        return Trainer<float, PointNet, FlowMatching>(
            PointNet(rng), {.density = FlowDensity::logit_normal},
            {.seed = 1, .adam = {.lr = 2e-2}, .lr_factor = {.warmup = 10, .total = 600}, .ema = {.decay = 0.95}});
    };
    require_resumes("flow_matching_test.checkpoint", make);
    auto trainer = make();
    const auto losses = train_on_ring(trainer, 600, 64);
    INFO("loss " << losses.first << " -> " << losses.second);
    REQUIRE(losses.second < 0.93 * losses.first);
    const auto predict =
        denoiser([&](const Tensor<float>& x, const Tensor<float>& t) { return trainer.average()(x, t); },
                 {.prediction_type = PredictionType::flow_prediction, .clip_sample = false});
    require_ring(sample(predict, Euler{}, flow_levels(25), {.shape = {256, 2}, .seed = 4}));
}

}  // namespace flow_matching_test
