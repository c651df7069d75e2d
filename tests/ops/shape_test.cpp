// Ops that move numbers: values by position, gradients and tangents by differences.
#include "genmod/ops/shape.hpp"

#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/ops/elementary.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace shape_test {

using namespace genmod;
using test::require_gradient;
using test::require_tangent;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed = 1) { return Rng(seed).normals<double>(shape); }

// 0, 1, 2, ...
Var<float> counting(const Shape& shape) {
    Tensor<float> x(shape);
    for (Index k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k);
    return x;
}

std::vector<float> numbers(const Var<float>& x) { return {x.value().begin(), x.value().end()}; }

// Gradient and tangent of an op that takes one input.
template <class Op>
void require_derivatives(const char* name, const Shape& shape, Op op) {
    require_gradient(name, [&](const auto& in) { return ops::square(op(in[0])); }, {normals(shape)});
    require_tangent(
        name, [&](const auto& x) { return ops::square(op(x)); }, normals(shape));
}

}  // namespace

TEST_CASE("reshape and flatten keep the numbers") {
    const auto x = counting({2, 3, 4});
    CHECK(ops::reshape(x, {4, -1}).shape() == Shape{4, 6});
    CHECK(numbers(ops::reshape(x, Shape{24})) == numbers(x));
    CHECK(ops::flatten(x).shape() == Shape{2, 12});
    CHECK_THROWS_AS(ops::reshape(x, {5, 5}), Error);
    require_derivatives("reshape", {2, 6}, [](const auto& v) { return ops::reshape(v, {3, -1}); });
    require_derivatives("flatten", {2, 3, 2}, [](const auto& v) { return ops::flatten(v); });
}

TEST_CASE("permute puts every number where its indices say") {
    Rng rng(4);
    for (int trial = 0; trial < 120; ++trial) {
        const Index rank = 1 + trial % 5;
        std::vector<Index> extents, axes;
        for (Index k = 0; k < rank; ++k) {
            extents.push_back(
                1 + static_cast<Index>(rng.uniforms<double>({1})[0] * (rank <= 3 && trial % 7 == 0 ? 40 : 6)));
            axes.insert(axes.begin() + static_cast<Index>(rng.uniforms<double>({1})[0] * static_cast<double>(k + 1)),
                        k);
        }
        const Shape shape(extents.data(), rank);
        const auto x = counting(shape);
        const auto y = ops::permute(x, axes);
        Index wrong = 0;
        for (Index k = 0; k < y.size(); ++k) {
            Index rest = k, from = 0;
            for (Index axis = rank - 1; axis >= 0; --axis) {
                const Index source = axes[static_cast<std::size_t>(axis)];
                from += rest % y.dim(axis) * shape.product(source + 1, rank);
                rest /= y.dim(axis);
            }
            wrong += y.value()[k] == x.value()[from] ? 0 : 1;
        }
        REQUIRE(wrong == 0);
        for (Index axis = 0; axis < rank; ++axis)
            REQUIRE(y.dim(axis) == shape.dim(axes[static_cast<std::size_t>(axis)]));
    }
    CHECK_THROWS_AS(ops::permute(counting({2, 3}), {0, 0}), Error);
    CHECK_THROWS_AS(ops::permute(counting({2, 3}), {0}), Error);
    require_derivatives("permute", {2, 3, 4}, [](const auto& v) { return ops::permute(v, {2, 0, -2}); });
}

TEST_CASE("slice, split and chunk cut along any axis") {
    const auto x = counting({2, 3, 2});
    CHECK(numbers(ops::slice(x, 1, 1, 3)) == std::vector<float>{2, 3, 4, 5, 8, 9, 10, 11});
    CHECK(numbers(ops::slice(x, -1, 1, 2)) == std::vector<float>{1, 3, 5, 7, 9, 11});
    CHECK(ops::slice(x, 0, 1, 1).shape() == Shape{0, 3, 2});
    const auto pieces = ops::split(x, {1, 2}, 1);
    CHECK(numbers(pieces[0]) == std::vector<float>{0, 1, 6, 7});
    CHECK(numbers(pieces[1]) == numbers(ops::slice(x, 1, 1, 3)));
    CHECK(numbers(ops::chunk(x, 2, -1)[1]) == std::vector<float>{1, 3, 5, 7, 9, 11});
    CHECK_THROWS_AS(ops::slice(x, 1, 2, 4), Error);
    CHECK_THROWS_AS(ops::split(x, {1, 1}, 1), Error);
    CHECK_THROWS_AS(ops::chunk(x, 2, 1), Error);
    for (const Index axis : {0, 1, 2})
        require_derivatives("slice", {3, 4, 3}, [=](const auto& v) { return ops::slice(v, axis, 1, 3); });
    require_gradient("split",
                     [](const auto& in) {
                         const auto parts = ops::split(in[0], {2, 1, 3}, 1);
                         return ops::concat({ops::square(parts[2]), parts[0]}, 1);
                     },
                     {normals({2, 6})});
    require_gradient("chunk",
                     [](const auto& in) {
                         const auto parts = ops::chunk(in[0], 3, 1);
                         return ops::concat({ops::square(parts[2]), parts[0], parts[1], parts[2]}, 0);
                     },
                     {normals({2, 6})});
}

TEST_CASE("concat joins along any axis") {
    const auto x = counting({2, 2}), y = counting({2, 1});
    CHECK(numbers(ops::concat({x, y}, 1)) == std::vector<float>{0, 1, 0, 2, 3, 1});
    CHECK(numbers(ops::concat({x, x}, 0)) == std::vector<float>{0, 1, 2, 3, 0, 1, 2, 3});
    CHECK_THROWS_AS(ops::concat({x, y}, 0), Error);
    for (const Index axis : {0, 1, 2}) {
        const Shape shape{2, 3, 4};
        require_gradient("concat",
                         [=](const auto& in) {
                             return ops::concat({in[0], in[1], in[0]}, axis);
                         },
                         {normals(shape), normals(shape.with(axis, 2))});
        require_derivatives("concat", shape, [=](const auto& v) { return ops::concat({v, ops::square(v)}, axis); });
    }
}

TEST_CASE("pad puts zeros around") {
    CHECK(numbers(ops::pad(counting({2, 2}), 1, 1, 2)) == std::vector<float>{0, 0, 1, 0, 0, 0, 2, 3, 0, 0});
    CHECK(numbers(ops::pad(counting({2, 2}), 0, 1, 0)) == std::vector<float>{0, 0, 0, 1, 2, 3});
    CHECK_THROWS_AS(ops::pad(counting({2, 2}), 0, -1, 0), Error);
    for (const Index axis : {0, 1, 2})
        require_derivatives("pad", {2, 3, 2}, [=](const auto& v) { return ops::pad(v, axis, 2, 1); });
}

TEST_CASE("broadcast_to repeats") {
    CHECK(numbers(ops::broadcast_to(counting({2, 1}), {2, 2, 2})) == std::vector<float>{0, 0, 1, 1, 0, 0, 1, 1});
    CHECK_THROWS_AS(ops::broadcast_to(counting({2, 2}), {2, 1}), Error);
    require_derivatives("broadcast_to", {3, 1}, [](const auto& v) { return ops::broadcast_to(v, {2, 3, 4}); });
    require_derivatives("broadcast_to", {2, 1, 1, 3}, [](const auto& v) { return ops::broadcast_to(v, {2, 2, 3, 3}); });
}

}  // namespace shape_test
