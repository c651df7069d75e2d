// Convolution and its gradients against their definitions, and their promise that bits depend on one sample alone.
#include "genmod/kernels/conv2d.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/memory.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/naive_conv2d.hpp"
#include "tests/support/random_numbers.hpp"

namespace conv2d_test {

using namespace genmod;
using genmod::test::numbers;
using genmod::test::pick;
using genmod::test::Random;
using kernels::ConvShape;
using kernels::Epilogue;

namespace {

Index x_size(const ConvShape& s) { return s.n * s.height * s.width * s.in; }
Index y_size(const ConvShape& s) { return s.n * s.out_height * s.out_width * s.out; }
Index weight_size(const ConvShape& s) { return s.out * s.kernel_h * s.kernel_w * s.in; }

ConvShape with_output(ConvShape s, Index pad_bottom, Index pad_right) {
    s.out_height = (s.height + s.pad_top + pad_bottom - s.kernel_h) / s.stride + 1;
    s.out_width = (s.width + s.pad_left + pad_right - s.kernel_w) / s.stride + 1;
    return s;
}

ConvShape any_shape(Random& random) {
    ConvShape s;
    s.n = pick(random, {1, 2, 3});
    s.kernel_h = pick(random, {1, 2, 3, 4, 5});
    s.kernel_w = random() % 4 == 0 ? pick(random, {1, 2, 3, 7}) : s.kernel_h;
    s.stride = pick(random, {1, 1, 2, 2, 3});
    s.pad_top = static_cast<Index>(random() % static_cast<unsigned>(s.kernel_h));
    s.pad_left = static_cast<Index>(random() % static_cast<unsigned>(s.kernel_w));
    const Index pad_bottom = static_cast<Index>(random() % static_cast<unsigned>(s.kernel_h));
    s.height = s.kernel_h + pick(random, {0, 1, 2, 4, 5, 9});
    s.width = s.kernel_w + pick(random, {0, 1, 3, 4, 7, 13});
    s.in = pick(random, {1, 2, 3, 4, 5, 8, 15, 16, 17, 32, 33, 48});
    s.out = pick(random, {1, 2, 3, 4, 7, 16, 17, 31, 32, 33, 40, 65});
    return with_output(s, pad_bottom, s.pad_left);
}

// 3x3, stride 1: the shapes that may be convolved after a transformation.
ConvShape small_kernel(Random& random) {
    ConvShape s;
    s.n = pick(random, {1, 2, 3});
    s.height = pick(random, {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14});
    s.width = pick(random, {1, 2, 3, 4, 5, 7, 8, 12, 13});
    s.in = pick(random, {8, 15, 16, 17, 32, 33, 48, 70});
    s.out = pick(random, {8, 16, 17, 31, 32, 33, 40, 65, 96});
    s.pad_top = pick(random, {1, 1, 1, 0, 2});
    s.pad_left = pick(random, {1, 1, 1, 0, 2});
    const Index pad_bottom = s.height + s.pad_top < 3 ? 2 : pick(random, {1, 1, 0, 2});
    const Index pad_right = s.width + s.pad_left < 3 ? 2 : pick(random, {1, 1, 0, 2});
    return with_output(s, pad_bottom, pad_right);
}

// 3x3, stride 1, of small pictures with many channels, which go another way alone than with others.
ConvShape many_channels(Random& random) {
    ConvShape s{.n = pick(random, {1, 2, 5}), .pad_top = 1, .pad_left = 1};
    s.height = pick(random, {4, 5, 8});
    s.width = pick(random, {4, 7, 8});
    s.in = pick(random, {128, 130, 161});
    s.out = pick(random, {128, 131, 160});
    return with_output(s, 1, 1);
}

std::string text(const ConvShape& s) {
    return message("n ", s.n, ", ", s.height, "x", s.width, "x", s.in, " -> ", s.out_height, "x", s.out_width, "x",
                   s.out, ", kernel ", s.kernel_h, "x", s.kernel_w, ", stride ", s.stride, ", pad ", s.pad_top, " ",
                   s.pad_left);
}

// The largest error in units of eps * sum of absolute products. Winograd's errors follow the sums of a whole tile, so
// there an output with few products (at a border) counts as having at least `share` of the largest sum.
template <class T>
double error(const std::vector<T>& result, const std::vector<naive::Sum>& sums, const Epilogue<T>& epilogue,
             Index columns, const std::vector<T>& before, double share) {
    double worst = 0, largest = 0;
    for (const naive::Sum& sum : sums) largest = std::max(largest, sum.magnitude);
    for (std::size_t at = 0; at < result.size(); ++at) {
        const auto index = static_cast<Index>(at);
        naive::Sum sum = sums[at];
        sum.magnitude = std::max(sum.magnitude, share * largest);
        const naive::Sum expected = naive::finish(sum, epilogue, index % columns, index, before[at]);
        const double unit = static_cast<double>(std::numeric_limits<T>::epsilon()) * (expected.magnitude + 1e-30);
        const double difference = std::abs(static_cast<double>(result[at]) - expected.value) / unit;
        worst = difference <= worst ? worst : difference;
    }
    return worst;
}

template <class T>
struct Problem {
    ConvShape shape;
    std::vector<T> x, weight, dy, x_bias, y_bias, x_residual, y_residual;
    Epilogue<T> forward, backward;

