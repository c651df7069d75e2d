#include "genmod/diffusion/classifier_guidance.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/catch.hpp"

namespace classifier_guidance_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

// Data of two classes, N(-1, s^2) and N(1, s^2), equally frequent: everything is known in closed form.
constexpr double spread = 0.3;

struct TwoClasses {
    Schedule schedule;

    // The score of a class: log p(x | y) is quadratic, so log p(y | x) has logits 2 mean_y alpha x / (2 total) each.
    Var<double> operator()(const Var<double>& x, const Tensor<double>& t) const {
        const NoiseLevel at = level(schedule, static_cast<Index>(t[0]));
        const double total = at.alpha * at.alpha * spread * spread + at.sigma * at.sigma;
        const Var<double> weight(Tensor<double>::from({2, 1}, {-at.alpha / total, at.alpha / total}));
        return ops::linear(x, weight, Var<double>{});
    }

    // x0 and eps of the mixture.
    Prediction<double> predict(const Tensor<double>& x, const NoiseLevel& at) const {
        const double total = at.alpha * at.alpha * spread * spread + at.sigma * at.sigma;
        Prediction<double> said{
            .x0 = Tensor<double>(x.shape()), .eps = Tensor<double>(x.shape()), .variance = {}, .gradient = {}};
        for (Index k = 0; k < x.size(); ++k) {
            const double mean = std::tanh(at.alpha * x[k] / total);  // E[y | x]
            said.eps[k] = at.sigma * (x[k] - at.alpha * mean) / total;
            said.x0[k] = (x[k] - at.sigma * said.eps[k]) / at.alpha;
        }
        return said;
    }
};

double mean_of(const Tensor<double>& x, Index first, Index last) {
    double sum = 0;
    for (Index k = first; k < last; ++k) sum += x[k];
    return sum / static_cast<double>(last - first);
}

}  // namespace

TEST_CASE("the classifier's gradient is that of the log probability of the asked label") {
    const TwoClasses data;
    const auto x = Tensor<double>::from({3, 1}, {0.2, -0.5, 1.1}), t = Tensor<double>::full({3}, 300);
    const NoGrad off;  // as in the sampling loop
    const auto gradient = classifier_gradient(data, x, t, {1, 0, 1});
    const NoiseLevel at = level(data.schedule, 300);
    const double slope = 2 * at.alpha / (at.alpha * at.alpha * spread * spread + at.sigma * at.sigma);
    for (Index k = 0; k < 3; ++k) {
        const double side = k == 1 ? -1 : 1;
        REQUIRE(gradient[k] == Approx(side * slope / (1 + std::exp(side * slope * x[k]))).epsilon(1e-10));
    }
    REQUIRE_THROWS_AS(classifier_gradient(data, x, t, {1, 0}), Error);
    REQUIRE_THROWS_AS(classifier_gradient(data, x, t, {1, 0, 2}), Error);
}

TEST_CASE("an exact classifier turns the mixture's score into the class's") {
    const TwoClasses data;
    const auto x = Tensor<double>::from({2, 1}, {0.4, 0.4});
    const NoiseLevel at = level(data.schedule, 300);
    const auto guided =
        classifier_guided([&](const auto& in, const NoiseLevel& where) { return data.predict(in, where); },
                          [&](const auto& in, const auto& t) { return data(in, t); }, {0, 1}, 1.0);
    const auto said = with_gradient_in_eps(guided(x, at), x, at);
    const double total = at.alpha * at.alpha * spread * spread + at.sigma * at.sigma;
    REQUIRE(said.eps[0] == Approx(at.sigma * (x[0] + at.alpha) / total).epsilon(1e-9));
    REQUIRE(said.eps[1] == Approx(at.sigma * (x[1] - at.alpha) / total).epsilon(1e-9));
    REQUIRE(said.x0[1] == Approx((x[1] - at.sigma * said.eps[1]) / at.alpha).epsilon(1e-9));
}

TEST_CASE("guided sampling draws the asked class, by DDIM and by DDPM") {
    const TwoClasses data;
    const auto guided = [&](double scale) {
        List labels(400, 0);
        std::fill(labels.begin() + 200, labels.end(), 1);
        return classifier_guided([&](const auto& in, const NoiseLevel& at) { return data.predict(in, at); },
                                 [&](const auto& in, const auto& t) { return data(in, t); }, labels, scale);
    };
    const SampleOptions<double> options{.shape = {400, 1}, .seed = 3};
    const auto free = sample<double>(guided(0), Ddim{}, ddim_levels(data.schedule, 100), options);
    REQUIRE(std::fabs(mean_of(free, 0, 200)) < 0.3);
    const auto require_classes = [&](const Tensor<double>& x) {
        REQUIRE(std::fabs(mean_of(x, 0, 200) + 1) < 0.08);
        REQUIRE(std::fabs(mean_of(x, 200, 400) - 1) < 0.08);
        double square = 0;
        for (Index k = 200; k < 400; ++k) square += (x[k] - 1) * (x[k] - 1) / 200;
        REQUIRE(std::sqrt(square) == Approx(spread).epsilon(0.2));
    };
    require_classes(sample<double>(guided(1), Ddim{}, ddim_levels(data.schedule, 200), options));
    require_classes(sample<double>(guided(1), Ddpm{}, ddpm_levels(data.schedule, 1000), options));
}

TEST_CASE("DDPM's mean moves by variance times gradient") {
    const Schedule schedule;
    const LevelPair pair{level(schedule, 500), level(schedule, 499)};
    const auto x = Tensor<double>::from({1, 1}, {0.7}), zero = Tensor<double>::zeros({1, 1});
    const auto step = [&](double gradient) {
        const auto predict = [&](const Tensor<double>& in, const NoiseLevel&) {
            return Prediction<double>{
                .x0 = in,
                .eps = in,
                .variance = {},
                .gradient = gradient == 0 ? Tensor<double>{} : Tensor<double>::full({1, 1}, gradient)};
        };
        Ddpm::State<double> state;
        return run_sampler(predict, Ddpm{}, Levels{{pair}}, x, GivenNoise<double>{{zero}}, state)[0];
    };
    REQUIRE(step(3) - step(0) == Approx(3 * Posterior(pair.from, pair.to).small).epsilon(1e-10));
}

}  // namespace classifier_guidance_test
