// The samplers on scores that are known exactly: Gaussian data.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stop_token>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "tests/support/catch.hpp"

namespace sampler_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

const GaussianMixture gaussian = GaussianMixture::normal(0.3, 0.5);

struct Moments {
    double mean = 0, std = 0;
};

Moments moments(const Tensor<double>& x) {
    Moments m;
    for (const double value : x) m.mean += value / static_cast<double>(x.size());
    for (const double value : x) m.std += (value - m.mean) * (value - m.mean) / static_cast<double>(x.size());
    m.std = std::sqrt(m.std);
    return m;
}

double distance(const Tensor<double>& a, const Tensor<double>& b) {
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
    return most;
}

// One step from given noise.
template <class Sampler>
Tensor<double> one_step(const Sampler& sampler, const Tensor<double>& x, const LevelPair& pair,
                        const Tensor<double>& z) {
    typename Sampler::template State<double> state;
    return run_sampler(gaussian, sampler, Levels{{pair}}, x, GivenNoise<double>{{z}}, state);
}

}  // namespace

TEST_CASE("DDIM with eta 1 over all steps is DDPM with the small variance") {
    const Schedule schedule;
    Rng rng(2);
    const auto x = rng.normals<double>({2, 3, 3, 1}), z = rng.normals<double>({2, 3, 3, 1});
    const auto none = Tensor<double>::zeros({2, 3, 3, 1});
    const Levels levels = ddpm_levels(schedule, 1000);
    for (const LevelPair& pair : levels.steps) {
        if (pair.from.t == 0) continue;
        const auto ddpm_mean = one_step(Ddpm{}, x, pair, none);
        const auto ddim_mean = one_step(Ddim{.eta = 1}, x, pair, none);
        REQUIRE(distance(ddpm_mean, ddim_mean) <= 1e-12);
        REQUIRE(distance(one_step(Ddpm{}, x, pair, z), one_step(Ddim{.eta = 1}, x, pair, z)) <= 1e-12);
        REQUIRE(std::fabs(std::sqrt(Posterior(pair.from, pair.to).small) -
                          Ddim{.eta = 1}.noise_std(pair.from, pair.to)) <= 1e-12);
    }
}

TEST_CASE("a whole DDPM run equals a whole DDIM run of eta 1 with the same seed") {
    const Schedule schedule;
    const Levels levels = ddpm_levels(schedule, 1000);
    const SampleOptions<double> options{.shape = {4, 2, 2, 1}, .seed = 3};
    const auto a = sample<double>(gaussian, Ddpm{}, levels, options);
    const auto b = sample<double>(gaussian, Ddim{.eta = 1}, levels, options);
    REQUIRE(distance(a, b) <= 1e-9);
}

TEST_CASE("an exact score gives the right mean and spread") {
    const Schedule schedule;
    const SampleOptions<double> options{.shape = {32, 16, 16, 1}, .seed = 5};
    const double n = 32 * 256;
    const auto require_moments = [&](const Tensor<double>& x, double bias) {
        const Moments m = moments(x);
        INFO("mean " << m.mean << ", std " << m.std);
        REQUIRE(std::fabs(m.mean - 0.3) <= 5 * 0.5 / std::sqrt(n) + bias);
        REQUIRE(std::fabs(m.std - 0.5) <= 5 * 0.5 / std::sqrt(2 * n) + bias);
    };
    require_moments(sample<double>(gaussian, Ddpm{}, ddpm_levels(schedule, 1000), options), 0.002);
    require_moments(sample<double>(gaussian, Ddim{}, ddim_levels(schedule, 1000), options), 0.002);
    require_moments(sample<double>(gaussian, Ddim{.eta = 0.5}, ddim_levels(schedule, 500), options), 0.005);
    // Data of no spread: 50 steps are as good as any, since x0 is known at once.
    const auto point = sample<double>(GaussianMixture::normal(0.3, 0), Ddim{}, ddim_levels(schedule, 50), options);
    REQUIRE(std::fabs(moments(point).mean - 0.3) < 1e-9);
    REQUIRE(moments(point).std < 1e-6);
}

