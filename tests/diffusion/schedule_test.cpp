#include "genmod/diffusion/schedule.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/level.hpp"
#include "tests/support/catch.hpp"

namespace schedule_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

struct Golden {
    ScheduleOptions options;
    double alpha_bar_0, alpha_bar_500, alpha_bar_999, sigma_0, sigma_999;
};

void require_near(double value, double expected, double relative) {
    INFO("found " << value << ", expected " << expected);
    REQUIRE(std::fabs(value - expected) <= relative * std::fabs(expected));
}

}  // namespace

TEST_CASE("beta schedules have the published tables") {
    const std::vector<Golden> table{
        {{}, 0.9999, 0.077796658365, 4.0358297654e-05, 0.010000500038, 157.40728081},
        {{.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear},
         0.99915,
         0.27633268382,
         0.0046600985131,
         0.029167158152,
         14.614641229},
        {{.beta_start = 0.00085, .beta_end = 0.012},
         0.99915,
         0.16077159987,
         0.0015789629306,
         0.029167158152,
         25.146114834},
        {{.beta_schedule = BetaSchedule::squaredcos_cap_v2},
         0.99995871578,
         0.49228517245,
         2.428766907e-09,
         0.0064254127711,
         20291.16961},
        {{.beta_schedule = BetaSchedule::sigmoid},
         0.9998507948,
         0.29888762785,
         3.9681819905e-05,
         0.012215869446,
         158.74336867},
    };
    for (const Golden& golden : table) {
        const Schedule schedule(golden.options);
        INFO(to_string(golden.options.beta_schedule));
        REQUIRE(schedule.steps() == 1000);
        require_near(schedule.alpha_bar(0), golden.alpha_bar_0, 1e-9);
        require_near(schedule.alpha_bar(500), golden.alpha_bar_500, 1e-9);
        require_near(schedule.alpha_bar(999), golden.alpha_bar_999, 1e-9);
        require_near(schedule.sigma_ve(0), golden.sigma_0, 1e-9);
        require_near(schedule.sigma_ve(999), golden.sigma_999, 1e-9);
    }
}

TEST_CASE("the zero-terminal-SNR rescale ends in pure noise and keeps the first step") {
    const Schedule schedule({.beta_start = 0.00085,
                             .beta_end = 0.012,
                             .beta_schedule = BetaSchedule::scaled_linear,
                             .rescale_betas_zero_snr = true});
    require_near(schedule.alpha_bar(0), 0.99915, 1e-8);
    require_near(schedule.alpha_bar(500), 0.24101878276, 1e-9);
    require_near(schedule.alpha_bar(998), 1.9678880566e-07, 1e-9);
    REQUIRE(schedule.alpha_bar(999) == 0);
    REQUIRE(schedule.betas.back() == 1);
    double product = 1;
    for (Index t = 0; t < 999; ++t) {
        product *= 1 - schedule.betas[static_cast<std::size_t>(t)];
        require_near(product, schedule.alpha_bar(t), 1e-10);
    }
}

TEST_CASE("a table of one's own is taken as it is, or refused") {
    const Schedule schedule({.trained_betas = {0.1, 0.2, 1.0}});
    REQUIRE(schedule.steps() == 3);
    require_near(schedule.alpha_bar(1), 0.72, 1e-15);
    REQUIRE(schedule.alpha_bar(2) == 0);
    for (const double bad :
         {0.0, -0.1, 1.0000001, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
        REQUIRE_THROWS_AS(Schedule({.trained_betas = {0.1, bad}}), Error);
    REQUIRE_THROWS_AS(Schedule({.num_train_timesteps = 0}), Error);
    REQUIRE_THROWS_AS(Schedule({.beta_start = -1}), Error);
    REQUIRE_THROWS_AS(Schedule({.beta_end = 1.5}), Error);
    REQUIRE_THROWS_AS(schedule.alpha_bar(3), Error);
    REQUIRE_THROWS_AS(schedule.alpha_bar(-1), Error);
}

TEST_CASE("schedules go by their names") {
    for (const char* name : {"linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"})
        REQUIRE(to_string(parse_beta_schedule(name)) == name);
    REQUIRE_THROWS_AS(parse_beta_schedule("cosine"), Error);
}

TEST_CASE("the forward process and the velocity follow their equations, each sample with its own step") {
    const Schedule schedule;
    Rng rng(1);
    const auto x0 = rng.normals<double>({3, 2, 2, 1}), noise = rng.normals<double>({3, 2, 2, 1});
    const std::vector<Index> t{0, 500, 999};
    const auto noisy = add_noise(schedule, x0, noise, t);
    const auto v = velocity(schedule, x0, noise, t);
    for (Index k = 0; k < noisy.size(); ++k) {
        const double abar = schedule.alpha_bar(t[static_cast<std::size_t>(k / 4)]);
        require_near(noisy[k], std::sqrt(abar) * x0[k] + std::sqrt(1 - abar) * noise[k], 1e-14);
        require_near(v[k], std::sqrt(abar) * noise[k] - std::sqrt(1 - abar) * x0[k], 1e-14);
    }
    REQUIRE_THROWS_AS(add_noise(schedule, x0, noise, {0, 1}), Error);
    REQUIRE_THROWS_AS(add_noise(schedule, x0, noise, {0, 1, 1000}), Error);
    REQUIRE_THROWS_AS(add_noise(schedule, x0, rng.normals<double>({3, 2, 2, 2}), t), Error);
}

}  // namespace schedule_test
