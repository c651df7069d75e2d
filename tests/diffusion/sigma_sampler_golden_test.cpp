// The samplers that walk along sigma against k-diffusion (in double) and diffusers (in float): whole loops with given
// noise, every x that the network is asked about.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
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
#include "tests/support/golden.hpp"

namespace sigma_sampler_golden_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

// How x is scaled at a noise level: variance-preserving, variance-exploding, on a flow's line. EDM's networks and those
// of flow matching are asked in their own ways.
enum class Frame { preserving, exploding, flow, edm, matching };

NoiseLevel level_of(Frame frame, double sigma, double t) {
    if (sigma == 0) return {};
    if (frame == Frame::preserving) return vp_level(sigma, t);
    if (frame == Frame::flow) return {1 / (1 + sigma), sigma / (1 + sigma), t};
    return {frame == Frame::matching ? 1 - sigma : 1, sigma, t};
}

Levels levels_of(Frame frame, const Tensor<double>& sigmas, const Tensor<double>& ts) {
    Levels levels;
    for (Index k = 0; k + 1 < sigmas.size(); ++k)
        levels.steps.push_back({level_of(frame, sigmas[k], ts[k]), level_of(frame, sigmas[k + 1], ts[k + 1])});
    static const SigmaTable table(
        Schedule({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear}));
    levels.between = [frame](double sigma) {
        return level_of(frame, sigma, frame == Frame::edm ? std::log(sigma) / 4 : table.step(sigma));
    };
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

// The script's network and loop: compares what is asked and what comes out.
template <class T>
struct Loop {
    const Golden& golden;
    std::string key;
    Frame frame;
    PredictionType prediction;
    double tolerance;
    bool only_end = false;  // compares nothing but the end, and the network's answers do not depend on their number
    Tensor<T> pattern = golden.raw<T>("pattern");
    Tensor<double> expected = golden.raw<double>(key);
    mutable Index asked = 0;

    void compare(const Tensor<T>& x, const NoiseLevel& level) const {
        REQUIRE(asked < expected.dim(0));
        const auto wanted = at(expected, asked);
        const double scale = frame == Frame::matching ? 1 : 1 / level.alpha;
        test::require_close(key + ", question " + std::to_string(asked), scaled(x, scale), wanted,
                            test::peak(wanted, 1), tolerance);
        ++asked;
    }

    Tensor<T> network(const Tensor<T>& x, double t) const {
        const Tensor<T> drawn = at(pattern, only_end ? 0 : asked - 1);
        return combine(0.5, x, 1, combine(1, drawn, t / 1000, Tensor<T>::full(x.shape(), 1)));
    }

    // EDM's preconditioning for data of spread 0.5 (Karras et al. 2022, table 1); v has the other sign.
    Tensor<T> preconditioned(const Tensor<T>& x, const NoiseLevel& level) const {
        const double sigma = level.sigma, total = sigma * sigma + 0.25, root = std::sqrt(total);
        const double c_out = sigma * 0.5 / root * (prediction == PredictionType::epsilon ? 1 : -1);
        return combine(0.25 / total, x, c_out, network(scaled(x, 1 / root), level.t));
    }

    Prediction<T> operator()(const Tensor<T>& x, const NoiseLevel& level) const {
        if (!only_end) compare(x, level);
        Tensor<T> x0;
        if (frame == Frame::edm) {
            x0 = preconditioned(x, level);
        } else {
            const NoiseLevel own = frame == Frame::matching ? level : vp_level(sigma_ve(level), level.t);
            const Tensor<T> in = scaled(x, frame == Frame::matching ? 1 : own.alpha / level.alpha);
            const auto network_of = [&](const Tensor<T>& y, const Tensor<T>&) { return network(y, level.t); };
            x0 = denoiser(network_of, {.prediction_type = prediction, .clip_sample = false})(in, own).x0;
        }
        return {.x0 = x0, .eps = eps_from_x0(x, x0, level), .variance = {}, .gradient = {}};
    }
};

template <class T>
GivenNoise<T> given_noise(const Golden& golden, std::uint32_t draws) {
    GivenNoise<T> given{{}, draws};
    const auto noise = golden.raw<T>("noise");
    for (Index k = 0; k < noise.dim(0); ++k) given.steps.push_back(at(noise, k));
    return given;
}

// Runs the loop from start * sigma to its end, and compares that.
template <class T, class Sampler>
void run_loop(const Loop<T>& loop, const Sampler& sampler, const Levels& way,
              typename Sampler::template State<T>& state, std::uint32_t draws) {
    const auto start = at(loop.golden.template raw<T>("start").reshape({1, 2, 1, 3, 3}), 0);
    const auto given = given_noise<T>(loop.golden, draws);
    const auto last = run_sampler(loop, sampler, way, scaled(start, way.steps.front().from.sigma), given, state);
    loop.compare(last, way.steps.back().to);
}

// `key` is sampler/options/list/prediction; the list of sigmas is <list>.sigmas.
template <class T, class Sampler>
void check_loop(const Golden& golden, const std::string& key, const std::string& list, const std::string& prediction,
                const Sampler& sampler, Frame frame, double tolerance, std::uint32_t draws) {
    const Levels way = levels_of(frame, golden.raw<double>(list + ".sigmas"), golden.raw<double>(list + ".ts"));
    const Loop<T> loop{golden, key + "/" + prediction, frame, parse_prediction_type(prediction), tolerance};
    typename Sampler::template State<T> state;
    run_loop(loop, sampler, way, state, draws);
    REQUIRE(loop.asked == loop.expected.dim(0));
}

const Golden& k_diffusion() {
    static const Golden golden("diffusion/sigma_k_diffusion.safetensors");
    return golden;
}

// What k-diffusion does must come out for levels of every kind, unless the sampler follows another line on flow's.
template <class Sampler>
void check_frames(const std::string& key, const std::string& list, const std::string& prediction,
                  const Sampler& sampler, std::uint32_t draws, bool also_flow) {
    for (const Frame frame : {Frame::preserving, Frame::exploding, Frame::flow})
        if (also_flow || frame != Frame::flow)
            check_loop<double>(k_diffusion(), key, list, prediction, sampler, frame, 1e-12, draws);
    check_loop<float>(k_diffusion(), key, list, prediction, sampler, Frame::preserving, 1e-5, draws);
}

template <class Sampler>
void check_k_diffusion(const std::string& name, const Sampler& sampler, std::uint32_t draws, bool also_flow) {
    for (const std::string list : {"plain", "karras", "open"})
        check_frames(name + "/" + list, list, "epsilon", sampler, draws, also_flow);
    for (const std::string prediction : {"sample", "v_prediction"})
        check_frames(name + "/karras", "karras", prediction, sampler, draws, also_flow);
}

// Every loop of that name: name/list/prediction.
template <class Sampler>
void check_diffusers(const std::string& name, const Sampler& sampler, std::uint32_t draws = 1,
                     Frame frame = Frame::preserving) {
    static const Golden golden("diffusion/sigma_diffusers.safetensors");
    Index loops = 0;
    for (const std::string list : {"plain", "karras", "shift_1", "shift_3"})
        for (const std::string prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}) {
            const std::string key = name + "/" + list;
            if (!golden.has(key + "/" + prediction)) continue;
            check_loop<double>(golden, key, key, prediction, sampler, frame, 1e-5, draws);
            check_loop<float>(golden, key, key, prediction, sampler, frame, 1e-5, draws);
            ++loops;
        }
    REQUIRE(loops >= 2);
}

