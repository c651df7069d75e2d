// Enlarging and shrinking pictures: known values, gradients and tangents.
#include "genmod/ops/resample.hpp"

#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/ops/elementary.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace resample_test {

using namespace genmod;
using test::require_gradient;
using test::require_tangent;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed = 1) { return Rng(seed).normals<double>(shape); }

// 0, 1, 2, ...
Var<double> counting(const Shape& shape) {
    Tensor<double> x(shape);
    for (Index k = 0; k < x.size(); ++k) x[k] = static_cast<double>(k);
    return x;
}

std::vector<double> numbers(const Var<double>& x) { return {x.value().begin(), x.value().end()}; }

template <class Op>
void require_derivatives(const char* name, const Shape& shape, Op op) {
    require_gradient(name, [&](const auto& in) { return ops::square(op(in[0])); }, {normals(shape)});
    require_tangent(
        name, [&](const auto& x) { return ops::square(op(x)); }, normals(shape));
}

}  // namespace

TEST_CASE("upsample_nearest repeats pixels") {
    CHECK(numbers(ops::upsample_nearest(counting({1, 1, 2, 1}))) == std::vector<double>{0, 0, 1, 1, 0, 0, 1, 1});
    CHECK(ops::upsample_nearest(counting({2, 3, 4, 5}), 3).shape() == Shape{2, 9, 12, 5});
    CHECK_THROWS_AS(ops::upsample_nearest(counting({2, 3})), Error);
    CHECK_THROWS_AS(ops::upsample_nearest(counting({1, 2, 2, 1}), 0), Error);
    require_derivatives("upsample_nearest", {2, 2, 3, 2}, [](const auto& x) { return ops::upsample_nearest(x, 2); });
}

TEST_CASE("resize_bilinear interpolates between pixel centres") {
    // torch.nn.functional.interpolate(x, mode="bilinear", align_corners=False)
    CHECK(numbers(ops::resize_bilinear(counting({1, 1, 2, 1}), 1, 4)) == std::vector<double>{0, 0.25, 0.75, 1});
    CHECK(numbers(ops::resize_bilinear(counting({1, 1, 4, 1}), 1, 2)) == std::vector<double>{0.5, 2.5});
    CHECK(numbers(ops::resize_bilinear(counting({1, 2, 2, 1}), 1, 1)) == std::vector<double>{1.5});
    CHECK_THROWS_AS(ops::resize_bilinear(counting({1, 2, 2, 1}), 0, 3), Error);
    for (const Index size : {1, 2, 5, 7})
        require_derivatives("resize_bilinear", {2, 3, 4, 2},
                            [=](const auto& x) { return ops::resize_bilinear(x, size, size + 1); });
}

TEST_CASE("average_pool takes means of windows") {
    CHECK(numbers(ops::average_pool(counting({1, 2, 4, 1}), 2)) == std::vector<double>{2.5, 4.5});
    CHECK(ops::average_pool(counting({1, 5, 7, 2}), 3, 2).shape() == Shape{1, 2, 3, 2});
    CHECK_THROWS_AS(ops::average_pool(counting({1, 2, 4, 1}), 3), Error);
    require_derivatives("average_pool", {2, 4, 5, 2}, [](const auto& x) { return ops::average_pool(x, 2); });
    require_derivatives("average_pool", {1, 5, 5, 2}, [](const auto& x) { return ops::average_pool(x, 3, 1); });
}

TEST_CASE("subsample keeps every stride-th pixel") {
    CHECK(numbers(ops::subsample(counting({1, 3, 3, 1}), 2)) == std::vector<double>{0, 2, 6, 8});
    CHECK_THROWS_AS(ops::subsample(counting({1, 3, 3, 1}), 0), Error);
    require_derivatives("subsample", {2, 4, 5, 2}, [](const auto& x) { return ops::subsample(x, 3); });
}

TEST_CASE("space_to_depth orders channels as pixel_unshuffle, and depth_to_space is its inverse") {
    const auto x = counting({2, 4, 6, 3});
    const auto y = ops::space_to_depth(x, 2);
    REQUIRE(y.shape() == Shape{2, 2, 3, 12});
    for (Index n = 0; n < 2; ++n)
        for (Index h = 0; h < 4; ++h)
            for (Index w = 0; w < 6; ++w)
                for (Index c = 0; c < 3; ++c)
                    REQUIRE(y.value()[((n * 2 + h / 2) * 3 + w / 2) * 12 + c * 4 + h % 2 * 2 + w % 2] ==
                            x.value()[((n * 4 + h) * 6 + w) * 3 + c]);
    CHECK(numbers(ops::depth_to_space(y, 2)) == numbers(x));
    CHECK_THROWS_AS(ops::space_to_depth(x, 3), Error);
    CHECK_THROWS_AS(ops::depth_to_space(x, 2), Error);
    require_derivatives("space_to_depth", {2, 4, 2, 3}, [](const auto& v) { return ops::space_to_depth(v, 2); });
    require_derivatives("depth_to_space", {2, 1, 2, 8}, [](const auto& v) { return ops::depth_to_space(v, 2); });
}

}  // namespace resample_test
