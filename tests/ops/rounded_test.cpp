// Results that are stored in bf16: those of the op, rounded, where a product in bf16 is all that reads them.
#include "genmod/ops/rounded.hpp"

#include <cstring>
#include <memory>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/packed.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/ops/norm.hpp"
#include "genmod/ops/shape.hpp"

#include "tests/support/catch.hpp"

namespace rounded_test {

using namespace genmod;

namespace {

constexpr Precision tiles = Precision::bf16_tiles;

Tensor<float> normals(const Shape& shape, std::uint64_t seed) {
    Rng rng(seed);
    return rng.normals<float>(shape);
}

Var<float> frozen(const Shape& shape, std::uint64_t seed) {
    const Tensor<float> weight = normals(shape, seed);
    return Var<float>::frozen(shape, std::make_shared<const kernels::PackedWeights<float>>(kernels::pack_weights(
                                         weight.data(), shape.dim(0), shape.size() / shape.dim(0), tiles)));
}

// Whether `half` is `full`, rounded.
bool is_rounded(const Var<float>& half, const Var<float>& full) {
    if (half.half() == nullptr || half.shape() != full.shape()) return false;
    for (Index k = 0; k < full.size(); ++k)
        if (half.half()[k].bits != kernels::detail::round_one(full.value()[k]).bits) return false;
    return true;
}

}  // namespace

TEST_CASE("norms and linear layers store what a product in bf16 reads rounded") {
    const NoGrad off;
    for (const Shape& shape : {Shape{2, 3, 5, 48}, Shape{1, 70, 24}, Shape{3, 9, 56}, Shape{2, 400, 328}}) {
        const Var<float> x = normals(shape, 1);
        const Index channels = shape.dim(-1);
        const Var<float> weight = normals({channels}, 2), bias = normals({channels}, 3);
        const ops::GroupNormOptions groups{.groups = 8, .reader = tiles};
        REQUIRE(is_rounded(ops::group_norm(x, weight, bias, groups), ops::group_norm(x, weight, bias, {.groups = 8})));
        REQUIRE(is_rounded(ops::group_norm_silu(x, weight, bias, groups),
                           ops::group_norm_silu(x, weight, bias, {.groups = 8})));
        REQUIRE(is_rounded(ops::layer_norm(x, weight, bias, {.reader = tiles}), ops::layer_norm(x, weight, bias)));
        const Var<float> matrix = frozen({36, channels}, 4), half = ops::layer_norm(x, weight, bias, {.reader = tiles});
        const Var<float> full = ops::layer_norm(x, weight, bias), none;
        const Var<float> product = ops::linear(half, matrix, none), expected = ops::linear(full, matrix, none);
        REQUIRE(std::memcmp(product.data(), expected.data(), static_cast<std::size_t>(product.size()) * 4) == 0);
        REQUIRE(is_rounded(ops::linear(x, matrix, none, kernels::Unary::silu, tiles),
                           ops::linear(x, matrix, none, kernels::Unary::silu)));
        REQUIRE(is_rounded(ops::linear_geglu(x, matrix, none, tiles), ops::linear_geglu(x, matrix, none)));
    }
}

TEST_CASE("where gradients are recorded, in double, or for other readers, results stay as they are") {
    const Var<float> x = normals({2, 5, 16}, 1), none;
    REQUIRE(ops::layer_norm(x, none, none, {.reader = tiles}).half() == nullptr);
    const NoGrad off;
    REQUIRE(ops::layer_norm(x, none, none, {.reader = tiles}).half() != nullptr);
    REQUIRE(ops::layer_norm(x, none, none, {.reader = Precision::bf16}).half() == nullptr);
    REQUIRE(ops::linear(x, Var<float>(normals({8, 16}, 2)), none, kernels::Unary::silu, tiles).half() == nullptr);
    const Var<double> wide(cast<double>(x.value()));
    REQUIRE(ops::layer_norm(wide, Var<double>{}, Var<double>{}, {.reader = tiles}).half() == nullptr);
}

TEST_CASE("rounded numbers change their shape, and other ops refuse them") {
    const NoGrad off;
    const Var<float> x = normals({2, 5, 16}, 1), none;
    const Var<float> half = ops::layer_norm(x, none, none, {.reader = tiles});
    REQUIRE(half.size() == 160);
    REQUIRE(!half.empty());
    REQUIRE(ops::reshape(half, {10, -1}).shape() == Shape{10, 16});
    REQUIRE(ops::reshape(half, Shape{160}).half() == half.half());
    REQUIRE_THROWS_WITH(half.value(), ContainsSubstring("numbers of shape [2, 5, 16] that were rounded to bf16"));
    REQUIRE_THROWS_AS(ops::silu(half), Error);
    REQUIRE_THROWS_AS(ops::linear(half, Var<float>(normals({8, 16}, 2)), none), Error);
}

}  // namespace rounded_test
