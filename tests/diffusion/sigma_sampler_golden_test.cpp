// The samplers that walk along sigma against k-diffusion (in double) and diffusers (in float): whole loops with given
// noise, every x that the network is asked about.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/dpmpp_2s_ancestral.hpp"
#include "genmod/diffusion/sampler/dpmpp_sde.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/kdpm2.hpp"
#include "genmod/diffusion/sampler/kdpm2_ancestral.hpp"
#include "genmod/diffusion/sampler/lms.hpp"
#include "tests/support/golden.hpp"

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

enum class Frame { preserving, exploding, flow };  // how x is scaled at a noise level: VP, VE, alpha + sigma = 1

NoiseLevel level_of(Frame frame, double sigma, double t) {
    if (sigma == 0) return {};
    if (frame == Frame::preserving) return vp_level(sigma, t);
    return frame == Frame::exploding ? NoiseLevel{1, sigma, t} : NoiseLevel{1 / (1 + sigma), sigma / (1 + sigma), t};
}

Levels levels_of(Frame frame, const Tensor<double>& sigmas, const Tensor<double>& ts) {
    Levels levels;
    for (Index k = 0; k + 1 < sigmas.size(); ++k)
        levels.steps.push_back({level_of(frame, sigmas[k], ts[k]), level_of(frame, sigmas[k + 1], ts[k + 1])});
    static const SigmaTable table(
        Schedule({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear}));
    levels.between = [frame](double sigma) { return level_of(frame, sigma, table.step(sigma)); };
    return levels;
}

// Number k of a tensor [count, n, 1, h, w], as [n, h, w, 1].
template <class T>
Tensor<T> at(const Tensor<T>& all, Index k) {
    return all.slice(k, k + 1).reshape({all.dim(1), all.dim(3), all.dim(4), 1});
}

template <class T>
Tensor<T> scaled(const Tensor<T>& x, double factor) {
    return combine(factor, x, 0, x);
}

// The script's network and loop: compares what is asked and what comes out, at signal 1.
template <class T>
struct Loop {
    const Golden& golden;
    std::string key;
    PredictionType prediction;
    double tolerance;
    Tensor<T> start = golden.raw<T>("start").reshape({1, 2, 1, 3, 3}), pattern = golden.raw<T>("pattern");
    Tensor<double> expected = golden.raw<double>(key);
    mutable Index asked = 0;

    void compare(const Tensor<T>& x, const NoiseLevel& level) const {
        REQUIRE(asked < expected.dim(0));
        const auto wanted = at(expected, asked);
        test::require_close(key + ", question " + std::to_string(asked), scaled(x, 1 / level.alpha), wanted,
                            test::peak(wanted, 1), tolerance);
        ++asked;
    }

    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& level) const {
        const Tensor<T> drawn = at(pattern, asked % pattern.dim(0));
        compare(x, level);
        const NoiseLevel vp = vp_level(sigma_ve(level), level.t);
        const auto network = [&](const Tensor<T>& in, const Tensor<T>& t) {
            return combine(0.5, in, 1, combine(1, drawn, t[0] / 1000, Tensor<T>::full(in.shape(), 1)));
        };
        const auto ask_it = denoiser(network, {.prediction_type = prediction, .clip_sample = false});
        auto said = ask_it(scaled(x, vp.alpha / level.alpha), vp);
        said.eps = eps_from_x0(x, said.x0, level);
        return said;
    }
};

// `name` is sampler/options, `levels` the list of sigmas.
template <class T, class Sampler>
void check_loop(const Golden& golden, const std::string& name, const std::string& levels, const std::string& prediction,
                const Sampler& sampler, Frame frame, double tolerance, const std::string& sigmas,
                std::uint32_t draws = 1) {
    const Loop<T> loop{golden, name + "/" + levels + "/" + prediction, parse_prediction_type(prediction), tolerance};
    const Levels way = levels_of(frame, golden.raw<double>(sigmas + ".sigmas"), golden.raw<double>(sigmas + ".ts"));
    GivenNoise<T> given{{}, draws};
    const auto noise = golden.raw<T>("noise");
    for (Index k = 0; k < noise.dim(0); ++k) given.steps.push_back(at(noise, k));
    const NoiseLevel first = way.steps.front().from;
    typename Sampler::template State<T> state;
    const auto last = run_sampler(loop, sampler, way, scaled(at(loop.start, 0), first.sigma), given, state);
    loop.compare(last, way.steps.back().to);
    REQUIRE(loop.asked == loop.expected.dim(0));
}

