// Kernel distance, sliced Wasserstein distance and maximum mean discrepancy against numpy and scipy; likelihoods.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/metrics/kernel_distance.hpp"
#include "genmod/metrics/likelihood.hpp"
#include "genmod/metrics/mean_discrepancy.hpp"
#include "genmod/metrics/sliced_wasserstein.hpp"
#include "tests/support/golden.hpp"

namespace distances_test {

using namespace genmod;
using namespace genmod::metrics;
using genmod::test::Golden;

namespace {

const Golden& golden() {
    static const Golden file("metrics.safetensors");
    return file;
}

double expected(const std::string& key) { return golden().raw<double>(key)[0]; }
Tensor<double> input(const std::string& key) { return golden().raw<double>(key); }

}  // namespace

TEST_CASE("distances between sets agree with numpy and scipy") {
    const auto a = input("a"), b = input("b"), directions = input("directions"), h = input("bandwidths");
    const std::vector<double> bandwidths(h.begin(), h.end());
    REQUIRE(cubic_discrepancy(input("features_a"), input("features_b")) ==
            Approx(expected("kernel_distance")).epsilon(1e-12));
    REQUIRE(sliced_wasserstein(a, b, directions, 1) == Approx(expected("sliced_1")).epsilon(1e-12));
    REQUIRE(sliced_wasserstein(a, b, directions, 2) == Approx(expected("sliced_2")).epsilon(1e-12));
    REQUIRE(mean_discrepancy(a, b) == Approx(expected("mmd_median")).epsilon(1e-12));
    REQUIRE(mean_discrepancy(a, b, {.bandwidths = bandwidths}) == Approx(expected("mmd_mixture")).epsilon(1e-12));
    REQUIRE(mean_discrepancy(a, b, {.bandwidths = bandwidths, .unbiased = false}) ==
            Approx(expected("mmd_biased")).epsilon(1e-12));
}

TEST_CASE("distances are about 0 within one distribution and grow with a shift") {
    Rng rng(1);
    const auto a = rng.normals<float>({400, 2}), b = rng.normals<float>({300, 2});
    auto near = rng.normals<float>({300, 2}), far = rng.normals<float>({300, 2});
    for (float& value : near) value += 0.5f;
    for (float& value : far) value += 2.0f;
    for (const auto& distance :
         {+[](const Tensor<float>&x, const Tensor<float>&y) { return sliced_wasserstein(x, y); },
          +[](const Tensor<float>&x, const Tensor<float>&y) { return mean_discrepancy(x, y); },
          +[](const Tensor<float>&x, const Tensor<float>&y) { return cubic_discrepancy(x, y); }}) {
        const double same = distance(a, b), shifted = distance(a, near), away = distance(a, far);
        REQUIRE(std::abs(same) < 0.4 * shifted);
        REQUIRE(shifted < 0.5 * away);
    }
    // A shift by s moves every projection by s . direction, whose mean square is |s|^2 / 2 in the plane.
    auto moved = a.clone();
    for (float& value : moved) value += 1.0f;
    REQUIRE(sliced_wasserstein(a, moved, {.directions = 4000}) == Approx(1).epsilon(0.03));
}

TEST_CASE("the kernel distance over subsets is the one of all rows, within its standard error") {
    Rng rng(2);
    const auto a = rng.normals<float>({200, 8});
    auto b = rng.normals<float>({150, 8});
    for (float& value : b) value = 1.1f * value + 0.1f;
    const MeanAndError found = kernel_distance(a, b, {.subsets = 50, .subset_size = 40});
    REQUIRE(found.standard_error > 0);
    REQUIRE(std::abs(found.mean - cubic_discrepancy(a, b)) < 4 * found.standard_error);
    const MeanAndError again = kernel_distance(a, b, {.subsets = 50, .subset_size = 40});
    REQUIRE(found.mean == again.mean);
    REQUIRE(kernel_distance(a, b, {.subsets = 1}).standard_error == 0);
}

TEST_CASE("directions have length 1 and depend on their number only") {
    const auto few = random_directions(2, 5, 3), many = random_directions(9, 5, 3);
    for (Index k = 0; k < 10; ++k) REQUIRE(few[k] == many[k]);
    double squares = 0;
    for (Index k = 40; k < 45; ++k) squares += many[k] * many[k];
    REQUIRE(squares == Approx(1).epsilon(1e-14));
}

TEST_CASE("bits per dimension do not depend on the units of a density") {
    // The same density of bytes in -1..1 (127.5 steps per unit), in 0..1 (255), and as bytes (1).
    const double nats = -3;
    const LogLikelihood bytes{.kind = LikelihoodKind::bound, .nats = {nats, nats - 1}, .dims = 2, .per_unit = 1};
    for (const double per_unit : {127.5, 255.0}) {
        LogLikelihood other = bytes;
        other.per_unit = per_unit;
        for (double& value : other.nats) value += 2 * std::log(per_unit);
        REQUIRE(other.bits().mean == Approx(bytes.bits().mean).epsilon(1e-14));
        REQUIRE(other.nats_per_sample().mean == Approx(-3.5).epsilon(1e-13));
        REQUIRE(other.bits().standard_error == Approx(0.5 / (2 * std::log(2.0))).epsilon(1e-13));
    }
    REQUIRE(to_string(bytes) == "-3.50 +- 0.50 nats, 2.5247 +- 0.3607 bits/dim (bound)");
    REQUIRE_THROWS_AS((LogLikelihood{.nats = {1}, .dims = 0}).bits(), Error);
    REQUIRE_THROWS_AS(LogLikelihood{}.bits(), Error);
}

TEST_CASE("sets that have no distance are refused") {
    Rng rng(3);
    const auto a = rng.normals<float>({5, 3}), narrow = rng.normals<float>({5, 2}), one = rng.normals<float>({1, 3});
    auto bad = rng.normals<float>({5, 3});
    bad[4] = std::numeric_limits<float>::quiet_NaN();
    REQUIRE_THROWS_AS(sliced_wasserstein(a, narrow), Error);
    REQUIRE_THROWS_AS(sliced_wasserstein(a, bad), Error);
    REQUIRE_THROWS_AS(sliced_wasserstein(a, a, {.order = 3}), Error);
    REQUIRE_THROWS_AS(mean_discrepancy(a, one), Error);
    REQUIRE_THROWS_AS(mean_discrepancy(a, bad), Error);
    REQUIRE_THROWS_AS(mean_discrepancy(a, a, {.bandwidths = {0}}), Error);
    REQUIRE_THROWS_AS(kernel_distance(a, narrow), Error);
    REQUIRE_THROWS_AS(kernel_distance(a, bad), Error);
    REQUIRE_THROWS_AS(kernel_distance(a, a, {.subsets = 0}), Error);
}

}  // namespace distances_test
