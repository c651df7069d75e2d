// Lists of sigmas and the runs through them, against scipy's, k-diffusion's and the published numbers.
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "genmod/diffusion/beta_quantile.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/sigma_lists.hpp"
#include "tests/support/golden.hpp"

namespace levels_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

using List = std::vector<double>;

const Schedule& stable_diffusion() {
    static const Schedule schedule(
        {.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear});
    return schedule;
}

void require_list(const List& found, const List& expected, double tolerance) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t k = 0; k < found.size(); ++k) {
        INFO("number " << k << ": found " << found[k] << ", expected " << expected[k]);
        REQUIRE(std::abs(found[k] - expected[k]) <= tolerance * std::abs(expected[k]));
    }
}

List sigmas_of(const Levels& levels) {
    List result;
    for (const LevelPair& pair : levels.steps) result.push_back(sigma_ve(pair.from));
    return result;
}

List steps_of(const Levels& levels) {
    List result;
    for (const LevelPair& pair : levels.steps) result.push_back(pair.from.t);
    return result;
}

// Each step begins where the last one ended.
void require_chain(const Levels& levels) {
    for (std::size_t k = 1; k < levels.steps.size(); ++k) {
        REQUIRE(levels.steps[k].from.sigma == levels.steps[k - 1].to.sigma);
        REQUIRE(levels.steps[k].from.t == levels.steps[k - 1].to.t);
    }
}

}  // namespace

TEST_CASE("quantiles of the beta distribution are scipy's") {
    const auto rows = Golden("diffusion/levels.safetensors").raw<double>("quantiles");
    REQUIRE(rows.dim(0) == 108);
    for (Index k = 0; k < rows.dim(0); ++k) {
        const double p = rows[5 * k], a = rows[5 * k + 1], b = rows[5 * k + 2];
        INFO("p " << p << ", a " << a << ", b " << b);
        REQUIRE(std::abs(beta_quantile(p, a, b) - rows[5 * k + 3]) <= 1e-11 * rows[5 * k + 3]);
        REQUIRE(std::abs(beta_distribution(p, a, b) - rows[5 * k + 4]) <= 1e-11 * rows[5 * k + 4]);
    }
    REQUIRE_THROWS_AS(beta_quantile(1.5, 0.6, 0.6), Error);
    REQUIRE_THROWS_AS(beta_quantile(0.5, 0, 0.6), Error);
    REQUIRE_THROWS_AS(beta_quantile(std::nan(""), 1, 1), Error);
}

TEST_CASE("the lists of sigmas are k-diffusion's and numpy's") {
    const Golden golden("diffusion/levels.safetensors");
    const SigmaRange range{0.0291671582, 14.6146412293};
    for (const Index n : {1, 2, 10, 25}) {
        const auto require_same = [&](const std::string& name, const List& found) {
            INFO(name << " " << n);
            const auto expected = golden.raw<double>(name + "/" + std::to_string(n));
            require_list(found, {expected.begin(), expected.end()}, 1e-12);
        };
        require_same("karras", karras_sigmas(n, range));
        require_same("karras_5", karras_sigmas(n, range, 5));
        require_same("exponential", exponential_sigmas(n, range));
        require_same("polyexponential_2", polyexponential_sigmas(n, range, 2));
        require_same("vp", vp_sigmas(n));
        require_same("beta", beta_sigmas(n, range));
        require_same("kl_optimal", kl_optimal_sigmas(n, range));
        require_same("ays", ays_sigmas(n));
    }
    REQUIRE(sigmas_of(edm_levels_of_sigmas({80, 2, 0})) == List{80, 2});
    for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
        REQUIRE_THROWS_AS(karras_sigmas(10, {bad, 1}), Error);
        REQUIRE_THROWS_AS(exponential_sigmas(10, {0.1, bad}), Error);
        REQUIRE_THROWS_AS(karras_sigmas(10, range, bad), Error);
    }
    REQUIRE_THROWS_AS(karras_sigmas(0, range), Error);
    REQUIRE_THROWS_AS(karras_sigmas(Index{1} << 60, range), Error);
}

TEST_CASE("the step of a sigma stays within the table, whatever the rounding at its ends") {
    for (const auto beta_schedule : {BetaSchedule::linear, BetaSchedule::scaled_linear, BetaSchedule::sigmoid}) {
        const SigmaTable table(Schedule({.beta_schedule = beta_schedule}));
        for (const double end : {table.smallest(), table.largest()})
            for (const double near :
                 {0.0, 0.999999 * end, std::nextafter(end, 0.0), end, std::nextafter(end, 1e9), 1.000001 * end, 1e9}) {
                const double step = table.step(near);
                REQUIRE((step >= 0 && step <= 999));
                if (near <= table.smallest() || near >= table.largest()) REQUIRE((step == 0 || step == 999));
            }
    }
    REQUIRE_THROWS_AS(SigmaTable(Schedule()).step(-1), Error);
    REQUIRE_THROWS_AS(SigmaTable(Schedule()).step(std::numeric_limits<double>::quiet_NaN()), Error);
}