const std::vector<std::string> etas{"0.0", "0.5", "1.0"};
const Churn churn{.s_churn = 2, .s_tmin = 0.1, .s_tmax = 10, .s_noise = 1.01, .draw_always = true};

}  // namespace

TEST_CASE("Euler follows k-diffusion and diffusers") {
    check_k_diffusion("euler", Euler{}, 1, true);
    check_k_diffusion("euler/churn", Euler{churn}, 1, true);
    check_diffusers("euler", Euler{});
    check_diffusers("euler/churn", Euler{churn});
    check_diffusers("edm_euler", Euler{}, 1, Frame::edm);
    check_diffusers("edm_euler/churn", Euler{churn}, 1, Frame::edm);
}

TEST_CASE("Euler ancestral follows k-diffusion and diffusers") {
    for (const std::string& eta : etas)
        check_k_diffusion("euler_ancestral/eta_" + eta, EulerAncestral{.eta = std::stod(eta), .s_noise = 1.01}, 1,
                          true);
    check_diffusers("euler_ancestral", EulerAncestral{.draw_on_last_step = true});
}

TEST_CASE("Heun follows k-diffusion and diffusers") {
    check_k_diffusion("heun", Heun{}, 1, false);
    check_k_diffusion("heun/churn", Heun{churn}, 1, false);
    check_diffusers("heun", Heun{});
}