// What k-diffusion does must come out for levels of every kind, unless the sampler follows another line on flow's.
template <class Sampler>
void check_k_diffusion(const std::string& name, const Sampler& sampler, std::uint32_t draws, bool also_flow) {
    static const Golden golden("diffusion/sigma_k_diffusion.safetensors");
    std::vector<Frame> frames{Frame::preserving, Frame::exploding};
    if (also_flow) frames.push_back(Frame::flow);
    const auto check_both = [&](const std::string& levels, const std::string& prediction) {
        for (const Frame frame : frames)
            check_loop<double>(golden, name, levels, prediction, sampler, frame, 1e-12, levels, draws);
        check_loop<float>(golden, name, levels, prediction, sampler, Frame::preserving, 1e-5, levels, draws);
    };
    for (const std::string levels : {"plain", "karras", "open"}) check_both(levels, "epsilon");
    for (const std::string prediction : {"sample", "v_prediction"}) check_both("karras", prediction);
}

template <class Sampler>
void check_diffusers(const std::string& name, const Sampler& sampler, const std::vector<std::string>& predictions,
                     std::uint32_t draws = 1) {
    static const Golden golden("diffusion/sigma_diffusers.safetensors");
    for (const std::string levels : {"plain", "karras"})
        for (const std::string& prediction : predictions) {
            const std::string sigmas = name + "/" + levels;
            if (!golden.has(sigmas + ".sigmas")) continue;
            check_loop<double>(golden, name, levels, prediction, sampler, Frame::preserving, 1e-5, sigmas, draws);
            check_loop<float>(golden, name, levels, prediction, sampler, Frame::preserving, 1e-5, sigmas, draws);
        }
}

const std::vector<std::string> all{"epsilon", "sample", "v_prediction"}, no_sample{"epsilon", "v_prediction"};
const std::vector<std::string> etas{"0.0", "0.5", "1.0"};
const Churn churn{.s_churn = 2, .s_tmin = 0.1, .s_tmax = 10, .s_noise = 1.01, .draw_always = true};

}  // namespace

TEST_CASE("Euler follows k-diffusion and diffusers") {
    check_k_diffusion("euler", Euler{}, 1, true);
    check_k_diffusion("euler/churn", Euler{churn}, 1, true);
    check_diffusers("euler", Euler{}, all);
}

TEST_CASE("Euler ancestral follows k-diffusion and diffusers") {
    for (const std::string& eta : etas)
        check_k_diffusion("euler_ancestral/eta_" + eta, EulerAncestral{.eta = std::stod(eta), .s_noise = 1.01}, 1,
                          true);
    check_diffusers("euler_ancestral", EulerAncestral{.draw_on_last_step = true}, no_sample);
}

TEST_CASE("Heun follows k-diffusion and diffusers") {
    check_k_diffusion("heun", Heun{}, 1, false);
    check_k_diffusion("heun/churn", Heun{churn}, 1, false);
    check_diffusers("heun", Heun{}, all);
}

TEST_CASE("KDPM2 follows k-diffusion and diffusers") {
    check_k_diffusion("dpm_2", Kdpm2{}, 1, false);
    check_k_diffusion("dpm_2/churn", Kdpm2{churn}, 1, false);
    check_diffusers("dpm_2", Kdpm2{}, no_sample);
    for (const std::string& eta : etas)
        check_k_diffusion("dpm_2_ancestral/eta_" + eta, Kdpm2Ancestral{std::stod(eta), 1.01}, 1, false);
    check_diffusers("dpm_2_ancestral", Kdpm2Ancestral{}, no_sample);
}

TEST_CASE("LMS follows k-diffusion and diffusers") {
    for (const Index order : {1, 2, 3, 4})
        check_k_diffusion("lms/order_" + std::to_string(order), Lms{order}, 1, order == 1);
    check_diffusers("lms", Lms{}, all);
}

TEST_CASE("DPM++ 2S ancestral and DPM++ SDE follow k-diffusion and diffusers") {
    for (const std::string& eta : etas) {
        check_k_diffusion("dpmpp_2s_ancestral/eta_" + eta, Dpmpp2sAncestral{std::stod(eta), 1.01}, 1, true);
        check_k_diffusion("dpmpp_sde/eta_" + eta, DpmppSde{std::stod(eta), 1.01}, 2, true);
    }
    check_k_diffusion("dpmpp_sde/r", DpmppSde{.r = 0.3}, 2, true);
    check_diffusers("dpmpp_sde", DpmppSde{}, no_sample, 2);
}
