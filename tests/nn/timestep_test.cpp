#include "genmod/nn/timestep.hpp"

#include <cmath>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace timestep_test {

using namespace genmod;

TEST_CASE("sinusoids have geometric frequencies") {
    const auto t = Tensor<double>::from({3}, {0, 1.5, 999});
    for (const bool flip : {false, true})
        for (const double shift : {0.0, 1.0}) {
            const auto y = nn::sinusoid_embedding(
                t, 8, {.flip_sin_to_cos = flip, .freq_shift = shift, .max_period = 500, .scale = 2});
            REQUIRE(y.shape() == Shape{3, 8});
            for (Index row = 0; row < 3; ++row)
                for (Index k = 0; k < 4; ++k) {
                    const double angle = 2 * t[row] * std::pow(500, -static_cast<double>(k) / (4 - shift));
                    REQUIRE(y[row * 8 + (flip ? 4 : 0) + k] == Approx(std::sin(angle)).margin(1e-10));
                    REQUIRE(y[row * 8 + (flip ? 0 : 4) + k] == Approx(std::cos(angle)).margin(1e-10));
                }
        }
    REQUIRE(nn::sinusoid_embedding(t, 9)[8] == 0);
    REQUIRE(nn::sinusoid_embedding(t, 2).shape() == Shape{3, 2});
    REQUIRE_THROWS_AS(nn::sinusoid_embedding(t, 1), Error);
    REQUIRE_THROWS_AS(nn::sinusoid_embedding(t, 4, {.freq_shift = 2}), Error);
    REQUIRE_THROWS_AS(nn::sinusoid_embedding(Tensor<double>::zeros({2, 2}), 4), Error);
}

TEST_CASE("random Fourier features are saved, not trained") {
    Rng rng(1);
    const nn::FourierEmbedding<double> embed(5, rng);
    REQUIRE(nn::count(embed) == 0);
    REQUIRE(nn::parameters<double>(embed).empty());
    const auto sigma = Tensor<double>::from({2}, {0.3, 2});
    const auto y = embed(sigma);
    REQUIRE(y.shape() == Shape{2, 10});
    for (Index row = 0; row < 2; ++row)
        for (Index k = 0; k < 5; ++k) {
            const double angle = 2 * std::acos(-1.0) * embed.weight[k] * std::log(sigma[row]);
            REQUIRE(y[row * 10 + k] == Approx(std::sin(angle)).margin(1e-12));
            REQUIRE(y[row * 10 + 5 + k] == Approx(std::cos(angle)).margin(1e-12));
        }
    const nn::FourierEmbedding<double> plain(5, rng, {.log = false, .flip_sin_to_cos = true});
    REQUIRE(plain(sigma)[0] == Approx(std::cos(2 * std::acos(-1.0) * plain.weight[0] * 0.3)).margin(1e-12));
}

TEST_CASE("gradients of the time network") {
    Rng rng(2);
    const nn::TimestepEmbedding<double> net(4, 6, rng);
    const auto x = rng.normals<double>({3, 4});
    test::require_gradient("TimestepEmbedding", [&](const auto& in) { return net(in[0]); }, {x});
    test::require_tangent(
        "TimestepEmbedding", [&](const auto& in) { return net(in); }, x);
}

}  // namespace timestep_test
