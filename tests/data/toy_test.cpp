#include "genmod/data/toy.hpp"

#include <cmath>
#include <map>
#include <string>

#include "tests/support/catch.hpp"

namespace toy_test {

using namespace genmod;

namespace {

constexpr Index count = 20000;

std::map<std::string, Tensor<double>> all(std::uint64_t seed) {
    Rng rng(seed);
    std::map<std::string, Tensor<double>> sets;
    sets["eight_gaussians"] = data::eight_gaussians<double>(count, rng);
    sets["grid_gaussians"] = data::grid_gaussians<double>(count, rng);
    sets["moons"] = data::moons<double>(count, rng);
    sets["rings"] = data::rings<double>(count, rng);
    sets["checkerboard"] = data::checkerboard<double>(count, rng);
    sets["swiss_roll"] = data::swiss_roll<double>(count, rng);
    sets["spirals"] = data::spirals<double>(count, rng);
    return sets;
}

}  // namespace

TEST_CASE("toy sets stay in their square, fill it, and follow the seed") {
    const auto again = all(1);
    for (const auto& [name, points] : all(1)) {
        INFO(name);
        CHECK(points.shape() == Shape{count, 2});
        double largest = 0;
        for (const double x : points) largest = std::max(largest, std::abs(x));
        CHECK(largest < 4.5);
        CHECK(largest > 2.5);
        CHECK(std::equal(points.begin(), points.end(), again.at(name).begin()));
    }
}

TEST_CASE("symmetric sets have their mean at 0") {
    for (const auto& [name, points] : all(2)) {
        if (name == "swiss_roll") continue;
        INFO(name);
        double x = 0, y = 0;
        for (Index i = 0; i < count; ++i) {
            x += points[2 * i] / static_cast<double>(count);
            y += points[2 * i + 1] / static_cast<double>(count);
        }
        CHECK(std::abs(x) < 0.1);
        CHECK(std::abs(y) < 0.1);
    }
}

TEST_CASE("points lie where their set says") {
    const auto sets = all(3);
    Index wrong = 0;
    for (Index i = 0; i < count; ++i) {
        const auto x = [&](const char* name) { return sets.at(name)[2 * i]; };
        const auto y = [&](const char* name) { return sets.at(name)[2 * i + 1]; };
        const double ring = std::hypot(x("rings"), y("rings"));
        wrong += std::abs(ring - std::round(ring)) > 0.3 ? 1 : 0;
        wrong += std::abs(std::hypot(x("eight_gaussians"), y("eight_gaussians")) - 3) > 1.1 ? 1 : 0;
        const double column = x("grid_gaussians") / 1.5;
        wrong += std::abs(column - std::round(column)) > 0.45 ? 1 : 0;
        const auto cell =
            static_cast<int>(std::floor(x("checkerboard") / 2)) + static_cast<int>(std::floor(y("checkerboard") / 2));
        wrong += cell % 2 != 0 ? 1 : 0;
    }
    CHECK(wrong == 0);
}

TEST_CASE("the first points are the same on every machine") {
    Rng rng(1);
    const auto points = data::eight_gaussians(2, rng);
    CHECK(points[0] == 0x1.052964p+1f);
    CHECK(points[3] == -0x1.a81e82p+1f);
    CHECK(data::moons(0, rng).size() == 0);
}

}  // namespace toy_test
