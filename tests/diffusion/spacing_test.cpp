#include "genmod/diffusion/spacing.hpp"

#include <cmath>
#include <vector>

#include "genmod/diffusion/level.hpp"
#include "tests/support/catch.hpp"

namespace spacing_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

List steps(Index count, Spacing spacing, Index offset = 0) {
    return timesteps(1000, count, {.timestep_spacing = spacing, .steps_offset = offset});
}

}  // namespace

TEST_CASE("halves are rounded to the even number") {
    REQUIRE(round_half_even(0.5) == 0);
    REQUIRE(round_half_even(1.5) == 2);
    REQUIRE(round_half_even(499.5) == 500);
    REQUIRE(round_half_even(2.4999) == 2);
    REQUIRE(round_half_even(-0.5) == 0);
    REQUIRE(round_half_even(-1.5) == -2);
}

TEST_CASE("the spacings give diffusers' lists") {
    REQUIRE(steps(10, Spacing::leading, 1) == List{901, 801, 701, 601, 501, 401, 301, 201, 101, 1});
    REQUIRE(steps(10, Spacing::linspace) == List{999, 888, 777, 666, 555, 444, 333, 222, 111, 0});
    REQUIRE(steps(10, Spacing::trailing) == List{999, 899, 799, 699, 599, 499, 399, 299, 199, 99});
    REQUIRE(steps(7, Spacing::linspace) == List{999, 832, 666, 500, 333, 166, 0});
    REQUIRE(steps(16, Spacing::trailing) ==
            List{999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61});
    REQUIRE(steps(1, Spacing::linspace) == List{0});
    REQUIRE(steps(1, Spacing::trailing) == List{999});
    REQUIRE(steps(10, Spacing::quadratic) == List{800, 632, 483, 355, 246, 158, 88, 39, 9, 0});
}

TEST_CASE("the golden beginnings and ends hold") {
    struct Row {
        Index count;
        Spacing spacing;
        Index offset;
        List first, last;
    };
    const std::vector<Row> rows{
        {50, Spacing::leading, 1, {981, 961}, {21, 1}},
        {20, Spacing::leading, 1, {951, 901}, {51, 1}},
        {30, Spacing::leading, 1, {958, 925}, {34, 1}},
        {50, Spacing::linspace, 0, {999, 979, 958, 938}, {20, 0}},
        {20, Spacing::linspace, 0, {999, 946, 894, 841}, {53, 0}},
        {30, Spacing::linspace, 0, {999, 965, 930}, {34, 0}},
        {50, Spacing::trailing, 0, {999, 979}, {39, 19}},
        {20, Spacing::trailing, 0, {999, 949}, {99, 49}},
        {30, Spacing::trailing, 0, {999, 966, 932}, {66, 32}},
    };
    for (const Row& row : rows) {
        const List list = steps(row.count, row.spacing, row.offset);
        INFO(row.count << " steps, " << to_string(row.spacing));
        REQUIRE(static_cast<Index>(list.size()) == row.count);
        REQUIRE(List(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(row.first.size())) == row.first);
        REQUIRE(List(list.end() - 2, list.end()) == row.last);
    }
}

TEST_CASE("impossible step counts are refused") {
    REQUIRE_THROWS_AS(steps(0, Spacing::leading), Error);
    REQUIRE_THROWS_AS(steps(1001, Spacing::trailing), Error);
    REQUIRE_THROWS_AS(steps(1000, Spacing::leading, 1), Error);
    REQUIRE_THROWS_AS(steps(10, Spacing::leading, -1), Error);
    REQUIRE(steps(1000, Spacing::leading).back() == 0);
    REQUIRE_THROWS_AS(parse_spacing("even"), Error);
    for (const char* name : {"leading", "linspace", "trailing", "quadratic"})
        REQUIRE(to_string(parse_spacing(name)) == name);
}

TEST_CASE("ddim goes down by a fixed stride, ddpm to the next entry of the list") {
    const Schedule schedule;
    const SpacingOptions linspace{.timestep_spacing = Spacing::linspace};
    const Levels ddim = ddim_levels(schedule, 50, {.spacing = linspace});
    const Levels ddpm = ddpm_levels(schedule, 50, linspace);
    REQUIRE(ddim.steps[1].from.t == 979);
    REQUIRE(ddim.steps[1].to.t == 959);
    REQUIRE(ddpm.steps[1].to.t == 958);
    REQUIRE(ddim.steps.back().to.alpha == 1);
    REQUIRE(ddpm.steps.back().to.sigma == 0);
    const Levels stable = ddim_levels(schedule, 50, {.spacing = {.steps_offset = 1}, .set_alpha_to_one = false});
    REQUIRE(stable.steps.back().from.t == 1);
    REQUIRE(stable.steps.back().to.alpha == level(schedule, 0).alpha);
    REQUIRE(stable.steps.back().to.t == -1);
    for (const LevelPair& pair : ddim.steps)
        REQUIRE(std::fabs(pair.from.alpha * pair.from.alpha + pair.from.sigma * pair.from.sigma - 1) < 1e-15);
}

TEST_CASE("inversion walks the same levels up and asks about the upper one") {
    const Schedule schedule;
    const Levels down = ddim_levels(schedule, 10), up = ddim_inverse_levels(schedule, 10);
    REQUIRE(up.steps.size() == 10);
    for (std::size_t k = 0; k < 10; ++k) {
        REQUIRE(up.steps[k].from.alpha == down.steps[9 - k].to.alpha);
        REQUIRE(up.steps[k].to.sigma == down.steps[9 - k].from.sigma);
        REQUIRE(up.steps[k].from.t == down.steps[9 - k].from.t);
    }
}

TEST_CASE("lists of one's own must fall") {
    const Schedule schedule;
    REQUIRE(levels_of_list(schedule, {900, 500, 10}).steps.size() == 3);
    REQUIRE_THROWS_AS(levels_of_list(schedule, {500, 900}), Error);
    REQUIRE_THROWS_AS(levels_of_list(schedule, {1000, 900}), Error);
    REQUIRE_THROWS_AS(levels_of_list(schedule, {}), Error);
}

}  // namespace spacing_test
