// Exact properties of the samplers that walk along sigma, on Gaussian data, whose best answers are linear.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <type_traits>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/dpm_adaptive.hpp"
#include "genmod/diffusion/sampler/dpm_fast.hpp"
#include "genmod/diffusion/sampler/dpmpp_2s_ancestral.hpp"
#include "genmod/diffusion/sampler/dpmpp_sde.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/kdpm2.hpp"
#include "genmod/diffusion/sampler/kdpm2_ancestral.hpp"
#include "genmod/diffusion/sampler/lms.hpp"
#include "tests/support/catch.hpp"

namespace sigma_sampler_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double deviation = 0.5;  // of the data in every number; its mean is 0

template <class T>
Prediction<T> gaussian(const Tensor<T>& x, const NoiseLevel& at) {
    const double part =
        at.alpha * deviation * deviation / (at.alpha * at.alpha * deviation * deviation + at.sigma * at.sigma);
    const Tensor<T> x0 = combine(part, x, 0, x);
    return {.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
}

// A network that is not linear, and that no sampler solves exactly.
template <class T>
Prediction<T> crooked(const Tensor<T>& x, const NoiseLevel& at) {
    const Tensor<T> x0 = zip(x, x, [](T value, T, Index) { return value / (1 + value * value); });
    return {.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
}

enum class Frame { preserving, exploding, flow };
const std::array<Frame, 3> frames{Frame::preserving, Frame::exploding, Frame::flow};

NoiseLevel level_of(Frame frame, double sigma) {
    if (frame == Frame::preserving) return vp_level(sigma, 0);
    if (frame == Frame::exploding) return {1, sigma, 0};
    return std::isinf(sigma) ? NoiseLevel{0, 1, 0} : NoiseLevel{1 / (1 + sigma), sigma / (1 + sigma), 0};
}

Levels levels_of(Frame frame, const std::vector<double>& sigmas) {
    Levels levels;
    for (std::size_t k = 0; k + 1 < sigmas.size(); ++k)
        levels.steps.push_back({level_of(frame, sigmas[k]), level_of(frame, sigmas[k + 1])});
    levels.between = [frame](double sigma) { return level_of(frame, sigma); };
    levels.start_scale = levels.steps.front().from.sigma;
    return levels;
}

// n steps through Karras' nodes.
std::vector<double> karras(Index n, double from = 14.61464, double to = 0.1) {
    std::vector<double> sigmas;
    const double high = std::pow(from, 1.0 / 7), low = std::pow(to, 1.0 / 7);
    for (Index k = 0; k <= n; ++k)
        sigmas.push_back(std::pow(high + static_cast<double>(k) / static_cast<double>(n) * (low - high), 7));
    return sigmas;
}

std::vector<double> even_in_log(Index n, double from = 14.61464, double to = 0.1) {
    std::vector<double> sigmas;
    for (Index k = 0; k <= n; ++k)
        sigmas.push_back(from * std::pow(to / from, static_cast<double>(k) / static_cast<double>(n)));
    return sigmas;
}

// From pure noise to sigma / alpha = 0.1, evenly in the flow's sigma.
std::vector<double> even_in_flow(Index n) {
    std::vector<double> sigmas{infinity};
    const double end = 0.1 / 1.1;
    for (Index k = 1; k <= n; ++k) {
        const double s = 1 - static_cast<double>(k) / static_cast<double>(n) * (1 - end);
        sigmas.push_back(s / (1 - s));
    }
    return sigmas;
}

template <class T, class Sampler, class Network>
Tensor<T> run(const Sampler& sampler, const Levels& levels, const Tensor<T>& x, const Network& network) {
    typename Sampler::template State<T> state;
    return run_sampler(network, sampler, levels, x,
                       SeededNoise(std::vector<std::uint64_t>(static_cast<std::size_t>(x.dim(0)), 7)), state);
}

double distance(const Tensor<double>& a, const Tensor<double>& b) {
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::fabs(a[k] - b[k]));
    return most;
}

// The relative error where the levels end: the exact way keeps x over its deviation.
template <class Sampler>
double error(const Sampler& sampler, const Levels& levels) {
    const auto spread = [](const NoiseLevel& at) { return std::hypot(at.alpha * deviation, at.sigma); };
    const auto end =
        run(sampler, levels, Tensor<double>::full({1, 1}, spread(levels.steps.front().from)), gaussian<double>);
    return std::fabs(end[0] / spread(levels.steps.back().to) - 1);
}

// error(n) / error(2 n) for levels made by list(n).
template <class Sampler, class List>
double gain(const Sampler& sampler, Frame frame, List list, Index n) {
    return error(sampler, levels_of(frame, list(n))) / error(sampler, levels_of(frame, list(2 * n)));
}

template <class Sampler>
void check_table(const Sampler& sampler, const std::vector<double>& expected) {
    Index n = 10;
    for (const double value : expected) {
        REQUIRE(error(sampler, levels_of(Frame::preserving, karras(n))) == Approx(value).epsilon(0.005));
        REQUIRE(error(sampler, levels_of(Frame::exploding, karras(n))) == Approx(value).epsilon(0.005));
        n *= 2;
    }
}

// All samplers of this family, some of them with noise.
template <class F>
void for_each_sampler(F f) {
    f(Euler{});
    f(Euler{{.s_churn = 5}});
    f(EulerAncestral{});
    f(Heun{{.s_churn = 5}});
    f(Kdpm2{{.s_churn = 5}});
    f(Kdpm2Ancestral{});
    f(Lms{});
    f(Dpmpp2sAncestral{});
    f(DpmppSde{});
    f(DpmFast{.nfe = 16, .eta = 0.5});
    f(DpmAdaptive{.eta = 0.5});
}

}  // namespace

