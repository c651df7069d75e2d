#include "genmod/core/shape.hpp"

#include "tests/support/catch.hpp"

namespace shape_test {

using namespace genmod;

TEST_CASE("a shape knows its extents and their product") {
    const Shape shape{2, 3, 4};
    REQUIRE(shape.rank() == 3);
    REQUIRE(shape.size() == 24);
    REQUIRE(shape.dim(0) == 2);
    REQUIRE(shape.dim(-1) == 4);
    REQUIRE(shape.product(1, 3) == 12);
    REQUIRE(shape.product(1, 1) == 1);
    REQUIRE(shape.resolve(-3) == 0);
    REQUIRE(to_string(shape) == "[2, 3, 4]");
    REQUIRE(Shape{}.size() == 1);
    REQUIRE(to_string(Shape{}) == "[]");
    REQUIRE(Shape{3, 0, 5}.size() == 0);
}

TEST_CASE("shapes are compared by rank and extents") {
    REQUIRE(Shape{2, 3} == Shape{2, 3});
    REQUIRE_FALSE(Shape{2, 3} == Shape{3, 2});
    REQUIRE_FALSE(Shape{2, 3} == Shape{2, 3, 1});
    REQUIRE_FALSE(Shape{} == Shape{1});
}

TEST_CASE("shapes are changed into new ones") {
    const Shape shape{2, 3, 4};
    REQUIRE(shape.with(-1, 7) == Shape{2, 3, 7});
    REQUIRE(shape.inserted(0, 9) == Shape{9, 2, 3, 4});
    REQUIRE(shape.inserted(3, 9) == Shape{2, 3, 4, 9});
    REQUIRE(shape.without(1) == Shape{2, 4});
    REQUIRE(shape.without(-1) == Shape{2, 3});
    REQUIRE(Shape{0, 5}.with(0, 2) == Shape{2, 5});
}

TEST_CASE("impossible shapes and axes are errors") {
    REQUIRE_THROWS_AS((Shape{1, -1}), Error);
    REQUIRE_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), Error);
    REQUIRE_NOTHROW(Shape{1, 1, 1, 1, 1, 1, 1, 1});
    REQUIRE_THROWS_AS((Shape{Index{1} << 40, Index{1} << 40}), Error);
    REQUIRE_THROWS_AS((Shape{0, Index{1} << 40, Index{1} << 40}.with(0, 1)), Error);
    const Shape shape{2, 3};
    REQUIRE_THROWS_AS(shape.dim(2), Error);
    REQUIRE_THROWS_AS(shape.dim(-3), Error);
    REQUIRE_THROWS_AS(shape.with(2, 1), Error);
    REQUIRE_THROWS_AS(shape.with(0, -1), Error);
    REQUIRE_THROWS_AS(shape.inserted(3, 1), Error);
    REQUIRE_THROWS_AS(shape.without(2), Error);
    REQUIRE_THROWS_AS(Shape{}.dim(0), Error);
    REQUIRE_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1}.inserted(0, 1)), Error);
}

}  // namespace shape_test
