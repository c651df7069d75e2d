// The formulas of diffusers.optimization at points where their values are plain; whole tables are in the golden tests.
#include "genmod/optim/lr_schedule.hpp"

#include "tests/support/catch.hpp"

namespace lr_schedule_test {

using namespace genmod;

TEST_CASE("every schedule rises in a straight line while it warms up") {
    for (const Index step : {0, 3, 9}) {
        const double expected = static_cast<double>(step) / 10;
        REQUIRE(optim::ConstantLr{.warmup = 10}(step) == Approx(expected));
        REQUIRE(optim::LinearLr{.warmup = 10, .total = 50}(step) == Approx(expected));
        REQUIRE(optim::CosineLr{.warmup = 10, .total = 50}(step) == Approx(expected));
        REQUIRE(optim::CosineRestartsLr{.warmup = 10, .total = 50}(step) == Approx(expected));
        REQUIRE(optim::PolynomialLr{.warmup = 10, .total = 50}(step) == Approx(expected));
    }
    REQUIRE(optim::ConstantLr{}(0) == 1);
    REQUIRE(optim::ConstantLr{.warmup = 10}(1000) == 1);
}

TEST_CASE("a linear schedule falls to zero and stays there") {
    const optim::LinearLr schedule{.warmup = 10, .total = 50};
    REQUIRE(schedule(10) == 1);
    REQUIRE(schedule(30) == Approx(0.5));
    REQUIRE(schedule(50) == 0);
    REQUIRE(schedule(60) == 0);
}

TEST_CASE("cosine schedules pass their known points") {
    const optim::CosineLr half{.warmup = 10, .total = 50};
    REQUIRE(half(10) == 1);
    REQUIRE(half(20) == Approx(0.5 * (1 + std::sqrt(0.5))));
    REQUIRE(half(30) == Approx(0.5));
    REQUIRE(half(50) == Approx(0).margin(1e-15));
    const optim::CosineLr whole{.total = 40, .cycles = 1};
    REQUIRE(whole(20) == Approx(0).margin(1e-15));
    REQUIRE(whole(40) == Approx(1));
    const optim::CosineRestartsLr twice{.total = 40, .cycles = 2};
    REQUIRE(twice(10) == Approx(0.5));
    REQUIRE(twice(20) == Approx(1));
    REQUIRE(twice(30) == Approx(0.5));
    REQUIRE(twice(40) == 0);
}

TEST_CASE("polynomial and step schedules fall as they should") {
    const optim::PolynomialLr square{.warmup = 0, .total = 10, .power = 2, .end = 0.1};
    REQUIRE(square(0) == Approx(1));
    REQUIRE(square(5) == Approx(0.9 * 0.25 + 0.1));
    REQUIRE(square(10) == Approx(0.1));
    REQUIRE(square(11) == Approx(0.1));
    const optim::StepLr step{.every = 3, .gamma = 0.5};
    REQUIRE(step(2) == 1);
    REQUIRE(step(3) == 0.5);
    REQUIRE(step(8) == 0.25);
    REQUIRE_THROWS_AS((optim::StepLr{.every = 0}(1)), Error);
}

}  // namespace lr_schedule_test
