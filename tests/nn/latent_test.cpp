#include "genmod/nn/latent.hpp"

#include <cmath>

#include "tests/support/catch.hpp"

namespace latent_test {

using namespace genmod;
using nn::Way;

TEST_CASE("a latent depends on its key only") {
    const auto few = nn::step_normals<float>({2, 3, 4}, 7, 5), many = nn::step_normals<float>({4, 3, 4}, 7, 5);
    const auto other = nn::step_normals<float>({2, 3, 4}, 7, 6);
    for (Index k = 0; k < few.size(); ++k) REQUIRE(few[k] == many[k]);
    REQUIRE(few[0] != other[0]);
    const auto a = nn::sample_normals<float>({3, 5}, 10), b = nn::sample_normals<float>({1, 5}, 12);
    for (Index k = 0; k < 5; ++k) REQUIRE(a[10 + k] == b[k]);
    REQUIRE(a[0] != a[5]);
}

TEST_CASE("the straight way and the arc between latents") {
    const auto a = Tensor<double>::from({2}, {2, 0}), b = Tensor<double>::from({2}, {0, 2});
    const auto line = nn::interpolation(a, b, 3, Way::linear), arc = nn::interpolation(a, b, 3, Way::spherical);
    REQUIRE(line.shape() == Shape{3, 2});
    REQUIRE(line[2] == 1);
    REQUIRE(line[3] == 1);
    REQUIRE(arc[2] == Approx(std::sqrt(2.0)).epsilon(1e-14));  // half way, and as far out as both ends
    REQUIRE(arc[3] == Approx(std::sqrt(2.0)).epsilon(1e-14));
    for (const auto& way : {line, arc}) {
        REQUIRE(way[0] == Approx(2));
        REQUIRE(way[1] == Approx(0).margin(1e-15));
        REQUIRE(way[4] == Approx(0).margin(1e-15));
        REQUIRE(way[5] == Approx(2));
    }
    const auto third = nn::interpolate(a, b, 1.0 / 3, Way::spherical);  // equal angles
    REQUIRE(std::atan2(third[1], third[0]) == Approx(std::acos(-1.0) / 6).epsilon(1e-13));
}

TEST_CASE("an arc between parallel or opposite latents is a line") {
    const auto a = Tensor<double>::from({2}, {1, 2}), b = Tensor<double>::from({2}, {-1, -2});
    REQUIRE(nn::interpolate(a, a, 0.3, Way::spherical)[0] == Approx(1).epsilon(1e-14));
    REQUIRE(nn::interpolate(a, b, 0.5, Way::spherical)[1] == Approx(0).margin(1e-14));
    const auto zero = Tensor<double>::zeros({2});
    REQUIRE(nn::interpolate(zero, a, 0.5, Way::spherical)[1] == 1);
    REQUIRE_THROWS_AS(nn::interpolate(a, Tensor<double>::zeros({3}), 0.5, Way::linear), Error);
    REQUIRE_THROWS_AS(nn::interpolation(a, b, 1), Error);
}

TEST_CASE("a traversal changes one number") {
    const auto z = Tensor<float>::from({3}, {5, 6, 7});
    const auto way = nn::traversal(z, 1, -2, 2, 5);
    REQUIRE(way.shape() == Shape{5, 3});
    for (Index k = 0; k < 5; ++k) {
        REQUIRE(way[3 * k] == 5);
        REQUIRE(way[3 * k + 1] == static_cast<float>(k - 2));
        REQUIRE(way[3 * k + 2] == 7);
    }
    REQUIRE_THROWS_AS(nn::traversal(z, 3, -1, 1, 5), Error);
}

}  // namespace latent_test
