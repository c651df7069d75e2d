// EDM: its preconditioning and loss against the formulas and diffusers, its density of sigma, and a network that
// learns.
#include "genmod/diffusion/edm.hpp"

#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/point_net.hpp"

namespace edm_test {

using namespace genmod;
using namespace genmod::diffusion;
using namespace genmod::test;

namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-12;

}  // namespace

TEMPLATE_TEST_CASE("EDM's data and loss are those of the formulas", "", float, double) {
    using T = TestType;
    const Golden golden("training/flow_edm.safetensors");
    const auto noise = golden.read<T>("noise"), output = golden.read<T>("output");
    for (const auto type : {PredictionType::epsilon, PredictionType::v_prediction}) {
        std::vector<RegressionWeights> weights;
        for (const double sigma : golden.raw<double>("edm/sigma"))
            weights.push_back(Edm{}.weights(sigma, {.prediction_type = type}));
        const auto inputs = regression_inputs(golden.read<T>("x0"), {noise, noise}, weights);
        golden.require_close("edm/seen", inputs.seen, tolerance<T>);
        golden.require_close("edm/times", inputs.times, tolerance<T>);
        // A network of v_prediction says the negative.
        const double sign = type == PredictionType::epsilon ? 1 : -1;
        const auto terms = squared_error_terms(combine(sign, output, 0, output), inputs.target, {1, 1, 1, 1});
        golden.require_close("edm/loss", Tensor<double>::from({4}, terms.values), tolerance<T>);
        golden.require_close("edm/doutput", combine(sign, terms.slopes, 0, terms.slopes), tolerance<T>);
    }
}

TEMPLATE_TEST_CASE("a denoiser of a preconditioned network asks and reads it as diffusers does", "", float, double) {
    using T = TestType;
    const Golden golden("training/flow_edm.safetensors");
    const auto noisy = golden.read<T>("edm/noisy"), output = golden.read<T>("output");
    const auto sigmas = golden.raw<double>("edm/sigma");
    for (const std::string type : {"epsilon", "v_prediction"})
        for (Index k = 0; k < sigmas.size(); ++k) {
            const double sigma = sigmas[k];
            INFO(type << " sigma " << sigma);
            const auto network = [&](const Tensor<T>& x, const Tensor<T>& t) {
                const auto seen = golden.read<double>("edm/seen").slice(k, k + 1);
                require_close("seen", x, seen, peak(seen), tolerance<T>);
                REQUIRE(static_cast<double>(t[0]) == Approx(std::log(sigma) / 4));
                return output.slice(k, k + 1);
            };
            const auto x = noisy.slice(k, k + 1);
            const auto said = denoiser(
                network, {.prediction_type = parse_prediction_type(type), .clip_sample = false, .sigma_data = 0.5})(
                x, edm_level(sigma));
            const auto x0 = golden.read<double>("edm/" + type + "/x0").slice(k, k + 1);
            require_close("x0", said.x0, x0, peak(x0), tolerance<T>);
            // x = x0 + sigma eps, and the same in the variance-preserving frame.
            const auto back = combine(1, said.x0, sigma, said.eps);
            require_close("x", back, cast<double>(x), peak(cast<double>(x)), tolerance<T>);
            const NoiseLevel vp = vp_level(sigma, std::log(sigma) / 4);
            const auto framed = denoiser(
                network, {.prediction_type = parse_prediction_type(type), .clip_sample = false, .sigma_data = 0.5})(
                combine(vp.alpha, x, 0, x), vp);
            require_close("x0 in another frame", framed.x0, x0, peak(x0), tolerance<T>);
            const auto same_eps = cast<double>(said.eps);
            require_close("eps in another frame", framed.eps, same_eps, peak(same_eps), tolerance<T>);
        }
}

TEST_CASE("log(sigma) is drawn from its normal, and options that do not fit are refused") {
    const Edm edm{.p_mean = -0.5, .p_std = 0.8};
    double mean = 0, square = 0;
    for (Index k = 0; k < 4000; ++k) {
        const double value = std::log(edm.draw_sigma({.seed = 2}, k));
        mean += value / 4000;
        square += value * value / 4000;
    }
    REQUIRE(mean == Approx(-0.5).margin(0.06));
    REQUIRE(std::sqrt(square - mean * mean) == Approx(0.8).margin(0.05));
    const auto x0 = Tensor<float>::zeros({2, 3});
    REQUIRE_THROWS_AS(draw_training_inputs(edm, x0, {}, {.prediction_type = PredictionType::sample}, {}), Error);
    REQUIRE_THROWS_AS(draw_training_inputs(edm, x0, {}, {.kind = LossKind::vlb}, {}), Error);
    REQUIRE_THROWS_AS(draw_training_inputs(Edm{.sigma_data = 0}, x0, {}, {}, {}), Error);
}

TEST_CASE("a network trained as EDM draws the ring, and a run resumes to the byte") {
    const auto make = [] {
        Rng rng(1, Purpose::weights);
        return Trainer<float, PointNet, Edm>(
            PointNet(rng), Edm{.sigma_data = 0.8, .p_mean = -0.8},
            {.seed = 1, .adam = {.lr = 2e-2}, .lr_factor = {.warmup = 10, .total = 600}, .ema = {.decay = 0.95}});
    };
    require_resumes("edm_test.checkpoint", make);
    auto trainer = make();
    const auto losses = train_on_ring(trainer, 600, 64);
    INFO("loss " << losses.first << " -> " << losses.second);
    REQUIRE(losses.second < 0.93 * losses.first);
    const auto predict =
        denoiser([&](const Tensor<float>& x, const Tensor<float>& t) { return trainer.average()(x, t); },
                 {.clip_sample = false, .sigma_data = 0.8});
    require_ring(sample(predict, Heun{}, edm_levels(15, {.sigma_max = 20}), {.shape = {256, 2}, .seed = 4}));
}

}  // namespace edm_test