TEST_CASE("the variance types have their variances") {
    const Schedule schedule;
    Rng rng(4);
    const Shape shape{1, 2, 2, 1};
    const auto x = rng.normals<double>(shape), none = Tensor<double>::zeros(shape),
               ones = Tensor<double>::full(shape, 1);
    for (const LevelPair& pair : ddpm_levels(schedule, 7).steps) {
        if (pair.from.t == 0) continue;
        const auto std = [&](VarianceType type, double raw) {
            const auto ask = [&](const Tensor<double>& in, const NoiseLevel& at) {
                auto said = gaussian(in, at);
                if (type == VarianceType::learned || type == VarianceType::learned_range)
                    said.variance = Tensor<double>::full(shape, raw);
                return said;
            };
            const Ddpm ddpm{.variance_type = type};
            Ddpm::State<double> state;
            const auto with = run_sampler(ask, ddpm, Levels{{pair}}, x, GivenNoise<double>{{ones}}, state);
            const auto without = run_sampler(ask, ddpm, Levels{{pair}}, x, GivenNoise<double>{{none}}, state);
            return with[0] - without[0];
        };
        const double abar = pair.from.alpha * pair.from.alpha, after = pair.to.alpha * pair.to.alpha;
        const double large = 1 - abar / after, small = std::max((1 - after) / (1 - abar) * large, 1e-20);
        REQUIRE(std(VarianceType::fixed_small, 0) == Approx(std::sqrt(small)).epsilon(1e-9).margin(1e-12));
        REQUIRE(std(VarianceType::fixed_small_log, 0) == Approx(std::sqrt(small)).epsilon(1e-9).margin(1e-12));
        REQUIRE(std(VarianceType::fixed_large, 0) == Approx(std::sqrt(large)).epsilon(1e-9));
        REQUIRE(std(VarianceType::fixed_large_log, 0) == Approx(std::sqrt(large)).epsilon(1e-9));
        REQUIRE(std(VarianceType::learned, 0.04) == Approx(0.2).epsilon(1e-9));
        REQUIRE(std(VarianceType::learned_range, 1) == Approx(std::sqrt(large)).epsilon(1e-9));
        REQUIRE(std(VarianceType::learned_range, -1) == Approx(std::sqrt(small)).epsilon(1e-9).margin(1e-12));
        REQUIRE(std(VarianceType::learned_range, 0) ==
                Approx(std::pow(small * large, 0.25)).epsilon(1e-9).margin(1e-12));
    }
    REQUIRE_THROWS_AS(
        one_step(Ddpm{.variance_type = VarianceType::learned}, x, ddpm_levels(schedule, 7).steps[0], none), Error);
    for (const char* name :
         {"fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"})
        REQUIRE(to_string(parse_variance_type(name)) == name);
    REQUIRE_THROWS_AS(parse_variance_type("small"), Error);
}

TEST_CASE("inversion finds the noise, and sampling from it gives the picture back") {
    const Schedule schedule;
    const auto x0 = Rng(6).normals<double>({1, 4, 4, 1});
    const auto error = [&](Index count) {
        const auto noise = sample<double>(GaussianMixture::normal(0, 1.5), Ddim{}, ddim_inverse_levels(schedule, count),
                                          {.start = x0});
        const auto back =
            sample<double>(GaussianMixture::normal(0, 1.5), Ddim{}, ddim_levels(schedule, count), {.start = noise});
        return distance(back, x0);
    };
    const double at_50 = error(50), at_200 = error(200), at_1000 = error(1000);
    INFO("errors " << at_50 << ", " << at_200 << ", " << at_1000);
    REQUIRE(at_1000 < 0.01);
    REQUIRE(at_200 < at_50 / 2);
    REQUIRE(at_1000 < at_200 / 3);
    const SampleOptions<double> up{.start = x0};
    REQUIRE_THROWS_AS(sample<double>(gaussian, Ddim{.eta = 0.5}, ddim_inverse_levels(schedule, 10), up), Error);
    REQUIRE_THROWS_AS(sample<double>(gaussian, Ddpm{}, ddim_inverse_levels(schedule, 10), up), Error);
}

TEST_CASE("inversion of a fixed x0 is exact") {
    const Schedule schedule;
    const auto x0 = Rng(7).normals<double>({1, 4, 4, 1});
    const auto exact = [&](const Tensor<double>& x, const NoiseLevel& at) {
        const auto eps = at.sigma == 0 ? x0.clone() : eps_from_x0(x, x0, at);
        return Prediction<double>{.x0 = x0, .eps = eps, .variance = {}, .gradient = {}};
    };
    const auto noise = sample<double>(exact, Ddim{}, ddim_inverse_levels(schedule, 10), {.start = x0});
    const auto back = sample<double>(exact, Ddim{}, ddim_levels(schedule, 10), {.start = noise});
    REQUIRE(distance(back, x0) <= 1e-12);
    REQUIRE(distance(noise, x0) > 0.01);
}

