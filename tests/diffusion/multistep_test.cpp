// The exponential solvers on a score that is known exactly: orders, identities, laws, ends and resuming.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/resume.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/deis.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sampler/dpm_solver_singlestep.hpp"
#include "genmod/diffusion/sampler/dpmpp_3m_sde.hpp"
#include "genmod/diffusion/sampler/sa_solver.hpp"
#include "genmod/diffusion/sampler/unipc.hpp"
#include "tests/support/catch.hpp"

namespace multistep_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using Multistep = DpmSolverMultistep;
using Singlestep = DpmSolverSinglestep;

const auto data = GaussianMixture::normal(0, 0.5);
constexpr auto sde_pp = DpmAlgorithm::sde_dpmsolver_pp;
constexpr auto eps_form = DpmAlgorithm::dpmsolver;
constexpr auto heun = DpmSolverType::heun;

enum class Frame { preserving, exploding, flow };

NoiseLevel level_in(Frame frame, double sigma, double t = 500) {
    if (frame == Frame::exploding) return {1, sigma, t};
    if (frame == Frame::flow) return {1 / (1 + sigma), sigma / (1 + sigma), t};
    return vp_level(sigma, t);
}

Levels levels_of(const std::vector<double>& sigmas, Frame frame = Frame::preserving) {
    Levels levels;
    for (std::size_t k = 0; k + 1 < sigmas.size(); ++k)
        levels.steps.push_back({level_in(frame, sigmas[k]), level_in(frame, sigmas[k + 1])});
    return levels;
}

// n steps with Karras' spacing (rho 7) from 14.61464 to 0.1.
std::vector<double> karras(Index n) {
    std::vector<double> sigmas;
    const double first = std::pow(14.61464, 1 / 7.0), last = std::pow(0.1, 1 / 7.0);
    for (Index k = 0; k <= n; ++k)
        sigmas.push_back(std::pow(first + (last - first) * static_cast<double>(k) / static_cast<double>(n), 7));
    return sigmas;
}

double spread(const NoiseLevel& at) { return std::hypot(at.alpha * 0.5, at.sigma); }

double distance(const Tensor<double>& a, const Tensor<double>& b) {
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
    return most;
}

// A run without noise of its own.
template <class Sampler>
Tensor<double> run(const Sampler& sampler, const Levels& levels, const Tensor<double>& x, Index first = 0) {
    typename Sampler::template State<double> state;
    const GivenNoise<double> still{{levels.steps.size(), Tensor<double>::zeros(x.shape())}};
    return run_sampler(data, sampler, levels, x, still, state, first);
}

// The relative error of the end of a deterministic run.
template <class Sampler>
double error(const Sampler& sampler, Index n, Frame frame = Frame::preserving) {
    const Levels levels = levels_of(karras(n), frame);
    const auto start = Tensor<double>::full({1, 1}, spread(levels.steps.front().from));
    return std::fabs(run(sampler, levels, start)[0] / spread(levels.steps.back().to) - 1);
}

template <class Sampler>
double observed_order(const Sampler& sampler, Index n) {
    return std::log2(error(sampler, n) / error(sampler, 2 * n));
}

// The relative error of the variance after a run with noise: all of it is linear in the start and the noises, so
// picture k of a batch gets the k-th of them alone.
template <class Sampler>
double variance_error(const Sampler& sampler, Index n) {
    const Levels levels = levels_of(karras(n));
    const Shape shape{n + 1, 1};
    auto start = Tensor<double>::zeros(shape);
    start[n] = spread(levels.steps.front().from);
    GivenNoise<double> noise;
    for (Index k = 0; k < n; ++k) {
        noise.steps.push_back(Tensor<double>::zeros(shape));
        noise.steps.back()[k] = 1;
    }
    typename Sampler::template State<double> state;
    const auto x = run_sampler(data, sampler, levels, start, noise, state);
    double variance = 0;
    for (const double part : x) variance += part * part;
    return std::fabs(variance / std::pow(spread(levels.steps.back().to), 2) - 1);
}

}  // namespace

