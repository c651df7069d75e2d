// Where sampling takes its noise from: Brownian motion over the levels, and generators in the order of the calls.
#include "genmod/diffusion/noise.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng_cuda.hpp"
#include "genmod/core/rng_torch.hpp"
#include "genmod/diffusion/brownian.hpp"
#include "genmod/diffusion/drawn_noise.hpp"
#include "tests/support/catch.hpp"

namespace noise_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double mean_product(const Tensor<double>& a, const Tensor<double>& b) {
    double sum = 0;
    for (Index k = 0; k < a.size(); ++k) sum += a[k] * b[k];
    return sum / static_cast<double>(a.size());
}

Tensor<double> between(const SeededNoise& noise, const Shape& shape, double from, double to) {
    return noise.brownian<double>(shape, from, to, 0, 0);
}

double root_time(double from, double to) {
    return std::sqrt(std::abs(static_cast<double>(brownian_time(to) - brownian_time(from))));
}

}  // namespace

TEST_CASE("Brownian increments are standard normal, and independent where steps do not overlap") {
    const SeededNoise noise({7});
    const Shape shape{1, 4000};
    const std::vector<double> sigmas{infinity, 80, 14.6, 3.1, 3.0999, 1, 0.5, 0.02, 0.002, 0};
    std::vector<Tensor<double>> steps;
    for (std::size_t k = 0; k + 1 < sigmas.size(); ++k)
        steps.push_back(between(noise, shape, sigmas[k], sigmas[k + 1]));
    const double root = std::sqrt(4000.0);
    for (std::size_t a = 0; a < steps.size(); ++a) {
        CHECK(std::abs(mean_product(steps[a], Tensor<double>::full(shape, 1))) < 4 / root);
        CHECK(std::abs(mean_product(steps[a], steps[a]) - 1) < 4 * std::sqrt(2.0) / root);
        for (std::size_t b = 0; b < a; ++b) CHECK(std::abs(mean_product(steps[a], steps[b])) < 4 / root);
    }
    // Steps that overlap are correlated by the root of the common share.
    const auto whole = between(noise, shape, 80, 1), part = between(noise, shape, 3, 1);
    CHECK(std::abs(mean_product(whole, part) - root_time(3, 1) / root_time(80, 1)) < 4 / root);
}

TEST_CASE("Brownian increments of parts add up to those of the whole, in any number of steps and both ways") {
    const SeededNoise noise({1, 2});
    const Shape shape{2, 3, 3, 2};
    for (const int parts : {2, 7, 100}) {
        Tensor<double> sum = Tensor<double>::zeros(shape);
        for (int k = 0; k < parts; ++k) {
            const double from = 14.6 * std::pow(1e-3, static_cast<double>(k) / parts);
            const double to = 14.6 * std::pow(1e-3, static_cast<double>(k + 1) / parts);
            const auto step = between(noise, shape, from, to), back = between(noise, shape, to, from);
            for (Index i = 0; i < sum.size(); ++i) {
                REQUIRE(back[i] == -step[i]);
                sum[i] += step[i] * root_time(from, to);
            }
        }
        const auto whole = between(noise, shape, 14.6, 0.0146);
        for (Index i = 0; i < sum.size(); ++i)
            REQUIRE(std::abs(sum[i] - whole[i] * root_time(14.6, 0.0146)) < 1e-5 * root_time(14.6, 0.0146));
    }
}

TEST_CASE("a Brownian picture is the same alone and in a batch, for any number of threads, and in every call") {
    const std::vector<std::uint64_t> seeds{5, 6, 7};
    const auto batch = SeededNoise(seeds).brownian<float>({3, 5}, 2, 1, 0, 0);
    for (Index k = 0; k < 3; ++k) {
        const auto alone = SeededNoise({seeds[static_cast<std::size_t>(k)]}).brownian<float>({1, 5}, 2, 1, 9, 4);
        for (Index i = 0; i < 5; ++i) REQUIRE(alone[i] == batch[k * 5 + i]);
    }
    const Threads one(1);
    const auto serial = SeededNoise(seeds).brownian<float>({3, 5}, 2, 1, 0, 0);
    for (Index i = 0; i < 15; ++i) REQUIRE(serial[i] == batch[i]);
    REQUIRE(batch[0] != batch[5]);
}

TEST_CASE("Brownian motion refuses what is not a step") {
    const SeededNoise noise({5});
    REQUIRE_THROWS_AS(between(noise, {1, 2}, -1, 1), Error);
    REQUIRE_THROWS_AS(between(noise, {1, 2}, 1, std::nan("")), Error);
    REQUIRE_THROWS_AS(between(noise, {1, 2}, 1, 1), Error);
    REQUIRE_THROWS_AS(between(noise, {2, 2}, 1, 2), Error);
    REQUIRE_NOTHROW(between(noise, {1, 2}, infinity, 0));
}