TEST_CASE("the published numbers of Stable Diffusion's levels hold") {
    const Schedule& schedule = stable_diffusion();
    const Levels karras = sigma_levels(schedule, 10, {.schedule = SigmaSchedule::karras});
    require_chain(karras);
    const List expected{14.61464, 9.10293, 5.47839, 3.1686, 1.74942, 0.91407, 0.44692, 0.2014, 0.08191, 0.02917};
    for (std::size_t k = 0; k < 10; ++k) REQUIRE(std::abs(sigmas_of(karras)[k] - expected[k]) < 6e-6);
    const List steps{999, 916.284, 815.045, 687.153, 523.198, 327.146, 145.938, 40.856, 6.732, 0};
    for (std::size_t k = 0; k < 10; ++k) REQUIRE(std::abs(steps_of(karras)[k] - steps[k]) < 6e-4);
    REQUIRE(karras.steps.back().to.alpha == 1);
    const List linear = sigmas_of(sigma_levels(schedule, 5));
    const List logarithmic = sigmas_of(sigma_levels(schedule, 5, {.log_linear = true}));
    for (std::size_t k = 0; k < 5; ++k)
        REQUIRE(std::abs(linear[k] - List{14.61464, 4.08609, 1.61558, 0.69515, 0.02917}[k]) < 6e-6);
    REQUIRE(std::abs(logarithmic[1] - 4.08608) < 6e-6);
    REQUIRE(std::abs(linear[1] - logarithmic[1]) > 1e-6);
    const SigmaLevelOptions leading{.spacing = {Spacing::leading, 1}, .unit_start = true};
    REQUIRE(std::abs(sigmas_of(sigma_levels(schedule, 20, leading))[0] - 11.02833) < 6e-6);
    REQUIRE(sigma_levels(schedule, 20, leading).start_scale == 1);
    REQUIRE(std::abs(karras.start_scale - 14.61464 / std::hypot(14.61464, 1)) < 1e-7);
    REQUIRE(std::abs(SigmaTable(Schedule({.beta_schedule = BetaSchedule::squaredcos_cap_v2})).largest() - 20291.2) < 1);
    REQUIRE(std::abs(SigmaTable(Schedule({.rescale_betas_zero_snr = true})).largest() - 4096) < 1);
}

TEST_CASE("multistep lists are the published ones") {
    const auto list = [](Index count, Spacing spacing, Index offset = 0) {
        return multistep_timesteps(1000, count, {spacing, offset});
    };
    REQUIRE(list(20, Spacing::linspace).front() == 999);
    REQUIRE(list(20, Spacing::linspace).back() == 50);
    REQUIRE(list(50, Spacing::linspace)[2] == 959);
    REQUIRE(list(30, Spacing::leading, 1)[2] == 897);
    REQUIRE(list(50, Spacing::leading, 1).front() == 951);
    REQUIRE(list(50, Spacing::leading, 1).back() == 20);
    REQUIRE(list(30, Spacing::trailing)[2] == 932);
    REQUIRE_THROWS_AS(list(1000, Spacing::linspace), Error);
    REQUIRE_THROWS_AS(list(10, Spacing::quadratic), Error);
    REQUIRE_THROWS_AS(list(10, Spacing::leading, 500), Error);
    REQUIRE(multistep_timesteps(1000, 10, {Spacing::trailing}, 250).size() == 8);
}

TEST_CASE("the final sigma is none, the smallest of the schedule, or the last again") {
    const Schedule& schedule = stable_diffusion();
    for (const auto list : {SigmaSchedule::table, SigmaSchedule::karras}) {
        const auto last = [&](FinalSigma final_sigma) {
            const Levels levels =
                sigma_levels(schedule, 5, {.multistep = true, .schedule = list, .final_sigma = final_sigma});
            require_chain(levels);
            return levels.steps.back();
        };
        REQUIRE(last(FinalSigma::zero).to.sigma == 0);
        REQUIRE(std::abs(sigma_ve(last(FinalSigma::sigma_min).to) - 0.0291671582) < 1e-9);
        REQUIRE(last(FinalSigma::repeat).to.sigma == last(FinalSigma::repeat).from.sigma);
    }
}

TEST_CASE("a step that is whole but for rounding errors is rounded down to itself") {
    const SigmaLevelOptions options{
        .multistep = true, .schedule = SigmaSchedule::exponential, .rounding = StepRounding::down};
    const List steps = steps_of(sigma_levels(stable_diffusion(), 7, options));
    REQUIRE(steps.front() == 999);
    REQUIRE(steps.back() == 0);
    for (const double t : steps) REQUIRE(t == std::floor(t));
}