TEST_CASE("errors on an exact score are those of the published solvers") {
    const auto check_errors = [](const std::string& name, const auto& sampler, const std::vector<double>& expected) {
        Index n = 10;
        for (const double error_there : expected) {
            INFO(name << " with " << n << " steps");
            for (const Frame frame : {Frame::preserving, Frame::exploding, Frame::flow})
                REQUIRE(error(sampler, n, frame) == Approx(error_there).epsilon(0.005));
            n *= 2;
        }
    };
    const std::vector<double> first_order{1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2};
    check_errors("DDIM", Ddim{}, first_order);
    check_errors("DPM-Solver-1", Multistep{.solver_order = 1}, first_order);
    check_errors("DPM++ 2M", Multistep{.lower_order_final = false}, {1.62e-2, 6.48e-3, 1.74e-3, 4.41e-4});
    check_errors("DPM++ 3M", Multistep{.solver_order = 3, .lower_order_final = false},
                 {3.15e-2, 3.13e-3, 5.57e-4, 1.30e-4});
    check_errors("DEIS-2", Deis{.lower_order_final = false}, {2.65e-2, 6.62e-3, 1.63e-3, 4.01e-4});
    check_errors("UniPC-2", UniPc{}, {1.39e-2, 1.26e-3, 4.10e-4, 1.25e-4});
}

TEST_CASE("the solvers converge with their orders") {
    REQUIRE(observed_order(Multistep{.solver_order = 1}, 160) == Approx(1).margin(0.05));
    for (const auto algorithm : {DpmAlgorithm::dpmsolver_pp, eps_form})
        for (const auto type : {DpmSolverType::midpoint, heun}) {
            REQUIRE(observed_order(Multistep{.algorithm_type = algorithm, .solver_type = type}, 160) > 1.9);
            REQUIRE(observed_order(Singlestep{.algorithm_type = algorithm, .solver_type = type}, 160) > 1.9);
            REQUIRE(observed_order(Singlestep{.solver_order = 3, .algorithm_type = algorithm, .solver_type = heun},
                                   81) > 2.8);
        }
    REQUIRE(observed_order(Deis{.solver_order = 2}, 160) > 1.9);
    REQUIRE(observed_order(Deis{.solver_order = 3}, 160) > 1.9);  // its first-order start caps it
    for (const bool x0 : {true, false})
        for (const auto type : {UniPcType::bh1, UniPcType::bh2})
            for (const Index order : {2, 3})
                REQUIRE(observed_order(UniPc{.solver_order = order, .predict_x0 = x0, .solver_type = type}, 160) > 1.8);
    for (const bool x0 : {true, false}) REQUIRE(observed_order(SaSolver{.data_prediction = x0, .tau = 0}, 160) > 1.8);
}

TEST_CASE("solvers that are one method under several names give the same picture") {
    const auto x = Rng(1).normals<double>({2, 3, 3, 1});
    const Levels levels = levels_of(karras(20));
    const auto same = [&](const auto& a, const auto& b) {
        for (const Frame frame : {Frame::preserving, Frame::exploding, Frame::flow}) {
            const Levels there = levels_of(karras(20), frame);
            REQUIRE(distance(run(a, there, x), run(b, there, x)) < 1e-11);
        }
    };
    same(Ddim{}, Multistep{.solver_order = 1});
    same(Ddim{}, Multistep{.solver_order = 1, .algorithm_type = eps_form});
    same(Ddim{}, Singlestep{.solver_order = 1});
    same(Ddim{}, Deis{.solver_order = 1});
    same(Deis{}, Multistep{.algorithm_type = eps_form, .solver_type = heun});
    UniPc predictor;
    for (Index k = 0; k < 20; ++k) predictor.disable_corrector.push_back(k);
    predictor.lower_order_final = false;
    same(predictor, Multistep{});
    same(Multistep{}, Multistep{.algorithm_type = sde_pp, .eta = 0});
    same(Multistep{.solver_order = 3, .solver_type = heun}, dpmpp_3m_sde(0));
    // The first-order SDE is DDIM of eta 1, noise and all.
    const SampleOptions<double> options{.shape = x.shape(), .seed = 3};
    const auto ddim = sample<double>(data, Ddim{.eta = 1}, levels, options);
    REQUIRE(distance(ddim, sample<double>(data, Multistep{.solver_order = 1, .algorithm_type = sde_pp}, levels,
                                          options)) < 1e-11);
    REQUIRE(distance(ddim, run(Ddim{}, levels, x)) > 0.1);
}

