// Likelihoods by the probability-flow ODE and by the variational bound, where they are known.
#include "genmod/diffusion/likelihood.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/exact_flow.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/variational_bound.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/ops/shape.hpp"
#include "tests/support/catch.hpp"

namespace likelihood_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

const std::array<double, 2> mean{0.05, -0.1};
const std::array<double, 3> covariance{0.3, -0.12, 0.2};  // xx, xy, yy

GaussianMixture law() {
    return GaussianMixture(
        {{.mean = {mean[0], mean[1]}, .covariance = {covariance[0], covariance[1], covariance[1], covariance[2]}}});
}

// What a perfect network of this type says about x at a level: weight (x - alpha mean) + bias.
Var<double> perfect(PredictionType type, double sigma_data, const NoiseLevel& at, const Var<double>& x) {
    const Reading way = reading(type, at, sigma_data);
    const double a = at.alpha * at.alpha, v = at.sigma * at.sigma;
    const double xx = a * covariance[0] + v, xy = a * covariance[1], yy = a * covariance[2] + v;
    const double determinant = xx * yy - xy * xy;
    // eps = sigma C^-1 (x - alpha mean), and said = (eps - eps_x x) / eps_said, of x = seen / input.
    const double scale = at.sigma / determinant;
    const std::array<double, 4> to_eps{scale * yy, -scale * xy, -scale * xy, scale * xx};
    Tensor<double> weight({2, 2}), bias({2});
    for (Index i = 0; i < 2; ++i) {
        bias[i] = 0;
        for (Index j = 0; j < 2; ++j) {
            const double entry = to_eps[static_cast<std::size_t>(2 * i + j)];
            weight[2 * i + j] = (entry - (i == j ? way.eps_x : 0)) / way.eps_said / way.input;
            bias[i] -= entry * at.alpha * mean[static_cast<std::size_t>(j)] / way.eps_said;
        }
    }
    return ops::linear(x, Var<double>(weight), Var<double>(bias));
}

struct Case {
    std::string name;
    Levels levels;
    PredictionType type = PredictionType::epsilon;
    double sigma_data = 0;
    std::function<NoiseLevel(double t)> at_time = {};
};

std::vector<Case> cases() {
    const Schedule schedule;
    const SigmaTable table(schedule);
    const auto vp = [table](double t) { return vp_level(table.sigma(t, true), t); };
    const auto edm = [](double t) { return edm_level(std::exp(4 * t)); };
    const auto flow = [](double t) { return flow_level(t / 1000, t); };
    return {{"vp, epsilon", ddim_levels(schedule, 1000), PredictionType::epsilon, 0, vp},
            {"vp, v", ddim_levels(schedule, 1000), PredictionType::v_prediction, 0, vp},
            {"edm", edm_levels(18), PredictionType::epsilon, 0.5, edm},
            {"flow", flow_levels(100), PredictionType::flow_prediction, 0, flow}};
}

auto network_of(const Case& c) {
    return [c](const Var<double>& x, const Tensor<double>& t) {
        return perfect(c.type, c.sigma_data, c.at_time(t[0]), x);
    };
}

// log p(x) when the ODE is solved exactly from `from` to the first level, whose x counts as start_scale times normals.
Tensor<double> exact_likelihood(const Tensor<double>& x, const NoiseLevel& from, const Levels& levels) {
    const NoiseLevel& to = levels.steps.front().from;
    const auto end = exact_flow(law(), x, from, to);
    const auto prior = GaussianMixture::normal(0, levels.start_scale).log_density(end);
    const auto determinant = [](const NoiseLevel& at) {
        const double a = at.alpha * at.alpha, v = at.sigma * at.sigma;
        return (a * covariance[0] + v) * (a * covariance[2] + v) - a * a * covariance[1] * covariance[1];
    };
    Tensor<double> result({x.dim(0)});
    for (Index k = 0; k < x.dim(0); ++k)
        result[k] = prior[2 * k] + prior[2 * k + 1] + 0.5 * std::log(determinant(to) / determinant(from));
    return result;
}

double largest_difference(const std::vector<double>& found, const Tensor<double>& expected) {
    double most = 0;
    for (std::size_t k = 0; k < found.size(); ++k)
        most = std::max(most, std::abs(found[k] - expected[static_cast<Index>(k)]));
    return most;
}

}  // namespace

