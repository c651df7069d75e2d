#include "genmod/diffusion/denoiser.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "tests/support/catch.hpp"

namespace denoiser_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

double distance(const Tensor<double>& a, const Tensor<double>& b) {
    REQUIRE(a.shape() == b.shape());
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
    return most;
}

// x, x0 and eps of one level, and what each kind of network would say.
struct Case {
    NoiseLevel at;
    Tensor<double> x0, eps, x, v;
    Case(const NoiseLevel& level, std::uint64_t seed) : at(level) {
        Rng rng(seed);
        x0 = rng.normals<double>({2, 3, 3, 2});
        eps = rng.normals<double>({2, 3, 3, 2});
        x = combine(at.alpha, x0, at.sigma, eps);
        v = combine(at.alpha, eps, -at.sigma, x0);
    }
    Prediction<double> ask(PredictionType type, const Tensor<double>& answer, DenoiserOptions options = {}) const {
        options.prediction_type = type;
        return denoiser([&](const Tensor<double>&, const Tensor<double>&) { return answer; }, options)(x, at);
    }
};

}  // namespace

TEST_CASE("epsilon, sample and v predictions tell the same x0 and noise") {
    const Schedule schedule;
    for (const Index t : {0, 1, 500, 999}) {
        const Case c(level(schedule, t), 3);
        for (const auto& [type, answer] : {std::pair{PredictionType::epsilon, c.eps},
                                           {PredictionType::sample, c.x0},
                                           {PredictionType::v_prediction, c.v}}) {
            const auto said = c.ask(type, answer, {.clip_sample = false});
            INFO(to_string(type) << " at " << t);
            REQUIRE(distance(said.x0, c.x0) <= 1e-12);
            REQUIRE(distance(said.eps, c.eps) <= 1e-12);
            REQUIRE(said.variance.empty());
        }
    }
}

TEST_CASE("the network is told its time once for each sample") {
    const NoiseLevel at{0.6, 0.8, 417};
    const auto x = Tensor<float>::zeros({3, 2, 2, 1});
    bool asked = false;
    const auto predict = denoiser([&](const Tensor<float>& in, const Tensor<float>& t) {
        asked = t.shape() == Shape{3} && t[0] == 417 && t[2] == 417;
        return Var<float>(in);
    });
    predict(x, at);
    REQUIRE(asked);
}

TEST_CASE("clipping touches x0 and leaves the noise") {
    const Case c({0.6, 0.8, 5}, 4);
    const auto said = c.ask(PredictionType::epsilon, c.eps, {.clip_sample_range = 0.5});
    for (Index k = 0; k < c.x0.size(); ++k) REQUIRE(said.x0[k] == Approx(std::clamp(c.x0[k], -0.5, 0.5)).margin(1e-14));
    REQUIRE(distance(said.eps, c.eps) == 0);
    const auto nan = Tensor<double>::full({1}, std::numeric_limits<double>::quiet_NaN());
    REQUIRE(std::isnan(clip(nan, 1)[0]));
}

TEST_CASE("extra channels are the variance") {
    const Case c({0.6, 0.8, 5}, 5);
    Tensor<double> both({2, 3, 3, 4});
    for (Index p = 0; p < 18; ++p)
        for (Index k = 0; k < 4; ++k) both[p * 4 + k] = k < 2 ? c.eps[p * 2 + k] : static_cast<double>(10 * p + k);
    const auto said = c.ask(PredictionType::epsilon, both, {.clip_sample = false});
    REQUIRE(distance(said.x0, c.x0) <= 1e-12);
    REQUIRE(said.variance.shape() == c.x.shape());
    REQUIRE(said.variance[7] == 33);
    REQUIRE_THROWS_AS(c.ask(PredictionType::epsilon, Tensor<double>::zeros({2, 3, 3, 3})), Error);
    REQUIRE_THROWS_AS(c.ask(PredictionType::epsilon, Tensor<double>::zeros({1, 3, 3, 2})), Error);
}

TEST_CASE("what cannot be told is an error") {
    REQUIRE_THROWS_AS(Case({0, 1, 999}, 6).ask(PredictionType::epsilon, Case({0, 1, 999}, 6).eps), Error);
    REQUIRE_THROWS_AS(Case({1, 0, 0}, 6).ask(PredictionType::sample, Case({1, 0, 0}, 6).x0), Error);
    const Case pure({0, 1, 999}, 6);
    REQUIRE(distance(pure.ask(PredictionType::v_prediction, pure.v, {.clip_sample = false}).x0, pure.x0) <= 1e-12);
    for (const char* name : {"epsilon", "sample", "v_prediction"})
        REQUIRE(to_string(parse_prediction_type(name)) == name);
    REQUIRE_THROWS_AS(parse_prediction_type("v"), Error);
}

TEST_CASE("quantiles are linear between values, as in NumPy and PyTorch") {
    std::vector<double> values{5, 1, 4, 2, 3};
    REQUIRE(quantile(values, 0.5) == 3);
    REQUIRE(quantile(values, 0.0) == 1);
    REQUIRE(quantile(values, 1.0) == 5);
    REQUIRE(quantile(values, 0.9) == Approx(4.6).epsilon(1e-14));
    std::vector<double> one{7};
    REQUIRE(quantile(one, 0.995) == 7);
}

TEST_CASE("dynamic thresholding scales each sample by its own quantile") {
    auto x = Tensor<double>::from({2, 5, 1}, {0, 1, 2, -3, 4, 0.1, 0.2, -0.3, 0.4, 0.5});
    const auto y = dynamic_threshold(x, 0.75, 10);  // |x| of the first: 3 is the quantile; the second is below 1
    const std::vector<double> expected{0, 1.0 / 3, 2.0 / 3, -1, 1, 0.1, 0.2, -0.3, 0.4, 0.5};
    for (Index k = 0; k < 10; ++k) REQUIRE(y[k] == Approx(expected[static_cast<std::size_t>(k)]).margin(1e-15));
    const auto held = dynamic_threshold(x, 0.75, 2);
    REQUIRE(held[3] == -1);
    REQUIRE(held[1] == 0.5);
    const auto clipped = dynamic_threshold(x, 0.75, 1);
    REQUIRE(clipped[2] == 1);
    REQUIRE_THROWS_AS(dynamic_threshold(x, 0.75, 0.5), Error);
    REQUIRE_THROWS_AS(dynamic_threshold(x, 1.5, 2), Error);
}

}  // namespace denoiser_test
