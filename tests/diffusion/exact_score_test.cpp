// The exact scores against the definitions: densities and their gradients, moments, quantiles, the flow's own equation.
#include <cmath>
#include <vector>

#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/exact_flow.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "tests/support/catch.hpp"

namespace exact_score_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

const GaussianMixture plane({{.mean = {1, -0.5}, .covariance = {0.3, 0.1, 0.1, 0.2}, .weight = 3},
                             {.mean = {-1, 0.25}, .covariance = {0.05, 0.4}, .weight = 1}});
const GaussianMixture line({{.mean = {-1}, .covariance = {0.04}, .weight = 0.3},
                            {.mean = {0.8}, .covariance = {0.09}, .weight = 0.7}});

// Variance preserving, variance exploding, flow matching, and data without noise.
const std::vector<NoiseLevel> frames{{0.8, 0.6, 1}, {1, 2.5, 1}, {0.3, 0.7, 1}, {1, 0, -1}};

}  // namespace

TEST_CASE("eps is -sigma times the gradient of the log density, and x0 belongs to it, in every frame") {
    const auto x = Rng(1).normals<double>({20, 2});
    for (const NoiseLevel& at : frames) {
        const auto said = plane(x, at);
        for (Index k = 0; k < x.size(); ++k) {
            const double h = 1e-5;
            auto above = x.clone(), below = x.clone();
            above[k] += h;
            below[k] -= h;
            const double slope = (plane.log_density(above, at)[k / 2] - plane.log_density(below, at)[k / 2]) / (2 * h);
            REQUIRE(said.eps[k] == Approx(-at.sigma * slope).epsilon(1e-6).margin(1e-7));
            REQUIRE(x[k] == Approx(at.alpha * said.x0[k] + at.sigma * said.eps[k]).margin(1e-12));
        }
    }
}

TEST_CASE("one Gaussian has the textbook's posterior mean") {
    const auto law = GaussianMixture::normal(0.3, 0.5);
    const auto x = Tensor<float>::from({2, 3}, {-2, -1, 0, 0.5, 1, 4});
    for (const NoiseLevel& at : frames) {
        const auto said = law(x, at);
        for (Index k = 0; k < x.size(); ++k) {
            const double total = at.alpha * at.alpha * 0.25 + at.sigma * at.sigma, off = x[k] - at.alpha * 0.3;
            REQUIRE(said.x0[k] == Approx(0.3 + at.alpha * 0.25 / total * off).epsilon(1e-6));
            REQUIRE(said.eps[k] == Approx(at.sigma / total * off).epsilon(1e-6));
        }
    }
    // Data of no spread: x0 is known, also without noise.
    REQUIRE(GaussianMixture::normal(0.3, 0)(x, {1, 0, -1}).x0[4] == Approx(0.3f));
    REQUIRE(GaussianMixture::normal(0.3, 0)(x, {0.6, 0.8, 9}).eps[0] == Approx((-2 - 0.18) / 0.8));
}

TEST_CASE("the density integrates to one and agrees with the cumulative function") {
    for (const NoiseLevel& at : frames) {
        double sum = 0, mean = 0;
        const double step = 0.02;
        for (double value = -20; value < 20; value += step) {
            const auto x = Tensor<double>::full({1, 1}, value + step / 2);
            const double mass = std::exp(line.log_density(x, at)[0]) * step;
            sum += mass;
            mean += mass * x[0];
            if (std::fabs(value) < 3)
                REQUIRE(cumulative(line, value + step, at) - cumulative(line, value, at) ==
                        Approx(mass).epsilon(1e-2).margin(1e-6));
        }
        REQUIRE(sum == Approx(1).epsilon(1e-6));
        REQUIRE(mean == Approx(at.alpha * mean_of(line)).epsilon(1e-6));
    }
    REQUIRE(upper_tail(line, 0.9) == Approx(1 - cumulative(line, 0.9)));
    for (const double p : {1e-9, 0.01, 0.29, 0.3, 0.31, 0.5, 0.99, 1 - 1e-9})
        REQUIRE(cumulative(line, quantile(line, p)) == Approx(p).epsilon(1e-9));
    REQUIRE_THROWS_AS(quantile(line, 0), Error);
    REQUIRE_THROWS_AS(cumulative(plane, 0), Error);
}