TEST_CASE("the ODE's likelihood of Gaussian data is the closed form") {
    Rng rng(5);
    const auto x = law().draw(24, rng);
    for (const Case& c : cases()) {
        INFO(c.name);
        LikelihoodOptions options{.prediction_type = c.type,
                                  .sigma_data = c.sigma_data,
                                  .trace = Trace::exact,
                                  .ode = {.atol = 1e-7, .rtol = 1e-7}};
        const NoiseLevel from{1, sigma_ve(c.levels.steps.back().from)};
        const auto exact = log_likelihood(network_of(c), x, c.levels, options);
        REQUIRE(largest_difference(exact.nats, exact_likelihood(x, from, c.levels)) < 2e-5);
        // The data's law at most noise is not quite the prior.
        const auto truth = law().log_density(x, from);
        double bits = 0;
        for (const double nats : truth) bits += (-nats / 2 / std::log(2.0) + std::log2(127.5)) / 24;
        REQUIRE(exact.bits.mean == Approx(bits).margin(5e-4));
        REQUIRE((exact.bits.standard_error > 0.05 && exact.bits.standard_error < 0.3));
        // Hutchinson's estimate is right in the mean of the probes.
        options.ode = {.atol = 1e-4, .rtol = 1e-4};
        for (const Trace trace : {Trace::signs, Trace::normals}) {
            options.trace = trace;
            options.probes = trace == Trace::signs ? 40 : 200;
            const auto estimate = log_likelihood(network_of(c), x, c.levels, options);
            INFO("estimate " << estimate.bits.mean << ", exact " << exact.bits.mean);
            REQUIRE(estimate.bits.mean == Approx(exact.bits.mean).margin(0.04));
            REQUIRE(estimate.nats != exact.nats);
        }
    }
}

TEST_CASE("of independent numbers a probe of signs is exact, and a flow may begin without noise") {
    const auto x = Rng(6).normals<double>({5, 2, 3});
    const GaussianMixture unlike = GaussianMixture::normal(0, 0.7);
    const auto network = [](const Var<double>& z, const Tensor<double>& t) {
        const double s = t[0] / 1000, a = 1 - s;
        return ops::scale(z, (s - a * 0.49) / (a * a * 0.49 + s * s));
    };
    const auto found = log_likelihood(network, x, flow_levels(10),
                                      {.prediction_type = PredictionType::flow_prediction, .sigma_min = 1e-9});
    const auto points = unlike.log_density(x);
    for (Index k = 0; k < 5; ++k) {
        double expected = 0;
        for (Index i = 0; i < 6; ++i) expected += points[6 * k + i];
        REQUIRE(found.nats[static_cast<std::size_t>(k)] == Approx(expected).margin(1e-4));
        for (Index i = 6 * k; i < 6 * k + 6; ++i) REQUIRE(found.latent[i] == Approx(x[i] / 0.7).margin(1e-4));
    }
}

TEST_CASE("the likelihood of a network is that of the map its ODE makes, by differences") {
    Rng rng(7);
    const nn::Mlp<double> mlp(3, 4, rng, {.hidden = {8}});
    const auto network = [&](const Var<double>& x, const Tensor<double>& t) {
        return mlp(ops::concat<double>({x, Var<double>(t.reshape({-1, 1}))}, 1));  // the last two are a variance
    };
    const Tensor<double> x = rng.normals<double>({1, 2});
    const Levels levels = edm_levels(5, {.sigma_min = 0.1, .sigma_max = 5});
    const LikelihoodOptions options{.sigma_data = 0.5, .trace = Trace::exact, .ode = {.atol = 1e-10, .rtol = 1e-10}};
    const auto found = log_likelihood(network, x, levels, options);
    constexpr double h = 1e-4;
    std::array<double, 4> jacobian{};
    for (Index j = 0; j < 2; ++j) {
        auto up = x.clone(), down = x.clone();
        up[j] += h;
        down[j] -= h;
        const auto above = log_likelihood(network, up, levels, options).latent;
        const auto below = log_likelihood(network, down, levels, options).latent;
        for (Index i = 0; i < 2; ++i) jacobian[static_cast<std::size_t>(2 * i + j)] = (above[i] - below[i]) / (2 * h);
    }
    const double determinant = jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2];
    const double square = found.latent[0] * found.latent[0] + found.latent[1] * found.latent[1];
    REQUIRE(found.nats[0] == Approx(std::log(std::abs(determinant)) - 0.5 * square - std::log(2 * M_PI)).margin(1e-6));
}

TEST_CASE("one by one, a picture's likelihood does not depend on the others") {
    const Case c = cases()[3];
    Rng rng(8);
    const auto x = law().draw(4, rng);
    LikelihoodOptions options{.prediction_type = c.type, .seed = 11, .one_by_one = true, .ode = {.rtol = 1e-3}};
    const auto all = log_likelihood(network_of(c), x, c.levels, options);
    options.seed = 13;
    const auto alone = log_likelihood(network_of(c), x.slice(2, 3), c.levels, options);
    REQUIRE(alone.nats[0] == all.nats[2]);
    REQUIRE(alone.latent[0] == all.latent[4]);
    options.one_by_one = false;
    options.seed = 11;
    const auto together = log_likelihood(network_of(c), x, c.levels, options);
    REQUIRE(together.nats[2] != all.nats[2]);
    REQUIRE(together.nats[2] == Approx(all.nats[2]).margin(0.05));
    REQUIRE(together.evaluations < all.evaluations);
}

TEST_CASE("dequantized numbers stay in their cells, by seed") {
    const auto x = Tensor<float>::full({3, 200}, 0.5f);
    const auto noisy = dequantized(x, 4), part = dequantized(x.slice(1, 2), 5);
    REQUIRE(std::equal(part.begin(), part.end(), noisy.data() + 200));
    double sum = 0;
    for (const float value : noisy) {
        REQUIRE(std::abs(value - 0.5f) <= 0.5f / 127.5f + 1e-7f);
        sum += static_cast<double>(value) / 600;
    }
    REQUIRE(sum == Approx(0.5).margin(5e-4));
}