    Problem(Random& random, const ConvShape& conv_shape, unsigned parts)
        : shape(conv_shape),
          x(numbers<T>(random, x_size(shape))),
          weight(numbers<T>(random, weight_size(shape))),
          dy(numbers<T>(random, y_size(shape))),
          x_bias(numbers<T>(random, shape.in)),
          y_bias(numbers<T>(random, shape.out)),
          x_residual(numbers<T>(random, x_size(shape))),
          y_residual(numbers<T>(random, y_size(shape))) {
        if ((parts & 1) != 0) {
            forward.bias = y_bias.data();
            backward.bias = x_bias.data();
        }
        if ((parts & 2) != 0) {
            forward.residual = y_residual.data();
            backward.residual = x_residual.data();
        }
        if ((parts & 4) != 0) forward.scale = backward.scale = T(0.37);
        if ((parts & 8) != 0) forward.mode = backward.mode = Accumulate::add;
    }

    // The results of all three kernels; dy and x lie there before, for mode add.
    std::vector<T> y() const {
        std::vector<T> result = dy;
        kernels::conv2d(shape, x.data(), weight.data(), result.data(), forward);
        return result;
    }
    std::vector<T> dx() const {
        std::vector<T> result = x;
        kernels::conv2d_backward_input(shape, dy.data(), weight.data(), result.data(), backward);
        return result;
    }
    std::vector<T> dweight() const {
        std::vector<T> result = weight;
        kernels::conv2d_backward_weight(shape, x.data(), dy.data(), result.data(), forward.mode);
        return result;
    }

