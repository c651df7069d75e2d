// Layers with weights: first values, and that they hand everything to their ops.
#include "genmod/nn/linear.hpp"

#include <cmath>

#include "genmod/autograd/dual.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/init.hpp"
#include "tests/support/catch.hpp"

namespace linear_test {

using namespace genmod;

namespace {

// Mean, mean square and largest magnitude.
struct Moments {
    double mean = 0, square = 0, largest = 0;
    explicit Moments(const Tensor<float>& x) {
        for (const float value : x) {
            mean += value / static_cast<double>(x.size());
            square += static_cast<double>(value) * value / static_cast<double>(x.size());
            largest = std::max(largest, std::fabs(static_cast<double>(value)));
        }
    }
};

}  // namespace

TEST_CASE("weights begin uniformly within one over the root of the inputs, as PyTorch's") {
    Rng rng(1);
    const nn::Linear<float> linear(64, 300, rng);
    const nn::Conv2d<float> conv(16, 50, rng, {.kernel = 3});
    const nn::ConvTranspose2d<float> transposed(50, 16, rng, {.kernel = 3});
    const auto check_uniform = [](const Tensor<float>& x, double fan_in) {
        const Moments moments(x);
        const double bound = 1 / std::sqrt(fan_in);
        REQUIRE(moments.largest <= bound);
        REQUIRE(moments.largest > 0.99 * bound);
        REQUIRE(std::fabs(moments.mean) < 4 * bound / std::sqrt(3.0 * static_cast<double>(x.size())));
        REQUIRE(moments.square == Approx(bound * bound / 3).epsilon(0.05));
    };
    check_uniform(linear.weight.value(), 64);
    check_uniform(conv.weight.value(), 144);
    check_uniform(transposed.weight.value(), 144);
    REQUIRE(Moments(linear.bias.value()).largest <= 1.0 / 8);
    const auto normal = nn::normal_parameter<float>({200, 100}, 0.02, rng);
    REQUIRE(std::sqrt(Moments(normal.value()).square) == Approx(0.02).epsilon(0.03));
    REQUIRE(nn::constant_parameter<float>({3}, 0.5).value()[2] == 0.5f);
    REQUIRE_THROWS_AS(nn::Linear<float>(0, 3, rng), Error);
}

TEST_CASE("the same seed gives the same weights, whatever the sizes of the layers before") {
    Rng a(5), b(5), c(6);
    const nn::Linear<float> first_a(3, 4, a), first_b(30, 40, b), first_c(3, 4, c);
    const nn::Linear<float> second_a(3, 4, a), second_b(3, 4, b), second_c(3, 4, c);
    REQUIRE(second_a.weight.value()[7] == second_b.weight.value()[7]);
    REQUIRE(second_a.weight.value()[7] != second_c.weight.value()[7]);
    REQUIRE(second_a.weight.value()[7] != first_a.weight.value()[7]);
}

TEST_CASE("layers apply their weights to tensors, variables and duals") {
    Rng rng(2);
    const nn::Linear<double> linear(2, 1, rng, {.bias = false});
    const auto x = Tensor<double>::from({1, 2}, {3, 4});
    const double expected = 3 * linear.weight.value()[0] + 4 * linear.weight.value()[1];
    REQUIRE(linear(x).item() == Approx(expected));
    const Dual<double> moved(x, x);
    REQUIRE(linear(moved).tangent.item() == Approx(expected));

    const nn::Conv2d<double> conv(2, 3, rng, {.kernel = 3, .stride = 2, .padding = 1});
    const auto image = rng.normals<double>({1, 5, 7, 2});
    const auto y = conv(image).value();
    REQUIRE(y.shape() == Shape{1, 3, 4, 3});
    const auto residual = rng.normals<double>(y.shape());
    REQUIRE(conv(image, residual).value()[5] == Approx(y[5] + residual[5]));
    const Dual<double> moved_image(image, image);
    REQUIRE(conv(moved_image).tangent.value()[4] == Approx(y[4] - conv.bias.value()[1]));
    const nn::ConvTranspose2d<double> up(3, 2, rng);
    REQUIRE(up(y).shape() == Shape{1, 6, 8, 2});
    REQUIRE(up(Dual<double>(y, y)).tangent.shape() == Shape{1, 6, 8, 2});
}

}  // namespace linear_test
