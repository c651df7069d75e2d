#include "genmod/metrics/frechet.hpp"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace frechet_test {

using namespace genmod;
using namespace genmod::metrics;

namespace {

FeatureMoments<double> gaussian(std::initializer_list<double> mean, std::vector<double> covariance) {
    const auto d = static_cast<Index>(mean.size());
    return {Tensor<double>::from({d}, mean), Tensor<double>::from({d, d}, covariance)};
}

}  // namespace

TEST_CASE("the Frechet distance of known Gaussians") {
    REQUIRE(frechet_distance(gaussian({1}, {4}), gaussian({3}, {9})) == Approx(4 + 1).epsilon(1e-14));
    // Diagonal: the sum over features of (m1 - m2)^2 + (s1 - s2)^2.
    REQUIRE(frechet_distance(gaussian({0, 1}, {1, 0, 0, 4}), gaussian({2, 1}, {9, 0, 0, 16})) ==
            Approx(4 + 4 + 4).epsilon(1e-13));
    // trace((a b)^(1/2)) of two 2x2 matrices is sqrt(trace(a b) + 2 sqrt(det(a b))).
    const double trace = 2 * 3 + 2 * 1 * 0.5 + 2 * 1, det = (2 * 2 - 1) * (3 * 1 - 0.25);
    REQUIRE(frechet_distance(gaussian({0, 0}, {2, 1, 1, 2}), gaussian({0, 0}, {3, 0.5, 0.5, 1})) ==
            Approx(4 + 4 - 2 * std::sqrt(trace + 2 * std::sqrt(det))).epsilon(1e-13));
}

TEST_CASE("equal features are at no distance, and order does not matter") {
    Rng rng(1);
    const auto a = rng.normals<float>({300, 20}), b = rng.uniforms<float>({200, 20});
    REQUIRE(frechet_distance(a, a) < 1e-10);
    REQUIRE(frechet_distance(a, b) == Approx(frechet_distance(b, a)).epsilon(1e-10));
    REQUIRE(frechet_distance(a, b) > 1);
}

TEST_CASE("a shift and a stretch are measured") {
    Rng rng(2);
    const auto a = rng.normals<double>({500, 8});
    auto b = a.clone();
    for (double& value : b) value = 3 * value + 0.5;
    const FeatureMoments<double> moments = feature_moments(a);
    double expected = 0;
    for (Index k = 0; k < 8; ++k) expected += std::pow(2 * moments.mean[k] + 0.5, 2) + 4 * moments.covariance[k * 9];
    REQUIRE(frechet_distance(a, b) == Approx(expected).epsilon(1e-11));
}

TEST_CASE("moments are the sample's, unbiased") {
    const auto moments = feature_moments(Tensor<float>::from({3, 2}, {1, 2, 3, 6, 5, 4}));
    REQUIRE(moments.mean[0] == 3);
    REQUIRE(moments.mean[1] == 4);
    REQUIRE(moments.covariance[0] == Approx(4));
    REQUIRE(moments.covariance[1] == Approx(2));
    REQUIRE(moments.covariance[2] == Approx(2));
    REQUIRE(moments.covariance[3] == Approx(4));
}

TEST_CASE("features of fewer samples than dimensions have a distance") {
    Rng rng(3);
    const auto a = rng.normals<float>({5, 40}), b = rng.normals<float>({6, 40});
    REQUIRE(frechet_distance(a, a) < 1e-9);
    REQUIRE(frechet_distance(a, b) > 1);
}

TEST_CASE("features that do not fit are refused") {
    Rng rng(4);
    REQUIRE_THROWS_AS(feature_moments(rng.normals<float>({1, 3})), Error);
    REQUIRE_THROWS_AS(frechet_distance(rng.normals<float>({5, 3}), rng.normals<float>({5, 4})), Error);
    auto bad = rng.normals<float>({5, 3});
    bad[7] = std::numeric_limits<float>::quiet_NaN();
    REQUIRE_THROWS_AS(feature_moments(bad), Error);
}

TEST_CASE("fewer samples than features have a distance, too") {
    const Index d = 128;
    Rng rng(7);
    const auto few = rng.normals<double>({3, d}), many = rng.normals<double>({400, d});
    const auto a = metrics::feature_moments(few), b = metrics::feature_moments(many);
    const double distance = metrics::frechet_distance(a, b);
    REQUIRE(std::abs(distance - metrics::frechet_distance(b, a)) <= 1e-6 * distance);
    REQUIRE(metrics::frechet_distance(a, a) <= 1e-5);
    // With two samples the covariance is v v^T / 2, and the trace of the root is sqrt(v^T B v / 2).
    const auto two = metrics::feature_moments(few.slice(0, 2));
    double sum = 0, form = 0;
    for (Index i = 0; i < d; ++i) {
        const double difference = two.mean[i] - b.mean[i], v = few[i] - few[d + i];
        sum += difference * difference + two.covariance[i * (d + 1)] + b.covariance[i * (d + 1)];
        for (Index j = 0; j < d; ++j) form += v * b.covariance[i * d + j] * (few[j] - few[d + j]) / 2;
    }
    const double expected = sum - 2 * std::sqrt(form);
    REQUIRE(std::abs(metrics::frechet_distance(two, b) - expected) <= 1e-6 * expected);
}

}  // namespace frechet_test
