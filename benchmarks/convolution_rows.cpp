// Rows of convolution and its two gradients.
#include <memory>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/packed.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

struct Operands {
    kernels::ConvShape shape;
    Tensor<float> x, weight, y;

    explicit Operands(const Convolution& s)
        : shape{.n = s.n,
                .height = s.height,
                .width = s.width,
                .in = s.in,
                .out = s.out,
                .kernel_h = s.kernel,
                .kernel_w = s.kernel,
                .stride = s.stride,
                .pad_top = s.padding(),
                .pad_left = s.padding(),
                .out_height = s.out_height(),
                .out_width = s.out_width()},
          x(random({s.n, s.height, s.width, s.in}, 1)),
          weight(random({s.out, s.kernel, s.kernel, s.in}, 2)),
          y(random({s.n, s.out_height(), s.out_width(), s.out}, 3)) {}
};

Work forward(const std::string& sizes) {
    const Convolution s(sizes);
    return {.run = [o = Operands(s)]() mutable { kernels::conv2d(o.shape, o.x.data(), o.weight.data(), o.y.data()); },
            .gflop = s.gflop()};
}

// With weights that were packed beforehand, as nn::freeze leaves them; x and y hold such numbers.
template <class Number = float>
Work forward_packed(const std::string& sizes, Precision precision,
                    const std::shared_ptr<kernels::TransformBudget>& budget = nullptr) {
    const Convolution s(sizes);
    const Index taps = s.kernel * s.kernel * s.in;
    const Operands o(s);
    const auto packed = kernels::pack_weights(o.weight.data(), s.out, taps, precision, budget);
    return {.run =
                [=, shape = o.shape, x = random_as<Number>(o.x.shape(), 1), y = Tensor<Number>(o.y.shape())]() mutable {
                    kernels::conv2d_packed(shape, x.data(), packed, y.data());
                },
            .gflop = s.gflop()};
}

Work forward_full(const std::string& sizes) { return forward_packed(sizes, Precision::full); }
Work forward_bf16(const std::string& sizes) { return forward_packed(sizes, kernels::fastest_bf16()); }
Work forward_rounded(const std::string& sizes) { return forward_packed<bf16>(sizes, Precision::bf16_tiles); }
// Keeps the transforms of the weights, whatever they take.
Work forward_kept(const std::string& sizes) {
    return forward_packed(sizes, Precision::full, std::make_shared<kernels::TransformBudget>(Index{1} << 30));
}

Work to_input(const std::string& sizes) {
    const Convolution s(sizes);
    return {.run =
                [o = Operands(s)]() mutable {
                    kernels::conv2d_backward_input(o.shape, o.y.data(), o.weight.data(), o.x.data());
                },
            .gflop = s.gflop()};
}

Work to_weight(const std::string& sizes) {
    const Convolution s(sizes);
    return {.run =
                [o = Operands(s)]() mutable {
                    kernels::conv2d_backward_weight(o.shape, o.x.data(), o.y.data(), o.weight.data(),
                                                    Accumulate::write);
                },
            .gflop = s.gflop()};
}

}  // namespace

std::vector<Family> convolution_families() {
    const std::vector<std::string> trained = {"64x28x28x32_32",  "64x14x14x64_64",    "64x7x7x128_128",
                                              "64x7x7x256_128",  "64x28x28x1_32",     "64x28x28x32_1",
                                              "1x64x64x320_320", "64x28x28x32_64_s2", "64x28x28x96_32_k1"};
    const std::vector<std::string> bf16_sizes = {"1x64x64x320_320",   "1x32x32x640_640",   "1x64x64x512_512",
                                                 "1x16x16x1280_1280", "1x256x256x256_256", "1x512x512x128_128"};
    return {
        {"conv",
         {"1x64x64x320_320",   "2x64x64x320_320",   "1x32x32x640_640",      "2x32x32x640_640",   "1x16x16x1280_1280",
          "2x16x16x1280_1280", "1x8x8x1280_1280",   "2x8x8x1280_1280",      "1x64x64x960_320",   "1x64x64x512_512",
          "1x256x256x256_256", "1x512x512x128_128", "64x28x28x32_32",       "64x14x14x64_64",    "64x7x7x128_128",
          "64x7x7x256_128",    "16x32x32x64_64",    "16x16x16x128_128",     "64x28x28x1_32",     "64x28x28x32_1",
          "1x64x64x4_320",     "1x64x64x320_4",     "1x64x64x320_320_k1",   "64x28x28x96_32_k1", "1x64x64x320_320_s2",
          "64x28x28x32_64_s2", "64x14x14x64_64_s2", "128x28x28x32_64_k4_s2"},
         forward},
        {"packed_conv",
         {"1x64x64x320_320", "1x32x32x640_640", "1x64x64x512_512", "1x16x16x1280_1280", "1x8x8x1280_1280",
          "64x7x7x128_128"},
         forward_full},
        {"bf16_packed_conv", bf16_sizes, forward_bf16},
        {"bf16_rounded_conv", bf16_sizes, forward_rounded},
        {"kept_conv", {"1x64x64x320_320", "1x64x64x512_512", "64x7x7x128_128", "1x28x28x32_32"}, forward_kept},
        {"convinput", trained, to_input},
        {"convweight", trained, to_weight}};
}

}  // namespace benchmarks