TEST_CASE("the errors of Euler, Heun and LMS fall as the published methods' do") {
    check_table(Euler{}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    check_table(Ddim{}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    check_table(Lms{1}, {1.29e-1, 6.67e-2, 3.39e-2, 1.71e-2});
    check_table(Heun{}, {4.11e-2, 9.73e-3, 2.37e-3, 5.83e-4});
    check_table(Lms{}, {3.22e-2, 3.93e-3, 3.45e-4, 2.62e-5});
}

TEST_CASE("the solvers have their orders on levels of every kind") {
    const auto log_list = [](Index n) { return even_in_log(n); };
    for (const Frame frame : frames) {
        REQUIRE(gain(Kdpm2{}, frame, log_list, 160) == Approx(4).epsilon(0.1));
        REQUIRE(gain(Dpmpp2sAncestral{.eta = 0}, frame, log_list, 160) == Approx(4).epsilon(0.1));
        REQUIRE(gain(DpmppSde{.eta = 0}, frame, log_list, 160) == Approx(4).epsilon(0.1));
        REQUIRE(gain(DpmppSde{.eta = 0, .r = 0.3}, frame, log_list, 160) == Approx(4).epsilon(0.1));
        REQUIRE(gain(Lms{2}, frame, log_list, 160) == Approx(4).epsilon(0.1));
        const auto fast = [&](Index nfe) { return error(DpmFast{nfe}, levels_of(frame, even_in_log(nfe / 3 + 1))); };
        REQUIRE(fast(59) / fast(119) > 6);  // third order, but for the last step
    }
    const auto flow_list = [](Index n) { return even_in_flow(n); };
    REQUIRE(gain(Euler{}, Frame::flow, flow_list, 80) == Approx(2).epsilon(0.1));
    REQUIRE(gain(Heun{}, Frame::flow, flow_list, 80) == Approx(4).epsilon(0.1));
    REQUIRE(gain(Kdpm2{}, Frame::flow, flow_list, 80) == Approx(4).epsilon(0.1));
    REQUIRE(gain(Lms{2}, Frame::flow, flow_list, 80) == Approx(4).epsilon(0.1));
}

TEST_CASE("without noise Euler, Euler ancestral, LMS of order 1 and DDIM are one; with noise Euler ancestral is DDIM") {
    const auto start = Rng(1).normals<double>({2, 3});
    for (const Frame frame : frames) {
        const Levels levels = levels_of(frame, {5, 1.7, 0.4, 0.1, 0});
        const auto ddim = run(Ddim{}, levels, start, crooked<double>);
        REQUIRE(distance(run(Euler{}, levels, start, crooked<double>), ddim) < 1e-14);
        REQUIRE(distance(run(EulerAncestral{.eta = 0}, levels, start, crooked<double>), ddim) < 1e-14);
        REQUIRE(distance(run(Lms{1}, levels, start, crooked<double>), ddim) < 1e-14);
    }
    const Levels levels = levels_of(Frame::preserving, {5, 1.7, 0.4, 0.1, 0});
    for (const double eta : {0.3, 1.0})
        REQUIRE(distance(run(EulerAncestral{.eta = eta}, levels, start, crooked<double>),
                         run(Ddim{.eta = eta}, levels, start, crooked<double>)) < 1e-14);
}

TEST_CASE("the split of an ancestral step keeps the variance") {
    for (const Frame frame : frames)
        for (const double eta : {0.0, 0.5, 1.0, 1.5, infinity}) {
            const NoiseLevel from = level_of(frame, 3), to = level_of(frame, 0.8);
            const AncestralSplit split(from, to, eta);
            REQUIRE(std::hypot(split.down.sigma, split.up) == Approx(to.sigma).epsilon(1e-14));
            REQUIRE((split.up > 0) == (eta > 0));
            const AncestralSplit shallow(from, to, eta, to.sigma / 2);
            REQUIRE(std::hypot(shallow.down.sigma, shallow.up) == Approx(to.sigma).epsilon(1e-14));
            REQUIRE(shallow.down.sigma >= to.sigma / 2);
        }
    const NoiseLevel low{1, 1, 0}, high{1, 2, 0};
    REQUIRE(AncestralSplit(low, high, 0).up == 0);
    REQUIRE(AncestralSplit(low, low, 1).up == 0);
    REQUIRE(AncestralSplit(high, {}, infinity).up == 0);
    REQUIRE_THROWS_AS(AncestralSplit(low, high, 1), Error);
    REQUIRE_THROWS_AS(AncestralSplit(high, low, -0.1), Error);
    REQUIRE_THROWS_AS(AncestralSplit(high, low, std::nan("")), Error);
}

TEST_CASE("eta infinity renews all noise, also from pure noise") {
    const auto x = Rng(2).normals<double>({1, 4}), z = Rng(3).normals<double>({1, 4});
    const NoiseLevel from{0, 1, 0}, to{0.7, 0.3, 0};
    EulerAncestral::State<double> state;
    const auto next = run_sampler(crooked<double>, EulerAncestral{.eta = infinity}, Levels{{{from, to}}}, x,
                                  GivenNoise<double>{{z}}, state);
    REQUIRE(distance(next, combine(0.7, crooked(x, from).x0, 0.3, z)) < 1e-15);
}

TEST_CASE("churn raises the noise within its limits") {
    const Step at{{1, 2, 0}, {1, 1, 0}, 0, 10};
    REQUIRE(Churn{.s_churn = 3}.gamma(at) == Approx(0.3));
    REQUIRE(Churn{.s_churn = 30}.gamma(at) == Approx(std::sqrt(2.0) - 1));
    REQUIRE(Churn{.s_churn = 3, .s_tmin = 2, .s_tmax = 2}.gamma(at) == Approx(0.3));
    REQUIRE(Churn{.s_churn = 3, .s_tmin = 2.1}.gamma(at) == 0);
    REQUIRE(Churn{.s_churn = 3, .s_tmax = 1.9}.gamma(at) == 0);
    REQUIRE(Churn{.s_churn = 3}.gamma(Step{{0, 1, 0}, {0.1, 0.9, 0}, 0, 10}) == 0);
    const auto x = Tensor<double>::full({1, 1}, 1), one = Tensor<double>::full({1, 1}, 1);
    for (const Frame frame : frames) {
        const Levels levels = levels_of(frame, {2, 1});
        const GivenNoise<double> given{{one}};
        StepNoise noise(given, 0);
        const NoiseLevel from = level_of(frame, 2);
        const auto raised = Churn{.s_churn = 0.3, .s_noise = 1.1}(x, Step{from, from, 0, 1, &levels}, noise);
        REQUIRE(sigma_ve(raised.at.from) == Approx(2.6));
        REQUIRE(raised.x[0] / raised.at.from.alpha ==
                Approx(1 / from.alpha + 1.1 * std::sqrt(2.6 * 2.6 - 2 * 2)).epsilon(1e-14));
    }
    REQUIRE_THROWS_AS(run(Euler{{.s_churn = -1}}, levels_of(Frame::flow, {2, 1}), x, gaussian<double>), Error);
    Levels silent = levels_of(Frame::flow, {2, 1});
    silent.between = {};
    REQUIRE_THROWS_AS(run(Euler{{.s_churn = 1}}, silent, x, gaussian<double>), Error);
}

TEST_CASE("LMS integrates cubic polynomials exactly") {
    const std::vector<double> all{2, 3.5, 4, 7};
    for (std::size_t count = 1; count <= 4; ++count)
        for (std::size_t power = 0; power < count; ++power) {
            const std::vector<double> places(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
            const auto n = static_cast<double>(power);
            double sum = 0;
            for (std::size_t j = 0; j < count; ++j) sum += std::pow(places[j], n) * lagrange_integral(places, j, 0.5);
            REQUIRE(sum == Approx((std::pow(0.5, n + 1) - std::pow(2, n + 1)) / (n + 1)).epsilon(1e-12));
        }
}

TEST_CASE("LMS forgets slopes that do not lie behind") {
    const auto x = Rng(4).normals<double>({1, 3});
    Lms::State<double> state;
    const std::vector<double> down{5, 3, 2, 1};
    run_sampler(gaussian<double>, Lms{}, levels_of(Frame::exploding, down), x, GivenNoise<double>{}, state);
    REQUIRE(state.places == std::vector<double>{2, 3, 5});
    run_sampler(gaussian<double>, Lms{2}, levels_of(Frame::exploding, {1, 0.5}), x, GivenNoise<double>{}, state);
    REQUIRE(state.places == std::vector<double>{1, 2});
    run_sampler(gaussian<double>, Lms{}, levels_of(Frame::exploding, {4, 3}), x, GivenNoise<double>{}, state);
    REQUIRE(state.places == std::vector<double>{4});
    REQUIRE(state.slopes.size() == 1);
}

TEST_CASE("with these samplers, too, a picture of a batch is the picture sampled alone") {
    const Levels levels = levels_of(Frame::preserving, even_in_log(6));
    for_each_sampler([&](const auto& sampler) {
        using Sampler = std::decay_t<decltype(sampler)>;
        if constexpr (std::is_same_v<Sampler, DpmAdaptive>) return;  // its step sizes are the batch's
        const auto batch = sample<float>(crooked<float>, sampler, levels, {.shape = {3, 2, 2, 1}, .seed = 10});
        for (Index k = 0; k < 3; ++k) {
            const SampleOptions<float> alone{.shape = {1, 2, 2, 1}, .seed = 10 + static_cast<std::uint64_t>(k)};
            const auto one = sample<float>(crooked<float>, sampler, levels, alone);
            REQUIRE(std::equal(one.begin(), one.end(), batch.data() + k * 4));
        }
    });
}

TEST_CASE("a run goes on from its state, bit for bit") {
    const Levels levels = levels_of(Frame::preserving, even_in_log(6));
    const auto start = Rng(5).normals<double>({2, 3});
    const SeededNoise noise({1, 2});
    for_each_sampler([&](const auto& sampler) {
        typename std::decay_t<decltype(sampler)>::template State<double> state, kept;
        Tensor<double> half;
        const auto whole =
            run_sampler(crooked<double>, sampler, levels, start, noise, state, 0, [&](SampleStep<double>& step) {
                if (step.step != 4) return;
                half = step.x.clone();
                kept = state;
            });
        REQUIRE(distance(run_sampler(crooked<double>, sampler, levels, half, noise, kept, 4), whole) == 0);
    });
}

TEST_CASE("every sampler starts from pure noise and ends without any") {
    // Data at one point: all samplers must find it, whatever their noise.
    const auto point = [](const Tensor<double>& x, const NoiseLevel& at) {
        const auto x0 = Tensor<double>::full(x.shape(), 0.3);
        return Prediction<double>{.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
    };
    const auto start = Rng(6).normals<double>({2, 3});
    for (const bool flow : {false, true}) {
        Levels levels = levels_of(flow ? Frame::flow : Frame::preserving, {6, 4, 2, 1, 0.5, 0.25, 0.1});
        levels.steps.push_back({levels.steps.back().to, {}});
        Levels pure = levels;
        pure.steps.insert(pure.steps.begin(), {{0, 1, 999}, levels.steps.front().from});
        for_each_sampler([&](const auto& sampler) {
            const auto fixed = Tensor<double>::full(start.shape(), 0.3);
            REQUIRE(distance(run(sampler, levels, start, point), fixed) < 1e-14);
            using Sampler = std::decay_t<decltype(sampler)>;
            if constexpr (std::is_same_v<Sampler, DpmFast> || std::is_same_v<Sampler, DpmAdaptive>)
                REQUIRE_THROWS_AS(run(sampler, pure, start, point), Error);
            else
                REQUIRE(distance(run(sampler, pure, start, point), fixed) < 1e-14);
        });
    }
    const Levels up{{{{1, 0, 0}, {0.9, 0.1, 1}}}};
    for_each_sampler([&](const auto& sampler) { REQUIRE_THROWS_AS(run(sampler, up, start, point), Error); });
}

TEST_CASE("DPM adaptive does what it is allowed to") {
    Levels way = levels_of(Frame::exploding, karras(20));
    way.steps.push_back({way.steps.back().to, {}});
    const Levels levels = adaptive_levels(way);
    REQUIRE(levels.steps.size() == 2);
    REQUIRE(levels.steps[0].to.sigma == Approx(0.1));
    REQUIRE(adaptive_levels(levels_of(Frame::exploding, karras(20))).steps.size() == 1);
    REQUIRE_THROWS_AS(adaptive_levels(Levels{}), Error);
    REQUIRE_THROWS_AS(adaptive_levels(levels_of(Frame::exploding, {1, 0})), Error);
    const auto x = Tensor<double>::full({1, 1}, std::hypot(deviation, 14.61464));
    for (const Index order : {2, 3}) {
        Index calls = 0;
        for (const double rtol : {0.05, 0.005, 0.0005, 0.00005}) {
            const DpmAdaptive sampler{.order = order, .rtol = rtol, .atol = rtol / 6};
            DpmAdaptive::State<double> state;
            const Levels noisy{{levels.steps[0]}, 1, levels.between};
            const auto end = run_sampler(gaussian<double>, sampler, noisy, x, GivenNoise<double>{}, state);
            const double off = std::fabs(end[0] / std::hypot(deviation, 0.1) - 1);
            INFO("rtol " << rtol << ", order " << order << ": " << off << " by " << state.nfe);
            REQUIRE(off < 10 * rtol);
            REQUIRE(state.nfe > calls);
            calls = state.nfe;
        }
    }
}

TEST_CASE("options out of range, runs that cannot be, and stop requests are errors") {
    const auto x = Tensor<double>::full({1, 1}, 1);
    const Levels levels = levels_of(Frame::exploding, {2, 1});
    const auto refuse = [&](const auto& sampler, const auto& network) {
        REQUIRE_THROWS_AS(run(sampler, levels, x, network), Error);
    };
    refuse(Lms{0}, gaussian<double>);
    refuse(Lms{5}, gaussian<double>);
    refuse(DpmppSde{.r = 0}, gaussian<double>);
    refuse(DpmppSde{.r = 1}, gaussian<double>);
    refuse(DpmFast{.nfe = 3}, gaussian<double>);
    refuse(DpmAdaptive{.order = 4}, gaussian<double>);
    refuse(DpmAdaptive{.atol = 0}, gaussian<double>);
    const auto broken = [](const Tensor<double>& y, const NoiseLevel& at) {
        auto said = gaussian(y, at);
        said.x0.fill(std::nan(""));
        return said;
    };
    refuse(DpmAdaptive{}, broken);
    std::stop_source source;
    const Stop scope(source.get_token());
    Index asked = 0;
    const auto stopping = [&](const Tensor<double>& y, const NoiseLevel& at) {
        if (++asked == 5) source.request_stop();
        return gaussian(y, at);
    };
    DpmAdaptive::State<double> state;
    try {
        run_sampler(stopping, DpmAdaptive{.rtol = 1e-6, .atol = 1e-6}, levels, x, GivenNoise<double>{}, state);
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::stopped);
        REQUIRE(asked <= 7);
        REQUIRE(state.nfe == 0);
    }
}

}  // namespace sigma_sampler_test