TEST_CASE("steps within one cell of the Brownian grid have normals of their own") {
    const SeededNoise noise({7});
    const Shape shape{1, 4000};
    REQUIRE(brownian_time(1) == brownian_time(1.00001));
    const auto a = between(noise, shape, 1, 1.000005), b = between(noise, shape, 1.000005, 1.00001);
    const double root = std::sqrt(4000.0);
    CHECK(std::abs(mean_product(a, a) - 1) < 4 * std::sqrt(2.0) / root);
    CHECK(std::abs(mean_product(b, b) - 1) < 4 * std::sqrt(2.0) / root);
    CHECK(std::abs(mean_product(a, b)) < 4 / root);
}

TEST_CASE("given noise and a step's noise pass Brownian draws on in their order") {
    GivenNoise<double> given{{Tensor<double>::full({1, 2}, 3), Tensor<double>::full({1, 2}, 4)}, 2};
    StepNoise step(given, 0);
    REQUIRE(step.normals<double>({1, 2})[0] == 3);
    REQUIRE(step.brownian<double>({1, 2}, 5, 4)[1] == 4);
    const SeededNoise seeded({5});
    StepNoise of_seed(seeded, 3);
    REQUIRE(of_seed.brownian<double>({1, 2}, 5, 4)[1] == between(seeded, {1, 2}, 5, 4)[1]);
}

TEST_CASE("one generator draws the batch at once, a list draws picture by picture, both with channels first") {
    DrawnNoise<TorchGenerator> one({TorchGenerator(3)});
    TorchGenerator plain(3);
    for (const bool first : {true, false}) {
        const auto x = first ? one.start<float>({2, 3, 5, 4}) : one.normals<float>({2, 3, 5, 4}, 0, 0);
        const auto drawn = plain.randn<float>({2, 4, 3, 5});
        for (Index n = 0; n < 2; ++n)
            for (Index p = 0; p < 15; ++p)
                for (Index c = 0; c < 4; ++c) REQUIRE(x[(n * 15 + p) * 4 + c] == drawn[(n * 4 + c) * 15 + p]);
    }
    DrawnNoise<TorchGenerator> list(generators_from<TorchGenerator>(3, 2));
    const auto x = list.start<float>({2, 3, 5, 4});
    for (Index n = 0; n < 2; ++n) {
        DrawnNoise<TorchGenerator> alone({TorchGenerator(3 + static_cast<std::uint64_t>(n))});
        const auto own = alone.start<float>({1, 3, 5, 4});
        for (Index k = 0; k < own.size(); ++k) REQUIRE(x[n * own.size() + k] == own[k]);
    }
    DrawnNoise<TorchGenerator> delta(generators_from<TorchGenerator>(3, 1), generators_from<TorchGenerator>(31340, 1));
    REQUIRE(delta.start<float>({1, 2})[0] == TorchGenerator(3).randn<float>({2})[0]);
    REQUIRE(delta.normals<float>({1, 2}, 0, 0)[0] == TorchGenerator(31340).randn<float>({2})[0]);
    REQUIRE_THROWS_AS(list.start<float>({3, 3, 5, 4}), Error);
    REQUIRE_THROWS_AS(DrawnNoise<TorchGenerator>({}), Error);
}

TEST_CASE("drawn noise may be of another type than the pictures, and of a card") {
    DrawnNoise<TorchGenerator, f16> half({TorchGenerator(3)});
    const auto drawn = TorchGenerator(3).randn<f16>({1, 20});
    const auto x = half.start<double>({1, 20});
    for (Index k = 0; k < 20; ++k) REQUIRE(x[k] == static_cast<double>(to_float(drawn[k])));
    const CudaCard card{.multiprocessors = 1, .threads_per_multiprocessor = 256};
    DrawnNoise<CudaGenerator> cuda(generators_from<CudaGenerator>(3, 1, card));
    REQUIRE(cuda.start<float>({1, 300})[299] == CudaGenerator(3, card).randn<float>({300})[299]);
    REQUIRE(cuda.generators()[0].state().offset == 4);
}

TEST_CASE("drawn noise takes Brownian motions of the seeds, and leaves the generators alone") {
    DrawnNoise<TorchGenerator> one({TorchGenerator(5)}), list(generators_from<TorchGenerator>(5, 2));
    const auto expected = between(SeededNoise({5, 6}), {2, 3}, 4, 1);
    const auto a = one.brownian<double>({2, 3}, 4, 1, 0, 0), b = list.brownian<double>({2, 3}, 4, 1, 0, 0);
    for (Index k = 0; k < 6; ++k) {
        REQUIRE(a[k] == expected[k]);
        REQUIRE(b[k] == expected[k]);
    }
    REQUIRE(one.generators()[0].state().drawn == 0);
}

}  // namespace noise_test