TEST_CASE("lists of one's own must be finite and fall") {
    const Schedule& schedule = stable_diffusion();
    REQUIRE(levels_of_sigmas(schedule, {14, 3, 0.5, 0}).steps.size() == 3);
    REQUIRE(levels_of_sigmas(schedule, {14, 3, 0.5}).steps.back().to.sigma > 0);
    REQUIRE(steps_of(levels_of_timesteps(schedule, {900.5, 10})) == List{900.5, 10});
    const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
    for (const List& bad : {List{}, List{1}, List{3, 14}, List{3, 3, 0}, List{3, 0, 0}, List{3, -1}, List{nan, 1},
                            List{3, nan, 0}, List{infinite, 3, 0}}) {
        REQUIRE_THROWS_AS(levels_of_sigmas(schedule, bad), Error);
        REQUIRE_THROWS_AS(edm_levels_of_sigmas(bad), Error);
    }
    for (const List& bad : {List{}, List{3, 14}, List{3, 3}, List{1000}, List{-1}, List{nan}, List{infinite}})
        REQUIRE_THROWS_AS(levels_of_timesteps(schedule, bad), Error);
    REQUIRE_THROWS_AS(levels_of_timesteps(schedule, {900, 10}, {.schedule = SigmaSchedule::karras}), Error);
    for (const List& bad : {List{}, List{0.3, 0.9}, List{0.5, 0}, List{1.5}, List{nan}})
        REQUIRE_THROWS_AS(flow_levels_of_sigmas(bad), Error);
    REQUIRE_THROWS_AS(consistency_levels_of_timesteps({0, 22}), Error);
    REQUIRE_THROWS_AS(consistency_levels_of_timesteps({40}), Error);
}

TEST_CASE("flow matching shifts its list as published") {
    const Levels levels = flow_levels(4, {.shift = 3});
    require_chain(levels);
    const List expected{1, 0.857692, 0.602151, 0.008929};
    for (std::size_t k = 0; k < 4; ++k) {
        REQUIRE(std::abs(levels.steps[k].from.sigma - expected[k]) < 6e-7);
        REQUIRE(std::abs(levels.steps[k].from.t - 1000 * expected[k]) < 6e-4);
    }
    REQUIRE(levels.steps.front().from.alpha == 0);
    REQUIRE(levels.start_scale == 1);
    REQUIRE(std::abs(time_shift(0.5, 1.15, TimeShift::exponential) - shift_sigma(0.5, std::exp(1.15))) < 1e-15);
    REQUIRE(std::abs(flow_levels(5, {.mu = 0.8, .shift_terminal = 0.02}).steps.back().from.sigma - 0.02) < 1e-12);
    REQUIRE(std::abs(flow_mu(4096) - 1.15) < 1e-15);
    for (const double bad : {0.0, -3.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
        REQUIRE_THROWS_AS(flow_levels(4, {.shift = bad}), Error);
        REQUIRE_THROWS_AS(flow_levels(4, {.mu = bad, .time_shift_type = TimeShift::linear}), Error);
        REQUIRE_THROWS_AS(flow_levels(4, {.shift_terminal = bad}), Error);
    }
    REQUIRE_THROWS_AS(flow_levels(4, {.train_steps = Index{1} << 60}), Error);
    REQUIRE_THROWS_AS(flow_levels(0), Error);
}

TEST_CASE("between its levels a run knows what the network is told") {
    const Levels flow = flow_levels(4), edm = edm_levels(4), vp = sigma_levels(stable_diffusion(), 4);
    for (const Levels* levels : {&flow, &edm, &vp})
        for (const LevelPair& pair : levels->steps) {
            if (pair.from.alpha == 0) continue;
            const NoiseLevel same = levels->between(sigma_ve(pair.from));
            REQUIRE(std::abs(same.alpha - pair.from.alpha) < 1e-12);
            REQUIRE(std::abs(same.sigma - pair.from.sigma) < 1e-12 * (1 + same.sigma));
            REQUIRE(std::abs(same.t - pair.from.t) < 1e-9);
            REQUIRE(std::abs(levels->at_time(pair.from.t).sigma - pair.from.sigma) < 1e-12 * (1 + same.sigma));
        }
}

TEST_CASE("the schedules that only some of diffusers' classes have are theirs") {
    const Golden golden("diffusion/levels.safetensors");
    for (const auto type : {BetaSchedule::laplace, BetaSchedule::exp}) {
        const Schedule schedule({.beta_schedule = type});
        const auto expected = golden.raw<double>("schedule/" + to_string(type));
        require_list(schedule.alphas_cumprod, {expected.begin(), expected.end()}, 1e-9);
        REQUIRE(parse_beta_schedule(to_string(type)) == type);
    }
}

}  // namespace levels_test
