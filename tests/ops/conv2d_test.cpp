#include "genmod/ops/conv2d.hpp"

#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"
#include "tests/support/naive_conv2d.hpp"

namespace conv2d_test {

using namespace genmod;
using genmod::test::require_gradient;
using genmod::test::require_tangent;
using Vars = std::vector<Var<double>>;

namespace {

// The extent of a convolution's result, by trying where the kernel still fits.
Index positions(Index extent, Index kernel, const ops::Conv2dOptions& options) {
    Index count = 0;
    while (count * options.stride + kernel <= extent + 2 * options.padding + options.end_padding) ++count;
    return count;
}

}  // namespace

TEST_CASE("conv2d adds up products, bias and residual") {
    Rng rng(1);
    for (int round = 0; round < 40; ++round) {
        const ops::Conv2dOptions options{
            .stride = 1 + rng.below(3), .padding = rng.below(3), .end_padding = rng.below(2)};
        const Index kernel_h = 1 + rng.below(4), kernel_w = 1 + rng.below(4), in = 1 + rng.below(6);
        const Index height = kernel_h + rng.below(7), width = kernel_w + rng.below(7), out = 1 + rng.below(6);
        const kernels::ConvShape shape{.n = 2,
                                       .height = height,
                                       .width = width,
                                       .in = in,
                                       .out = out,
                                       .kernel_h = kernel_h,
                                       .kernel_w = kernel_w,
                                       .stride = options.stride,
                                       .pad_top = options.padding,
                                       .pad_left = options.padding,
                                       .out_height = positions(height, kernel_h, options),
                                       .out_width = positions(width, kernel_w, options)};
        const auto x = rng.normals<double>({2, height, width, in});
        const auto w = rng.normals<double>({out, kernel_h, kernel_w, in});
        const auto bias = rng.normals<double>({out});
        const auto residual = rng.normals<double>({2, shape.out_height, shape.out_width, out});
        const auto y = ops::conv2d<double>(x, w, bias, options, residual).value();
        REQUIRE(y.shape() == residual.shape());
        const auto expected = naive::conv2d(shape, x.data(), w.data());
        for (Index k = 0; k < y.size(); ++k) {
            naive::Sum sum = expected[static_cast<std::size_t>(k)];
            sum.add(bias[k % out]);
            sum.add(residual[k]);
            REQUIRE(std::abs(y[k] - sum.value) <= 64 * 0x1p-53 * sum.magnitude);
        }
    }
}

TEST_CASE("gradients and tangents of conv2d") {
    Rng rng(2);
    const auto x = rng.normals<double>({2, 5, 6, 2}), bias = rng.normals<double>({3});
    for (const ops::Conv2dOptions options :
         {ops::Conv2dOptions{.padding = 1}, ops::Conv2dOptions{.stride = 2, .padding = 1},
          ops::Conv2dOptions{.stride = 2, .end_padding = 1}}) {
        const auto w = rng.normals<double>({3, 3, 3, 2});
        require_gradient("conv2d", [&](const Vars& in) { return ops::conv2d(in[0], in[1], in[2], options); },
                         {x, w, bias});
        require_tangent(
            "conv2d", [&](const auto& in) { return ops::conv2d(in, Var<double>(w), Var<double>(bias), options); }, x);
    }
    const auto residual = rng.normals<double>({2, 5, 6, 3});
    require_gradient("conv2d", [](const Vars& in) { return ops::conv2d(in[0], in[1], in[2], {}, in[3]); },
                     {x, rng.normals<double>({3, 1, 1, 2}), bias, residual});
    const auto shift = rng.normals<double>({2, 3});
    require_gradient("conv2d",
                     [](const Vars& in) { return ops::conv2d(in[0], in[1], in[2], {}, Var<double>{}, in[3]); },
                     {x, rng.normals<double>({3, 1, 1, 2}), bias, shift});
    require_gradient(
        "conv2d", [](const Vars& in) { return ops::conv2d(in[0], in[1], Var<double>{}, {.padding = 1}, in[2], in[3]); },
        {x, rng.normals<double>({3, 3, 3, 2}), residual, shift});
}

TEST_CASE("conv2d shifts every pixel of a sample, whichever way it is computed") {
    Rng rng(7);
    for (const Index in : {2, 16})
        for (const Index stride : {1, 2}) {
            const ops::Conv2dOptions options{.stride = stride, .padding = 1};
            const auto x = rng.normals<double>({3, 9, 10, in}), w = rng.normals<double>({12, 3, 3, in}),
                       bias = rng.normals<double>({12}), shift = rng.normals<double>({3, 12});
            const auto plain = ops::conv2d<double>(x, w, bias, options).value();
            const auto residual = rng.normals<double>(plain.shape());
            const auto y = ops::conv2d<double>(x, w, bias, options, residual, shift).value();
            const Index sample = y.size() / 3;
            for (Index k = 0; k < y.size(); ++k) {
                naive::Sum sum;
                for (const double part : {plain[k], residual[k], shift[k / sample * 12 + k % 12]}) sum.add(part);
                REQUIRE(std::abs(y[k] - sum.value) <= 4 * 0x1p-53 * (sum.magnitude + std::abs(bias[k % 12])));
            }
        }
    const auto x = rng.normals<double>({3, 9, 10, 2}), w = rng.normals<double>({12, 3, 3, 2});
    REQUIRE_THROWS_AS(ops::conv2d<double>(x, w, Var<double>{}, {}, Var<double>{}, rng.normals<double>({1, 12})), Error);
}

TEST_CASE("conv_transpose2d is the transposed map of conv2d") {
    Rng rng(3);
    for (int round = 0; round < 30; ++round) {
        const Index stride = 1 + rng.below(3), kernel = stride + rng.below(3), padding = rng.below(kernel / 2 + 1);
        const ops::ConvTranspose2dOptions options{
            .stride = stride, .padding = padding, .output_padding = rng.below(stride)};
        const Index h = 2 + rng.below(4), w = 2 + rng.below(4), in = 1 + rng.below(4), out = 1 + rng.below(4);
        const auto x = rng.normals<double>({2, h, w, in}), weight = rng.normals<double>({in, kernel, kernel, out});
        const auto bias = rng.normals<double>({out});
        const auto y = ops::conv_transpose2d<double>(x, weight, bias, options).value();
        const Index oh = (h - 1) * stride - 2 * padding + kernel + options.output_padding;
        const Index ow = (w - 1) * stride - 2 * padding + kernel + options.output_padding;
        REQUIRE(y.shape() == Shape{2, oh, ow, out});
        // <conv(z), x> = <z, transposed(x)> for any z.
        const auto z = rng.normals<double>(y.shape());
        const auto back = ops::conv2d<double>(z, weight, {}, {.stride = stride, .padding = padding}).value();
        REQUIRE(back.shape() == x.shape());
        double left = 0, right = 0, size = 0;
        for (Index k = 0; k < x.size(); ++k) left += back[k] * x[k];
        for (Index k = 0; k < y.size(); ++k) {
            right += z[k] * (y[k] - bias[k % out]);
            size += std::abs(z[k] * y[k]);
        }
        REQUIRE(std::abs(left - right) < 1e-13 * size);
    }
}

TEST_CASE("gradients and tangents of conv_transpose2d") {
    Rng rng(4);
    const auto x = rng.normals<double>({2, 3, 4, 2}), w = rng.normals<double>({2, 4, 4, 3});
    const auto bias = rng.normals<double>({3});
    for (const ops::ConvTranspose2dOptions options :
         {ops::ConvTranspose2dOptions{}, ops::ConvTranspose2dOptions{.stride = 2, .padding = 1},
          ops::ConvTranspose2dOptions{.stride = 2, .padding = 1, .output_padding = 1}}) {
        require_gradient("conv_transpose2d",
                         [&](const Vars& in) { return ops::conv_transpose2d(in[0], in[1], in[2], options); },
                         {x, w, bias});
        require_tangent(
            "conv_transpose2d",
            [&](const auto& in) { return ops::conv_transpose2d(in, Var<double>(w), Var<double>(bias), options); }, x);
    }
}

TEST_CASE("convolutions refuse what does not fit") {
    const auto zeros = [](const Shape& shape) { return Var<float>(Tensor<float>::zeros(shape)); };
    const Var<float> x = zeros({1, 4, 4, 2}), w = zeros({3, 3, 3, 2}), none;
    REQUIRE_THROWS_AS(ops::conv2d(x, zeros({3, 3, 3, 1}), none), Error);
    REQUIRE_THROWS_AS(ops::conv2d(zeros({4, 4, 2}), w, none), Error);
    REQUIRE_THROWS_AS(ops::conv2d(x, w, zeros({2})), Error);
    REQUIRE_THROWS_AS(ops::conv2d(x, w, none, {.stride = 0}), Error);
    REQUIRE_THROWS_AS(ops::conv2d(x, w, none, {.padding = -1}), Error);
    REQUIRE_THROWS_AS(ops::conv2d(zeros({1, 2, 4, 2}), w, none), Error);
    REQUIRE_THROWS_AS(ops::conv2d(x, w, none, {.padding = 1}, zeros({1, 2, 2, 3})), Error);
    REQUIRE_THROWS_AS(ops::conv_transpose2d(x, zeros({3, 4, 4, 2}), none), Error);
    REQUIRE_THROWS_AS(ops::conv_transpose2d(x, zeros({2, 4, 4, 3}), none, {.output_padding = 1}), Error);
    REQUIRE_THROWS_AS(ops::conv_transpose2d(x, zeros({2, 1, 1, 3}), none, {.padding = 2}), Error);
}

}  // namespace conv2d_test