TEST_CASE("a run on variance-exploding levels is that on preserving ones, times alpha") {
    const auto x = Rng(2).normals<double>({1, 2, 2, 1});
    const Levels exploding = levels_of(karras(16), Frame::exploding), preserving = levels_of(karras(16));
    const double first = preserving.steps.front().from.alpha, last = preserving.steps.back().to.alpha;
    const auto check_frames = [&](const auto& sampler) {
        const auto a = run(sampler, preserving, combine(first, x, 0, x)), b = run(sampler, exploding, x);
        REQUIRE(distance(a, combine(last, b, 0, b)) < 1e-12);
    };
    check_frames(Multistep{.solver_order = 3});
    check_frames(Multistep{.algorithm_type = DpmAlgorithm::sde_dpmsolver});
    check_frames(Singlestep{.solver_order = 3});
    check_frames(UniPc{.solver_order = 3});
    check_frames(Deis{.solver_order = 3});
    check_frames(SaSolver{});
}

TEST_CASE("SDE solvers leave the right law") {
    const auto order = [](const auto& sampler) {
        return std::log2(variance_error(sampler, 80) / variance_error(sampler, 160));
    };
    for (const double eta : {0.5, 1.0}) {
        REQUIRE(order(Multistep{.solver_order = 1, .algorithm_type = sde_pp, .eta = eta}) == Approx(1).margin(0.1));
        for (const auto type : {DpmSolverType::midpoint, heun}) {
            const Multistep second{.algorithm_type = sde_pp, .solver_type = type, .eta = eta};
            REQUIRE(variance_error(second, 160) < 0.02);
            REQUIRE(order(second) > 0.8);
        }
        REQUIRE(variance_error(dpmpp_3m_sde(eta), 160) < 0.02);
        REQUIRE(variance_error(SaSolver{.tau = std::sqrt(eta)}, 160) < 0.02);
        REQUIRE(variance_error(SaSolver{.data_prediction = false, .tau = std::sqrt(eta)}, 160) < 0.02);
    }
    REQUIRE(variance_error(Multistep{.algorithm_type = DpmAlgorithm::sde_dpmsolver}, 160) < 0.02);
    REQUIRE(order(Singlestep{.algorithm_type = sde_pp}) > 0.8);
    REQUIRE(variance_error(Multistep{.algorithm_type = sde_pp, .s_noise = 1.1}, 160) > 0.1);
}

TEST_CASE("the sign that diffusers has wrong in the third-order SDE costs the right law") {
    auto slipping = dpmpp_3m_sde();
    slipping.diffusers_sde_third_order = true;
    REQUIRE(variance_error(slipping, 160) > 20 * variance_error(dpmpp_3m_sde(), 160));
    Singlestep single{.solver_order = 3, .algorithm_type = sde_pp, .solver_type = heun};
    REQUIRE(variance_error(single, 81) < 0.2);
    single.diffusers_sde_third_order = true;
    REQUIRE(variance_error(single, 81) > 10);
}

TEST_CASE("with the noise of a Brownian motion more steps give the same picture") {
    const auto change = [](bool brownian) {
        const Multistep sampler{.algorithm_type = sde_pp, .brownian = brownian};
        const SampleOptions<double> options{.shape = {4, 4, 4, 1}, .seed = 5};
        const auto coarse = sample<double>(data, sampler, levels_of(karras(60)), options);
        return distance(coarse, sample<double>(data, sampler, levels_of(karras(120)), options));
    };
    REQUIRE(change(true) < 0.1);
    REQUIRE(change(false) > 1);
}

TEST_CASE("a run goes on from a saved state bit for bit, and a picture of a batch is the picture alone") {
    const Levels levels = levels_of(karras(9));
    const std::string path = (std::filesystem::temp_directory_path() / "genmod_multistep_test.safetensors").string();
    const auto check_run = [&](const auto& sampler) {
        const SampleOptions<float> options{.shape = {3, 2, 2, 1}, .seed = 7};
        const auto whole = sample<float>(data, sampler, levels, options);
        for (const Index cut : {1, 2, 4, 7}) {
            auto run = begin_run(sampler, levels, options);
            sample(data, sampler, levels, run, [&](SampleStep<float>& step) { step.stop = step.step == cut; });
            save_run(path, run, levels);
            auto again = load_run<float>(path, sampler, levels);
            const auto rest = sample(data, sampler, levels, again);
            REQUIRE(std::equal(whole.begin(), whole.end(), rest.begin()));
        }
        const auto alone = sample<float>(data, sampler, levels, {.shape = {1, 2, 2, 1}, .seeds = {9}});
        REQUIRE(std::equal(alone.begin(), alone.end(), whole.data() + 8));
    };
    check_run(dpmpp_3m_sde());
    check_run(Singlestep{.solver_order = 3, .algorithm_type = sde_pp});
    check_run(UniPc{.solver_order = 3});
    check_run(Deis{.solver_order = 3});
    check_run(SaSolver{.predictor_order = 3, .corrector_order = 4});
    std::filesystem::remove(path);
}

