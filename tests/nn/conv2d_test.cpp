#include "genmod/nn/conv2d.hpp"

#include "genmod/core/rng.hpp"
#include "genmod/optim/sgd.hpp"
#include "tests/support/catch.hpp"

namespace conv2d_test {

using namespace genmod;

// Built for AVX-512, g++ 12.2 passes an aggregate of constants that begins with equal numbers and ends in zeros, like
// {1, 1, 0, 0}, by value with no zeros in it. Options go by reference for that reason.
TEST_CASE("options that are constants arrive as they were given") {
    Rng rng(1);
    const nn::Conv2d<float> pointwise(3, 2, rng, {.kernel = 1});
    CHECK(pointwise.options.stride == 1);
    CHECK(pointwise.options.padding == 0);
    CHECK(pointwise.options.end_padding == 0);
    REQUIRE(pointwise(Tensor<float>::zeros({1, 5, 4, 3})).shape() == Shape{1, 5, 4, 2});
    const nn::ConvTranspose2d<float> doubling(3, 2, rng, {.kernel = 2, .stride = 2, .padding = 0});
    CHECK(doubling.options.padding == 0);
    CHECK(doubling.options.output_padding == 0);
    REQUIRE(doubling(Tensor<float>::zeros({1, 5, 4, 3})).shape() == Shape{1, 10, 8, 2});
    const optim::Sgd<float> descent(pointwise, {.lr = 0.5, .momentum = 0.5});
    CHECK(descent.options.weight_decay == 0);
    CHECK(!descent.options.nesterov);
}

}  // namespace conv2d_test
