#include "genmod/nn/resample.hpp"

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace resample_test {

using namespace genmod;

TEST_CASE("pictures are halved and doubled") {
    Rng rng(1);
    const nn::Downsample<float> down(3, 5, rng), corner(3, 5, rng, {.symmetric = false});
    const nn::Upsample<float> up(3, 5, rng);
    const auto even = Tensor<float>::zeros({2, 8, 6, 3}), odd = Tensor<float>::zeros({2, 7, 5, 3});
    REQUIRE(down(even).shape() == Shape{2, 4, 3, 5});
    REQUIRE(down(odd).shape() == Shape{2, 4, 3, 5});
    REQUIRE(corner(even).shape() == Shape{2, 4, 3, 5});
    REQUIRE(corner(odd).shape() == Shape{2, 3, 2, 5});
    REQUIRE(up(odd).shape() == Shape{2, 14, 10, 5});
}

TEST_CASE("without symmetric zeros the first window begins at the corner") {
    Rng rng(2);
    nn::Downsample<double> corner(1, 1, rng, {.symmetric = false});
    corner.conv.weight.value().fill(1);
    corner.conv.bias.value().fill(0);
    const auto y = corner(Tensor<double>::full({1, 4, 4, 1}, 1.0)).value();
    REQUIRE(y[0] == 9);
    REQUIRE(y[1] == 6);
    REQUIRE(y[3] == 4);
}

TEST_CASE("gradients and tangents of resampling layers") {
    Rng rng(3);
    const nn::Downsample<double> down(2, 3, rng), corner(2, 3, rng, {.symmetric = false});
    const nn::Upsample<double> up(2, 3, rng);
    const auto x = rng.normals<double>({1, 4, 5, 2});
    const auto check_layer = [&](const auto& layer) {
        test::require_gradient("resample", [&](const auto& in) { return layer(in[0]); }, {x});
        test::require_tangent(
            "resample", [&](const auto& in) { return layer(in); }, x);
    };
    check_layer(down);
    check_layer(corner);
    check_layer(up);
}

}  // namespace resample_test