TEST_CASE("draws have the law's moments and shares") {
    const Index count = 40000;
    Rng rng(5);
    const auto points = plane.draw(count, rng);
    REQUIRE(points.shape() == Shape{count, 2});
    for (const std::vector<double>& way : std::vector<std::vector<double>>{{1, 0}, {0, 1}, {0.6, -0.8}}) {
        const GaussianMixture shadow = project(plane, way);
        const double variance = central_moment(shadow, 2), fourth = central_moment(shadow, 4);
        double mean = 0, square = 0, below = 0;
        for (Index k = 0; k < count; ++k) {
            const double value = way[0] * points[2 * k] + way[1] * points[2 * k + 1];
            mean += value / count;
            square += (value - mean_of(shadow)) * (value - mean_of(shadow)) / count;
            below += value <= 0.1 ? 1.0 / count : 0;
        }
        REQUIRE(std::fabs(mean - mean_of(shadow)) < 5 * std::sqrt(variance / count));
        REQUIRE(std::fabs(square - variance) < 5 * std::sqrt((fourth - variance * variance) / count));
        REQUIRE(std::fabs(below - cumulative(shadow, 0.1)) < 5 * 0.5 / std::sqrt(count));
    }
    const auto shares = plane.shares(points);
    REQUIRE(shares.shape() == Shape{count, 2});
    double first = 0;
    for (Index k = 0; k < count; ++k) {
        REQUIRE(shares[2 * k] + shares[2 * k + 1] == Approx(1));
        first += shares[2 * k] / count;
    }
    REQUIRE(std::fabs(first - 0.75) < 5 * std::sqrt(0.75 * 0.25 / count));
    Rng again(5);
    REQUIRE(plane.draw<float>(3, again)[5] == static_cast<float>(points[5]));
}

TEST_CASE("the exact flow solves dx/dsigma = eps, keeps the law, and goes back") {
    const auto check_flow = [](const GaussianMixture& law, const Tensor<double>& x, const NoiseLevel& from,
                               const NoiseLevel& to) {
        // Runge and Kutta's method of order 4 for y = x / alpha over sigma / alpha.
        const int steps = 4000;
        const double h = (sigma_ve(to) - sigma_ve(from)) / steps;
        auto y = combine(1 / from.alpha, x, 0, x);
        const auto slope = [&](const Tensor<double>& at, double sigma) { return law(at, {1, sigma, 0}).eps; };
        for (int k = 0; k < steps; ++k) {
            const double sigma = sigma_ve(from) + k * h;
            const auto a = slope(y, sigma), b = slope(combine(1, y, h / 2, a), sigma + h / 2);
            const auto c = slope(combine(1, y, h / 2, b), sigma + h / 2), d = slope(combine(1, y, h, c), sigma + h);
            y = combine(1, combine(1, y, h / 6, combine(1, a, 2, b)), h / 6, combine(1, d, 2, c));
        }
        const auto there = exact_flow(law, x, from, to), back = exact_flow(law, there, to, from);
        for (Index k = 0; k < x.size(); ++k) {
            REQUIRE(there[k] == Approx(to.alpha * y[k]).epsilon(1e-8).margin(1e-9));
            REQUIRE(back[k] == Approx(x[k]).epsilon(1e-9).margin(1e-9));
        }
    };
    const auto x = Rng(3).normals<double>({6, 1});
    check_flow(line, x, {0.6, 0.8, 9}, {1, 0.05, 1});
    check_flow(line, x, {0.3, 0.7, 9}, {0.9, 0.1, 1});
    const GaussianMixture one({{.mean = {1, -0.5}, .covariance = {0.3, 0.1, 0.1, 0.2}}});
    check_flow(one, Rng(4).normals<double>({5, 2}), {0.6, 0.8, 9}, {1, 0, -1});
    // From pure noise, where there is no x / alpha.
    REQUIRE(exact_flow(GaussianMixture::normal(0.3, 0.5), x, {0, 1, 9}, {})[2] == Approx(0.3 + 0.5 * x[2]));
    REQUIRE_THROWS_AS(exact_flow(plane, Rng(1).normals<double>({2, 2}), {0.6, 0.8, 9}, {}), Error);
}

TEST_CASE("what is no Gaussian is an error") {
    using Components = std::vector<GaussianComponent>;
    for (const Components& wrong : {Components{},
                                    {{.mean = {}}},
                                    {{.mean = {0, 0}, .covariance = {1}}},
                                    {{.covariance = {-1}}},
                                    {{.mean = {0, 0}, .covariance = {1, 0.5, 0.4, 1}}},
                                    {{.mean = {0, 0}, .covariance = {1, 2, 2, 1}}},
                                    {{.weight = 0}},
                                    {{.mean = {NAN}}},
                                    {{.mean = {0}}, {.mean = {0, 0}, .covariance = {1, 1}}}})
        REQUIRE_THROWS_AS(GaussianMixture(wrong), Error);
    REQUIRE_THROWS_AS(plane(Tensor<double>::zeros({2, 3}), NoiseLevel{}), Error);
    REQUIRE_THROWS_AS(GaussianMixture::normal(0, 0).log_density(Tensor<double>::zeros({1, 1})), Error);
    REQUIRE_THROWS_AS(project(plane, {1}), Error);
}

}  // namespace exact_score_test
