#include "genmod/ops/linear.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/kernels/packed.hpp"
#include "genmod/ops/activation.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"
#include "tests/support/naive_gemm.hpp"

namespace linear_test {

using namespace genmod;
using genmod::test::require_gradient;
using genmod::test::require_tangent;
using Vars = std::vector<Var<double>>;

TEST_CASE("linear computes x times the transposed weight, plus the bias") {
    Rng rng(1);
    for (int round = 0; round < 20; ++round) {
        const Index a = 1 + rng.below(4), b = 1 + rng.below(5), in = 1 + rng.below(40), out = 1 + rng.below(40);
        const auto x = rng.normals<float>({a, b, in}), w = rng.normals<float>({out, in}),
                   bias = rng.normals<float>({out});
        const bool biased = round % 2 == 0;
        const auto y = ops::linear<float>(x, w, biased ? bias : Tensor<float>()).value();
        REQUIRE(y.shape() == Shape{a, b, out});
        for (Index k = 0; k < y.size(); ++k) {
            naive::Sum sum =
                naive::product(kernels::row_major(x.data(), a * b, in),
                               kernels::transposed(kernels::row_major(w.data(), out, in)), k / out, k % out);
            if (biased) sum.add(static_cast<double>(bias[k % out]));
            REQUIRE(std::abs(static_cast<double>(y[k]) - sum.value) <= 16 * 0x1p-24 * sum.magnitude);
        }
    }
}

TEST_CASE("gradients and tangents of linear") {
    Rng rng(2);
    const auto x = rng.normals<double>({2, 3, 4}), w = rng.normals<double>({5, 4}), bias = rng.normals<double>({5});
    require_gradient("linear", [](const Vars& in) { return ops::linear(in[0], in[1], in[2]); }, {x, w, bias});
    require_gradient("linear", [](const Vars& in) { return ops::linear(in[0], in[1], Var<double>{}); }, {x, w});
    require_gradient("linear", [](const Vars& in) { return ops::linear(in[0], in[0], in[1]); },
                     {rng.normals<double>({4, 4}), rng.normals<double>({4})});  // one variable used twice
    require_tangent(
        "linear", [&](const auto& in) { return ops::linear(in, Var<double>(w), Var<double>(bias)); }, x);
}

TEST_CASE("gradients of linear with an activation, and of a gated one") {
    Rng rng(7);
    const auto x = rng.normals<double>({2, 3, 4}), w = rng.normals<double>({6, 4}), bias = rng.normals<double>({6});
    require_gradient("linear", [](const Vars& in) { return ops::linear(in[0], in[1], in[2], kernels::Unary::silu); },
                     {x, w, bias});
    require_tangent(
        "linear",
        [&](const auto& in) { return ops::linear(in, Var<double>(w), Var<double>(bias), kernels::Unary::tanh); }, x);
    require_gradient("linear_geglu", [](const Vars& in) { return ops::linear_geglu(in[0], in[1], in[2]); },
                     {x, w, bias});
}

TEST_CASE("linear with an activation has the bits of the two apart, recorded or not") {
    Rng rng(8);
    for (int round = 0; round < 30; ++round) {
        const Index rows = 1 + rng.below(300), in = 1 + rng.below(40), out = 2 * (1 + rng.below(40));
        const auto x = rng.normals<float>({rows, in}), w = rng.normals<float>({out, in}),
                   bias = rng.normals<float>({out});
        const auto plain = ops::linear<float>(x, w, bias);
        const auto silu = ops::silu(plain).value(), gated = ops::geglu(plain).value();
        for (const bool recorded : {false, true}) {
            const auto weight = recorded ? Var<float>::parameter(w) : Var<float>(w);
            const auto found = ops::linear<float>(x, weight, bias, kernels::Unary::silu).value();
            REQUIRE(std::equal(found.begin(), found.end(), silu.begin(), silu.end()));
            const auto found_gated = ops::linear_geglu<float>(x, weight, bias).value();
            REQUIRE(std::equal(found_gated.begin(), found_gated.end(), gated.begin(), gated.end()));
        }
    }
}

TEST_CASE("a gated product has the bits of its parts, cut into blocks or not, packed or not") {
    Rng rng(9);
    for (const Index half : {32, 640, 200, 7})
        for (const Index rows : {1, 20, 500}) {
            const Index in = 400;
            const auto x = rng.normals<float>({rows, in}), w = rng.normals<float>({2 * half, in}),
                       bias = rng.normals<float>({2 * half});
            for (const auto precision : {Precision::full, Precision::bf16}) {
                const auto weight =
                    Var<float>::frozen(w.shape(), std::make_shared<const kernels::PackedWeights<float>>(
                                                      kernels::pack_weights(w.data(), 2 * half, in, precision)));
                const auto expected = ops::geglu(ops::linear<float>(x, weight, bias)).value();
                const auto found = ops::linear_geglu<float>(x, weight, bias).value();
                REQUIRE(found.shape() == Shape{rows, half});
                REQUIRE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
                if (precision == Precision::bf16) continue;
                const auto unpacked = ops::linear_geglu<float>(x, w, bias).value();
                REQUIRE(std::equal(unpacked.begin(), unpacked.end(), expected.begin(), expected.end()));
            }
        }
}

TEST_CASE("linear refuses what does not fit") {
    const Var<float> x(Tensor<float>::zeros({2, 3})), w(Tensor<float>::zeros({4, 3})), none;
    REQUIRE_THROWS_AS(ops::linear(x, Var<float>(Tensor<float>::zeros({4, 2})), none), Error);
    REQUIRE_THROWS_AS(ops::linear(x, w, x), Error);
    REQUIRE_THROWS_AS(ops::linear(x, none, none), Error);
    REQUIRE_THROWS_AS(ops::linear(none, w, none), Error);
    REQUIRE_THROWS_AS(ops::linear_geglu(x, Var<float>(Tensor<float>::zeros({5, 3})), none), Error);
    REQUIRE(ops::linear(Var<float>(Tensor<float>::zeros({0, 3})), w, none).shape() == Shape{0, 4});
}

TEST_CASE("matmul multiplies matrices of every layout") {
    Rng rng(3);
    for (int round = 0; round < 24; ++round) {
        const ops::MatmulOptions options{.transpose_a = round % 2 == 1, .transpose_b = round / 2 % 2 == 1};
        const Index batch = 1 + rng.below(3), m = 1 + rng.below(20), k = 1 + rng.below(20), n = 1 + rng.below(20);
        const auto a = rng.normals<double>(options.transpose_a ? Shape{batch, k, m} : Shape{batch, m, k});
        const auto b = rng.normals<double>(options.transpose_b ? Shape{batch, n, k} : Shape{batch, k, n});
        const auto y = ops::matmul<double>(a, b, options).value();
        REQUIRE(y.shape() == Shape{batch, m, n});
        for (Index at = 0; at < y.size(); ++at) {
            const Index which = at / (m * n), row = at / n % m, column = at % n;
            naive::Sum sum;
            for (Index i = 0; i < k; ++i)
                sum.add(a[which * m * k + (options.transpose_a ? i * m + row : row * k + i)] *
                        b[which * k * n + (options.transpose_b ? column * k + i : i * n + column)]);
            REQUIRE(std::abs(y[at] - sum.value) <= 16 * 0x1p-53 * sum.magnitude);
        }
    }
}

TEST_CASE("gradients and tangents of matmul") {
    Rng rng(4);
    for (const bool transpose_a : {false, true})
        for (const bool transpose_b : {false, true}) {
            const ops::MatmulOptions options{.transpose_a = transpose_a, .transpose_b = transpose_b};
            const auto a = rng.normals<double>(transpose_a ? Shape{2, 3, 4} : Shape{2, 4, 3});
            const auto b = rng.normals<double>(transpose_b ? Shape{2, 5, 3} : Shape{2, 3, 5});
            require_gradient("matmul", [&](const Vars& in) { return ops::matmul(in[0], in[1], options); }, {a, b});
            require_tangent(
                "matmul", [&](const auto& in) { return ops::matmul(in, Var<double>(b), options); }, a);
            require_tangent(
                "matmul", [&](const auto& in) { return ops::matmul(Var<double>(a), in, options); }, b);
        }
    require_gradient("matmul", [](const Vars& in) { return ops::matmul(in[0], in[0], {.transpose_b = true}); },
                     {rng.normals<double>({3, 4})});
}

TEST_CASE("matmul refuses what does not fit") {
    const auto zeros = [](const Shape& shape) { return Var<float>(Tensor<float>::zeros(shape)); };
    REQUIRE_THROWS_AS(ops::matmul(zeros({2, 3}), zeros({2, 3})), Error);
    REQUIRE_THROWS_AS(ops::matmul(zeros({2, 2, 3}), zeros({3, 2})), Error);
    REQUIRE_THROWS_AS(ops::matmul(zeros({2, 2, 3}), zeros({3, 3, 2})), Error);
    REQUIRE_THROWS_AS(ops::matmul(zeros({3}), zeros({3})), Error);
}

}  // namespace linear_test