TEST_CASE("KDPM2 follows k-diffusion and diffusers") {
    check_k_diffusion("dpm_2", Kdpm2{}, 1, false);
    check_k_diffusion("dpm_2/churn", Kdpm2{churn}, 1, false);
    check_diffusers("dpm_2", Kdpm2{});
    for (const std::string& eta : etas)
        check_k_diffusion("dpm_2_ancestral/eta_" + eta, Kdpm2Ancestral{std::stod(eta), 1.01}, 1, false);
    check_diffusers("dpm_2_ancestral", Kdpm2Ancestral{});
}

TEST_CASE("LMS follows k-diffusion and diffusers") {
    for (const Index order : {1, 2, 3, 4})
        check_k_diffusion("lms/order_" + std::to_string(order), Lms{order}, 1, order == 1);
    check_diffusers("lms", Lms{});
}

TEST_CASE("DPM++ 2S ancestral and DPM++ SDE follow k-diffusion and diffusers") {
    for (const std::string& eta : etas) {
        check_k_diffusion("dpmpp_2s_ancestral/eta_" + eta, Dpmpp2sAncestral{std::stod(eta), 1.01}, 1, true);
        check_k_diffusion("dpmpp_sde/eta_" + eta, DpmppSde{std::stod(eta), 1.01}, 2, true);
    }
    check_k_diffusion("dpmpp_sde/r", DpmppSde{.r = 0.3}, 2, true);
    check_diffusers("dpmpp_sde", DpmppSde{}, 2);
}

TEST_CASE("Euler and Heun on the levels of a flow follow diffusers' flow matching") {
    check_diffusers("flow_euler", Euler{}, 1, Frame::matching);
    check_diffusers("flow_euler", Ddim{}, 1, Frame::matching);
    check_diffusers("flow_heun", Heun{}, 1, Frame::matching);
    const EulerAncestral stochastic{.eta = std::numeric_limits<double>::infinity(), .draw_on_last_step = true};
    check_diffusers("flow_euler_stochastic", stochastic, 1, Frame::matching);
}

TEST_CASE("DPM fast follows k-diffusion") {
    for (const std::string nfe : {"6", "7", "8"})
        for (const std::string eta : {"0.0", "0.5"})
            check_frames("dpm_fast/eta_" + eta + "/" + nfe, "dpm_fast_" + nfe, "epsilon",
                         DpmFast{std::stol(nfe), std::stod(eta), 1.01}, 1, true);
}

TEST_CASE("DPM adaptive follows k-diffusion, with the same steps") {
    const SigmaTable table(
        Schedule({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear}));
    const auto sigmas = Tensor<double>::from({2}, {table.largest(), table.smallest()});
    for (const std::string name : {"plain", "pid"})
        for (const Index order : {2, 3})
            for (const std::string eta : {"0.0", "1.0"}) {
                const std::string key = "dpm_adaptive/" + name + "/order_" + std::to_string(order) + "/eta_" + eta;
                DpmAdaptive sampler{.order = order, .eta = std::stod(eta)};
                if (name == "pid") {
                    sampler.rtol = 0.02;
                    sampler.h_init = 2;
                    sampler.pcoeff = 0.2;
                    sampler.icoeff = 0.6;
                    sampler.dcoeff = 0.1;
                }
                const auto steps = k_diffusion().indices(key + ".steps");
                for (const Frame frame : {Frame::preserving, Frame::exploding, Frame::flow}) {
                    const Loop<double> loop{k_diffusion(), key, frame, PredictionType::v_prediction, 1e-11, true};
                    DpmAdaptive::State<double> state;
                    run_loop(loop, sampler, levels_of(frame, sigmas, Tensor<double>::from({2}, {999, 0})), state, 64);
                    REQUIRE(std::vector<Index>{state.accepted, state.rejected} == steps);
                    REQUIRE(state.nfe == order * steps[0] + (order - 1) * steps[1]);
                }
            }
}

}  // namespace sigma_sampler_golden_test