TEST_CASE("the corrected noise belongs to the clipped picture") {
    const NoiseLevel from{0.6, 0.8, 500}, to{0.8, 0.6, 250};
    const auto x = Tensor<double>::from({1, 2}, {3, -0.2}), eps = Tensor<double>::from({1, 2}, {0.5, -0.5});
    const auto predict = denoiser([&](const Tensor<double>&, const Tensor<double>&) { return eps; });
    typename Ddim::State<double> state;
    const GivenNoise<double> none;
    const auto plain = run_sampler(predict, Ddim{}, Levels{{{from, to}}}, x, none, state);
    const auto corrected =
        run_sampler(predict, Ddim{.use_clipped_model_output = true}, Levels{{{from, to}}}, x, none, state);
    REQUIRE(plain[0] == Approx(0.8 * 1 + 0.6 * 0.5));
    REQUIRE(corrected[0] == Approx(0.8 * 1 + 0.6 * (3 - 0.6) / 0.8));
    REQUIRE(plain[1] == Approx(corrected[1]));
}

TEST_CASE("a picture of a batch is the picture sampled alone") {
    const Levels levels = ddim_levels(Schedule(), 20);
    const auto batch = sample<double>(gaussian, Ddim{.eta = 1}, levels, {.shape = {5, 3, 3, 2}, .seed = 10});
    for (Index k = 0; k < 5; ++k) {
        const SampleOptions<double> alone{.shape = {1, 3, 3, 2}, .seeds = {10 + static_cast<std::uint64_t>(k)}};
        const auto one = sample<double>(gaussian, Ddim{.eta = 1}, levels, alone);
        REQUIRE(std::equal(one.begin(), one.end(), batch.data() + k * 18));
    }
    const SampleOptions<double> wrong{.shape = {2, 3}, .seeds = {1}};
    REQUIRE_THROWS_AS(sample<double>(gaussian, Ddim{}, levels, wrong), Error);
}

TEST_CASE("the loop can be cut in two") {
    const Levels levels = ddpm_levels(Schedule(), 20);
    const SampleOptions<double> options{.shape = {2, 3, 3, 1}, .seed = 11};
    const auto whole = sample<double>(gaussian, Ddpm{}, levels, options);
    const auto half = sample<double>(gaussian, Ddpm{}, levels, options, [](SampleStep<double>& step) {
        if (step.step == 8) step.stop = true;
    });
    const auto rest = sample<double>(gaussian, Ddpm{}, levels, {.seed = 11, .start = half, .first = 8});
    REQUIRE(distance(whole, rest) == 0);
    REQUIRE(distance(whole, half) > 0);
}

TEST_CASE("callbacks see each step and may change the picture") {
    const Levels levels = ddim_levels(Schedule(), 4);
    std::vector<double> times;
    const auto zero = sample<double>(gaussian, Ddim{}, levels, {.shape = {1, 2}}, [&](SampleStep<double>& step) {
        REQUIRE(step.total == 4);
        REQUIRE(step.prediction.x0.shape() == step.x.shape());
        times.push_back(step.level.t);
        step.x.fill(step.step == 4 ? 0.0 : 1.0);
    });
    REQUIRE(times == std::vector<double>{500, 250, 0, -1});
    REQUIRE(zero[0] == 0);
    Index last = 0;
    sample<double>(gaussian, Ddim{}, levels, {.shape = {1, 2}}, [&](Index step, Index) { last = step; });
    REQUIRE(last == 4);
}

TEST_CASE("numbers that go astray are an error that names the step") {
    const Levels levels = ddim_levels(Schedule(), 10);
    const auto bad = [](const Tensor<double>& x, const NoiseLevel& at) {
        auto said = gaussian(x, at);
        if (at.t == 600) said.eps[5] = std::numeric_limits<double>::infinity();
        return said;
    };
    try {
        sample<double>(bad, Ddim{}, levels, {.shape = {3, 2, 1}});
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 4 of 10 in picture 2") != std::string::npos);
    }
}

TEST_CASE("a stop request ends sampling within a step") {
    const Levels levels = ddim_levels(Schedule(), 10);
    std::stop_source source;
    const Stop scope(source.get_token());
    Index steps = 0;
    try {
        sample<double>(gaussian, Ddim{}, levels, {.shape = {1, 2}}, [&](SampleStep<double>& step) {
            steps = step.step;
            if (step.step == 3) source.request_stop();
        });
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::stopped);
        REQUIRE(steps == 3);
    }
}

}  // namespace sampler_test