TEST_CASE("the variational bound of an exact score is the sum of its terms, above the likelihood and close to it") {
    constexpr double deviation = 0.3;
    const GaussianMixture data = GaussianMixture::normal(0.1, deviation);
    Rng rng(9);
    auto x0 = data.draw(1536, rng).reshape({192, 8});
    const auto nats = data.log_density(x0);
    std::vector<double> likelihood;
    for (Index k = 0; k < 192; ++k) {
        double sum = 0;
        for (Index i = 8 * k; i < 8 * k + 8; ++i) sum += nats[i];
        likelihood.push_back(-sum / 8 / std::log(2.0) + std::log2(127.5));
    }
    for (double& value : x0) value = std::round((value + 1) * 127.5) / 127.5 - 1;
    const Schedule schedule({.num_train_timesteps = 200, .beta_start = 5e-4, .beta_end = 0.1});
    Index calls = 0;
    const auto bound = variational_bound(data, schedule, x0, {.variance_type = VarianceType::fixed_large, .seed = 3},
                                         [&](Index done, Index total) {
                                             ++calls;
                                             REQUIRE((done == calls && total == 200));
                                         });
    REQUIRE((calls == 200 && bound.terms.size() == 200));
    const auto above = [&](const VariationalBound& found) {
        std::vector<double> differences;
        for (std::size_t k = 0; k < 192; ++k) differences.push_back(found.total[k] - likelihood[k]);
        return metrics::mean_and_error(differences);
    };
    double sum = 0;
    for (const double term : bound.terms) sum += term;
    REQUIRE(bound.bits.mean == Approx(metrics::mean_and_error(bound.prior).mean + sum).epsilon(1e-12));
    INFO("bound " << bound.bits.mean << " +- " << bound.bits.standard_error << ", above " << above(bound).mean);
    REQUIRE(above(bound).mean > 0);
    REQUIRE(above(bound).mean < 0.4);
    // With the true variance of x' given x, the posterior's and that of x0, the bound is tight.
    const auto left = [&](Index t) {
        const NoiseLevel at = level(schedule, t);
        const double s = deviation * deviation, v = at.sigma * at.sigma;
        return s * v / (at.alpha * at.alpha * s + v);
    };
    const auto perfect = [&](const Tensor<double>& x, const NoiseLevel& at) {
        const auto t = static_cast<Index>(at.t);
        const Posterior step(at, t == 0 ? NoiseLevel{} : level(schedule, t - 1));
        const Posterior lower(level(schedule, std::max<Index>(t, 1)), level(schedule, std::max<Index>(t, 1) - 1));
        const double variance = (t == 0 ? 0 : step.small) + step.x0_weight * step.x0_weight * left(t);
        const double part = std::log(variance / lower.small) / std::log(step.large / lower.small);
        auto said = data(x, at);
        said.variance = Tensor<double>::full(x.shape(), 2 * part - 1);
        return said;
    };
    const auto tight = variational_bound(perfect, schedule, x0, {.variance_type = VarianceType::learned_range});
    INFO("tight bound above " << above(tight).mean << " +- " << above(tight).standard_error);
    REQUIRE(std::abs(above(tight).mean) < 3 * above(tight).standard_error);
    REQUIRE(above(tight).standard_error < 0.05);
    // The mean of a term whose variance is too large.
    for (const Index t : {10, 60, 180}) {
        const Posterior step(level(schedule, t), level(schedule, t - 1));
        const double ratio = step.small / step.large, square = step.x0_weight * step.x0_weight * left(t) / step.large;
        const double expected = 0.5 * (-1 - std::log(ratio) + ratio + square) / std::log(2.0);
        INFO("t " << t);
        REQUIRE(bound.terms[static_cast<std::size_t>(t)] == Approx(expected).epsilon(0.12));
    }
}

TEST_CASE("likelihoods refuse what does not fit") {
    const Case c = cases()[3];
    const auto x = Tensor<double>::zeros({2, 2});
    const auto refused = [&](const Levels& levels, LikelihoodOptions options) {
        REQUIRE_THROWS_AS(log_likelihood(network_of(c), x, levels, options), Error);
    };
    Levels bare = c.levels;
    bare.between = {};
    refused(bare, {.prediction_type = c.type});
    refused({}, {.prediction_type = c.type});
    refused(c.levels, {});  // epsilon at pure noise
    refused(c.levels, {.prediction_type = c.type, .probes = 0});
    refused(c.levels, {.prediction_type = c.type, .sigma_min = 1e300});
    const auto wide = [](const Var<double>& z, const Tensor<double>&) { return ops::concat<double>({z, z, z}, 1); };
    REQUIRE_THROWS_AS(log_likelihood(wide, x, c.levels, {.prediction_type = c.type}), Error);
    REQUIRE_THROWS_AS(variational_bound(law(), Schedule(), Tensor<double>::zeros({4})), Error);
}

}  // namespace likelihood_test