TEST_CASE("a run that begins in the middle warms up") {
    const auto sigmas = karras(24);
    const Levels levels = levels_of(sigmas), rest = levels_of({sigmas.begin() + 6, sigmas.end()});
    const auto x = Rng(3).normals<double>({1, 2, 2, 1});
    const auto check_middle = [&](const auto& sampler) {
        REQUIRE(distance(run(sampler, levels, x, 6), run(sampler, rest, x)) == 0);
    };
    check_middle(Multistep{.solver_order = 3});
    check_middle(Singlestep{.solver_order = 3});
    check_middle(UniPc{.solver_order = 3});
    check_middle(Deis{.solver_order = 3});
    check_middle(SaSolver{});
    // Inside a block, the single-step solver begins one there.
    const Singlestep single{.solver_order = 3};
    Levels short_way = levels;
    short_way.steps.resize(9);
    REQUIRE(distance(run(single, short_way, x, 7),
                     run(Singlestep{}, levels_of({sigmas.begin() + 7, sigmas.begin() + 10}), x)) < 1e-14);
}

TEST_CASE("runs may begin at pure noise and end without any") {
    auto sigmas = karras(12);
    sigmas.push_back(0);
    Levels near = levels_of(sigmas);
    near.steps.front().from = {1e-7, std::sqrt(1 - 1e-14), 999};
    Levels pure = near;
    pure.steps.front().from = {0, 1, 999};
    const auto x = Rng(4).normals<double>({1, 2, 2, 1});
    const auto check_ends = [&](const auto& sampler) {
        REQUIRE(distance(run(sampler, pure, x), run(sampler, near, x)) < 0.02);
    };
    check_ends(Multistep{});
    check_ends(Multistep{.solver_order = 3});
    check_ends(Multistep{.algorithm_type = sde_pp});
    check_ends(Singlestep{.solver_order = 3});
    check_ends(UniPc{});
    REQUIRE_THROWS_AS(run(UniPc{.solver_type = UniPcType::bh1}, pure, x), Error);
    REQUIRE_THROWS_AS(run(SaSolver{}, pure, x), Error);
    REQUIRE_THROWS_AS(run(Deis{}, pure, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{.algorithm_type = eps_form}, pure, x), Error);
    // The last step gives the x0 of its beginning, whatever is integrated.
    const auto check_clean = [&]<class Sampler>(const Sampler& sampler) {
        typename Sampler::template State<double> state;
        Index seen = 0;
        run_sampler(data, sampler, levels_of(sigmas), x, SeededNoise({1}), state, 0, [&](SampleStep<double>& step) {
            if (step.step == step.total) REQUIRE(distance(step.x, step.prediction.x0) == 0);
            ++seen;
        });
        REQUIRE(seen == 13);
    };
    check_clean(Multistep{.algorithm_type = eps_form});
    check_clean(Multistep{.algorithm_type = DpmAlgorithm::sde_dpmsolver});
    check_clean(Deis{});
    check_clean(UniPc{.predict_x0 = false});
    check_clean(UniPc{.solver_type = UniPcType::bh1});
    check_clean(SaSolver{});
}

TEST_CASE("a level that comes twice is no step, and after a turn a solver begins anew") {
    const auto x = Rng(5).normals<double>({1, 2, 2, 1});
    auto sigmas = karras(16), twice = sigmas;
    twice.push_back(twice.back());
    twice.insert(twice.begin() + 5, twice[5]);
    const auto check_repeat = [&](const auto& sampler) {
        const auto a = run(sampler, levels_of(sigmas), x), b = run(sampler, levels_of(twice), x);
        REQUIRE(distance(a, b) < 0.01);
    };
    check_repeat(Multistep{.solver_order = 3});
    check_repeat(Multistep{.algorithm_type = sde_pp, .solver_type = heun});
    check_repeat(Deis{.solver_order = 3});
    check_repeat(UniPc{.solver_order = 3});
    check_repeat(SaSolver{.predictor_order = 3});
    // Up and down again.
    const Multistep second{.lower_order_final = false};
    const auto turn = run(second, levels_of({0.5, 1, 2, 1, 0.5}), x);
    const auto up = run(second, levels_of({0.5, 1, 2}), x);
    REQUIRE(distance(turn, run(second, levels_of({2, 1, 0.5}), up)) == 0);
}