    void check(double tolerance, double share = 0) const {
        INFO(text(shape) << ", mode " << static_cast<int>(forward.mode));
        const Epilogue<T> plain{.mode = forward.mode};
        const auto y_sums = naive::conv2d(shape, x.data(), weight.data());
        const auto dx_sums = naive::conv2d_backward_input(shape, dy.data(), weight.data());
        const auto dweight_sums = naive::conv2d_backward_weight(shape, x.data(), dy.data());
        CHECK(error(y(), y_sums, forward, shape.out, dy, share) <= tolerance);
        CHECK(error(dx(), dx_sums, backward, shape.in, x, share) <= tolerance);
        CHECK(error(dweight(), dweight_sums, plain, weight_size(shape), weight, share) <= tolerance);
    }
};

}  // namespace

constexpr double winograd_share = 0.25;

TEMPLATE_TEST_CASE("convolutions of any shape agree with the definition", "", float, double) {
    Random random(1);
    for (int round = 0; round < 120; ++round) {
        const ConvShape shape = any_shape(random);
        const bool transformed = shape.kernel_h == 3 && shape.kernel_w == 3 && shape.stride == 1;
        const Problem<TestType> problem(random, shape, static_cast<unsigned>(random()));
        problem.check(transformed ? 64 : 16, transformed ? winograd_share : 0);
    }
}

TEMPLATE_TEST_CASE("3x3 convolutions agree with the definition", "", float, double) {
    Random random(2);
    for (int round = 0; round < 120; ++round) {
        const ConvShape shape = small_kernel(random);
        const Problem<TestType> problem(random, shape, static_cast<unsigned>(random()));
        problem.check(64, winograd_share);
    }
}

TEST_CASE("small pictures of many channels agree with the definition") {
    Random random(12);
    for (unsigned parts = 0; parts < 16; ++parts) {
        const ConvShape shape = many_channels(random);
        const Problem<float> problem(random, shape, parts);
        INFO(text(shape) << ", mode " << static_cast<int>(problem.forward.mode));
        const auto y_sums = naive::conv2d(shape, problem.x.data(), problem.weight.data());
        const auto dx_sums = naive::conv2d_backward_input(shape, problem.dy.data(), problem.weight.data());
        CHECK(error(problem.y(), y_sums, problem.forward, shape.out, problem.dy, winograd_share) <= 64);
        CHECK(error(problem.dx(), dx_sums, problem.backward, shape.in, problem.x, winograd_share) <= 64);
    }
}

// The last tiles of Winograd's convolution have as many outputs as a picture's extent leaves. Of the thin picture,
// whole blocks lie in the second row of tiles, where weights' gradients are summed at fewer points.
TEST_CASE("3x3 convolutions leave any rest of height and width, with few tiles and many") {
    Random random(13);
    for (Index height = 4; height < 8; ++height)
        for (Index width = 4; width < 8; ++width)
            for (const auto& [n, channels] : {std::array<Index, 2>{1, 128}, std::array<Index, 2>{17, 16}}) {
                ConvShape shape{.n = n, .height = height, .width = width, .in = channels, .out = channels};
                shape.pad_top = shape.pad_left = 1;
                INFO(text(shape));
                Problem<float>(random, with_output(shape, 1, 1), 15).check(64, winograd_share);
            }
    ConvShape thin{.n = 1, .height = 5, .width = 1030, .in = 8, .out = 8, .pad_top = 1, .pad_left = 1};
    Problem<float>(random, with_output(thin, 1, 1), 15).check(64, winograd_share);
}

TEST_CASE("convolutions of larger shapes agree with the definition") {
    Random random(3);
    const ConvShape same{.pad_top = 1, .pad_left = 1};
    for (const auto& [n, side, in, out] : {std::array<Index, 4>{3, 28, 32, 32}, std::array<Index, 4>{2, 16, 64, 96},
                                           std::array<Index, 4>{5, 7, 128, 64}, std::array<Index, 4>{1, 8, 320, 64}}) {
        ConvShape shape = same;
        shape.n = n;
        shape.height = shape.width = side;
        shape.in = in;
        shape.out = out;
        Problem<float>(random, with_output(shape, 1, 1), 15).check(64, winograd_share);
    }
    ConvShape strided{.n = 2,
                      .height = 16,
                      .width = 16,
                      .in = 64,
                      .out = 32,
                      .kernel_h = 4,
                      .kernel_w = 4,
                      .stride = 2,
                      .pad_top = 1,
                      .pad_left = 1};
    Problem<float>(random, with_output(strided, 1, 1), 5).check(16);
}

TEMPLATE_TEST_CASE("convolutions to few channels agree with the definition, in strips and rows of any length", "",
                   float, double) {
    Random random(9);
    for (int round = 0; round < 40; ++round) {
        ConvShape shape{.n = pick(random, {1, 2}),
                        .height = pick(random, {1, 4}),
                        .width = pick(random, {9, 16, 30, 270}),
                        .out = pick(random, {1, 2, 3, 4, 5, 6})};
        shape.in = shape.width > 200 ? 8 : pick(random, {8, 16, 48, 400});
        shape.kernel_h = pick(random, {1, 2, 3});
        shape.kernel_w = pick(random, {2, 3, 4});
        shape.pad_top = static_cast<Index>(random() % 4) % shape.kernel_h;
        shape.pad_left = static_cast<Index>(random() % 8) % shape.kernel_w;
        shape.height += shape.kernel_h;
        Problem<TestType>(random, with_output(shape, pick(random, {0, 1}), pick(random, {0, 2})),
                          static_cast<unsigned>(random()))
            .check(16);
    }
}

TEMPLATE_TEST_CASE("rows of pixels that are cut into blocks agree with the definition", "", float, double) {
    Random random(11);
    for (int round = 0; round < 12; ++round) {
        ConvShape shape{.n = pick(random, {1, 2}),
                        .height = pick(random, {3, 5}),
                        .width = pick(random, {150, 400, 701}),
                        .in = pick(random, {1, 3, 20}),
                        .out = pick(random, {7, 16, 33, 64}),
                        .kernel_w = pick(random, {2, 4, 5}),
                        .stride = pick(random, {1, 2}),
                        .pad_top = 1};
        shape.pad_left = static_cast<Index>(random() % 4) % shape.kernel_w;
        Problem<TestType>(random, with_output(shape, pick(random, {0, 1}), pick(random, {0, 2})),
                          static_cast<unsigned>(random()))
            .check(16);
    }
}

TEMPLATE_TEST_CASE("gradients of weights over many pixels agree with the definition", "", float, double) {
    Random random(13);
    for (int round = 0; round < 24; ++round) {
        ConvShape shape{.n = pick(random, {1, 3, 12}),
                        .height = pick(random, {4, 9, 24}),
                        .width = pick(random, {5, 14, 31}),
                        .in = pick(random, {8, 16, 32}),
                        .out = pick(random, {1, 3, 5, 16, 31, 64, 171}),
                        .kernel_h = pick(random, {1, 2, 3, 5}),
                        .kernel_w = pick(random, {2, 4}),
                        .stride = pick(random, {1, 1, 2, 3})};
        shape.pad_top = static_cast<Index>(random() % 4) % shape.kernel_h;
        shape.pad_left = static_cast<Index>(random() % 4) % shape.kernel_w;
        shape.height += shape.kernel_h;
        shape = with_output(shape, pick(random, {0, 1}), pick(random, {0, 2}));
        const Problem<TestType> problem(random, shape, static_cast<unsigned>(random()));
        INFO(text(shape) << ", mode " << static_cast<int>(problem.forward.mode));
        const auto sums = naive::conv2d_backward_weight(shape, problem.x.data(), problem.dy.data());
        const Epilogue<TestType> plain{.mode = problem.forward.mode};
        CHECK(error(problem.dweight(), sums, plain, weight_size(shape), problem.weight, 0) <= 16);
    }
}

TEMPLATE_TEST_CASE("transposed convolutions to few channels agree with the definition", "", float, double) {
    Random random(10);
    for (int round = 0; round < 60; ++round) {
        ConvShape shape{.n = pick(random, {1, 2, 3}),
                        .height = pick(random, {1, 2, 6, 13, 20}),
                        .width = pick(random, {10, 13, 27, 28, 64, 290}),
                        .in = pick(random, {1, 2, 3, 4, 5, 6}),
                        .kernel_h = pick(random, {1, 2, 3, 4, 5}),
                        .kernel_w = pick(random, {2, 3, 4, 5}),
                        .stride = pick(random, {2, 2, 3, 4})};
        shape.out = shape.width > 200 ? 16 : pick(random, {16, 32, 48});
        shape.pad_top = static_cast<Index>(random() % 4) % shape.kernel_h;
        shape.pad_left = static_cast<Index>(random() % 4) % shape.kernel_w;
        shape.height += shape.kernel_h;
        Problem<TestType>(random, with_output(shape, pick(random, {0, 1}), pick(random, {0, 2})),
                          static_cast<unsigned>(random()))
            .check(16);
    }
}

TEMPLATE_TEST_CASE("kernels as large as the picture agree with the definition", "", float, double) {
    Random random(6);
    for (unsigned parts = 0; parts < 16; ++parts) {
        const ConvShape shape{.n = 3,
                              .height = pick(random, {1, 3, 7}),
                              .width = pick(random, {1, 4, 7}),
                              .in = pick(random, {1, 5, 40}),
                              .out = pick(random, {1, 3, 100}),
                              .stride = pick(random, {1, 2})};
        ConvShape whole = shape;
        whole.kernel_h = shape.height;
        whole.kernel_w = shape.width;
        Problem<TestType>(random, with_output(whole, 0, 0), parts).check(16);
    }
}

TEST_CASE("convolutions of nothing") {
    Random random(4);
    ConvShape shape{.n = 0, .height = 5, .width = 5, .in = 3, .out = 4, .pad_top = 1, .pad_left = 1};
    Problem<float>(random, with_output(shape, 1, 1), 0).check(0);
}

TEST_CASE("convolutions give equal bits for any threads and executors") {
    Random random(5);
    const Executor shuffled = [&](Index count, TileFunction tile) {
        std::vector<Index> order(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
        std::shuffle(order.begin(), order.end(), random);
        for (const Index index : order) tile(index);
    };
    for (int round = 0; round < 12; ++round) {
        const Index out = round < 8 ? 33 : 4;
        ConvShape shape{.n = 6, .height = 14, .width = 13, .in = 40, .out = out, .pad_top = 1, .pad_left = 1};
        shape.kernel_h = shape.kernel_w = round % 2 == 0 ? 3 : 4;
        shape.stride = round % 4 < 2 ? 1 : 2;
        const Problem<float> problem(random, with_output(shape, 1, 1), static_cast<unsigned>(random()));
        std::vector<float> y, dx, dweight;
        {
            const Threads one(1);
            y = problem.y();
            dx = problem.dx();
            dweight = problem.dweight();
        }
        const auto same = [&] { return problem.y() == y && problem.dx() == dx && problem.dweight() == dweight; };
        for (const int count : {2, 3, 4, 7}) {
            const Threads threads(count);
            CHECK(same());
        }
        const UseExecutor scope(shuffled);
        CHECK(same());
    }
}

TEST_CASE("a sample of a convolution does not depend on the other samples") {
    Random random(6);
    for (int round = 0; round < 40; ++round) {
        ConvShape shape = round % 4 == 3   ? many_channels(random)
                          : round % 2 == 0 ? any_shape(random)
                                           : small_kernel(random);
        shape.n = pick(random, {2, 5, 9});
        const Problem<float> problem(random, shape, static_cast<unsigned>(random()) & 13u);
        const std::vector<float> y = problem.y(), dx = problem.dx();
        ConvShape one = shape;
        one.n = 1;
        for (Index n = 0; n < shape.n; n += shape.n - 1) {
            const Index x_first = n * x_size(one), y_first = n * y_size(one);
            std::vector<float> y_one(problem.dy.begin() + y_first, problem.dy.begin() + y_first + y_size(one));
            std::vector<float> dx_one(problem.x.begin() + x_first, problem.x.begin() + x_first + x_size(one));
            kernels::conv2d(one, problem.x.data() + x_first, problem.weight.data(), y_one.data(), problem.forward);
            kernels::conv2d_backward_input(one, problem.dy.data() + y_first, problem.weight.data(), dx_one.data(),
                                           problem.backward);
            INFO(text(shape));
            CHECK(std::equal(y_one.begin(), y_one.end(), y.begin() + y_first));
            CHECK(std::equal(dx_one.begin(), dx_one.end(), dx.begin() + x_first));
        }
    }
}

TEST_CASE("outputs that go past the caches have the bits of those that do not") {
    Random random(11);
    const ConvShape one =
        with_output({.height = 129, .width = 128, .in = 8, .out = 16, .pad_top = 1, .pad_left = 1}, 1, 1);
    ConvShape many = one;
    many.n = (Index{36} << 20) / (y_size(one) * static_cast<Index>(sizeof(float)));
    const auto x = numbers<float>(random, x_size(many)), weight = numbers<float>(random, weight_size(one));
    const auto bias = numbers<float>(random, one.out), residual = numbers<float>(random, y_size(many));
    const Index size = y_size(one);
    const std::shared_ptr<float[]> y = pooled<float>(y_size(many));  // aligned
    std::vector<float> y_one(static_cast<std::size_t>(size));
    kernels::conv2d(many, x.data(), weight.data(), y.get(), {.bias = bias.data(), .residual = residual.data()});
    for (const Index n : {Index{0}, many.n / 2, many.n - 1}) {
        kernels::conv2d(one, x.data() + n * x_size(one), weight.data(), y_one.data(),
                        {.bias = bias.data(), .residual = residual.data() + n * size});
        CHECK(std::equal(y_one.begin(), y_one.end(), y.get() + n * size));
    }
}

}  // namespace conv2d_test