TEST_CASE("inversion finds the noise, and the way down gives the picture back") {
    const auto x = Rng(6).normals<double>({1, 3, 3, 1});
    const auto there_and_back = [&](Index n) {
        auto sigmas = karras(n);
        const Levels down = levels_of(sigmas);
        std::reverse(sigmas.begin(), sigmas.end());
        return distance(run(Multistep{}, down, run(Multistep{}, levels_of(sigmas), x)), x);
    };
    REQUIRE(there_and_back(80) < 0.01);
    REQUIRE(there_and_back(80) < there_and_back(40) / 3);
}

TEST_CASE("options and levels that do not fit are refused") {
    const auto x = Tensor<double>::full({1, 2}, 1);
    const Levels down = levels_of({3, 1, 0.3, 0.1}), up = levels_of({0.1, 1});
    REQUIRE_THROWS_AS(run(Multistep{.solver_order = 0}, down, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{.solver_order = 4}, down, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{.solver_order = 3, .algorithm_type = DpmAlgorithm::sde_dpmsolver}, down, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{.algorithm_type = sde_pp}, up, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{.algorithm_type = sde_pp, .eta = -1}, down, x), Error);
    REQUIRE_THROWS_AS(run(Multistep{}, levels_of({0, 1}), x), Error);
    REQUIRE_THROWS_AS(run(Singlestep{.solver_order = 4}, down, x), Error);
    REQUIRE_THROWS_AS(run(Singlestep{.algorithm_type = DpmAlgorithm::sde_dpmsolver}, down, x), Error);
    REQUIRE_THROWS_AS(run(UniPc{.solver_order = 7}, down, x), Error);
    REQUIRE_THROWS_AS(run(Deis{.solver_order = 4}, down, x), Error);
    REQUIRE_THROWS_AS(run(SaSolver{.predictor_order = 5}, down, x), Error);
    REQUIRE_THROWS_AS(run(SaSolver{.corrector_order = 0}, down, x), Error);
    UniPc::State<double> damaged;
    damaged.order = 2;
    REQUIRE_THROWS_AS(run_sampler(data, UniPc{}, down, x, GivenNoise<double>{}, damaged, 1), Error);
    for (const char* name : {"dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"})
        REQUIRE(to_string(parse_dpm_algorithm(name)) == name);
    for (const char* name : {"midpoint", "heun"}) REQUIRE(to_string(parse_dpm_solver_type(name)) == name);
    for (const char* name : {"bh1", "bh2"}) REQUIRE(to_string(parse_unipc_type(name)) == name);
    REQUIRE_THROWS_AS(parse_dpm_algorithm("deis"), Error);
    REQUIRE_THROWS_AS(parse_dpm_solver_type("bh2"), Error);
    REQUIRE_THROWS_AS(parse_unipc_type("heun"), Error);
}

TEST_CASE("phi functions and Adams weights integrate as they say") {
    REQUIRE(phi(1, 0) == 1);
    REQUIRE(phi(3, 0) == Approx(1 / 6.0));
    for (const double z : {-30.0, -2.0, -1.0, -0.999999, -0.3, 1e-9, 0.5, 0.999999, 1.0, 4.0}) {
        // Simpson's rule on the integral of e^{(1-s) z} s^power.
        const auto integral = [&](int power) {
            double sum = 0;
            for (int k = 0; k <= 2000; ++k) {
                const double s = k / 2000.0;
                sum += (k % 2 == 1 ? 4 : k == 0 || k == 2000 ? 2 / 2 : 2) * std::exp((1 - s) * z) * std::pow(s, power);
            }
            return sum / 6000;
        };
        REQUIRE(phi(1, z) == Approx(integral(0)).epsilon(1e-8));
        REQUIRE(phi(4, z) == Approx(integral(3) / 6).epsilon(1e-8));
        const std::vector<double> nodes{0, -0.7, -2.1, 1};
        const auto weights = adams_weights(z, nodes);
        for (int power = 0; power < 4; ++power) {
            double sum = 0;
            for (std::size_t k = 0; k < 4; ++k) sum += weights[k] * std::pow(nodes[k], power);
            REQUIRE(sum == Approx(integral(power)).epsilon(1e-7).margin(1e-12));
        }
    }
    REQUIRE(phi(1, -HUGE_VAL) == 0);
}

}  // namespace multistep_test
