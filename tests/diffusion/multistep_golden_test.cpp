// The multistep and single-step exponential solvers against diffusers and k-diffusion: whole loops with given noise. A
// loop's name in the golden file says how it was made: "<solver>/<option>=<value>/...".
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <type_traits>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/deis.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sampler/dpm_solver_singlestep.hpp"
#include "genmod/diffusion/sampler/dpmpp_3m_sde.hpp"
#include "genmod/diffusion/sampler/sa_solver.hpp"
#include "genmod/diffusion/sampler/unipc.hpp"
#include "tests/support/golden.hpp"

namespace multistep_golden_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

// A loop's name, taken apart.
struct Name {
    std::string solver;
    std::map<std::string, std::string> options;

    explicit Name(const std::string& key) {
        std::size_t end = key.find('/');
        solver = key.substr(0, end);
        while (end != std::string::npos) {
            const std::size_t begin = end + 1, equals = key.find('=', begin);
            end = key.find('/', begin);
            options[key.substr(begin, equals - begin)] = key.substr(equals + 1, end - equals - 1);
        }
    }

    bool has(const std::string& option) const { return options.contains(option); }
    std::string text(const std::string& option, const std::string& otherwise) const {
        return has(option) ? options.at(option) : otherwise;
    }
    double number(const std::string& option, double otherwise) const {
        return has(option) ? std::stod(options.at(option)) : otherwise;
    }
    Index whole(const std::string& option, Index otherwise) const {
        return has(option) ? std::stol(options.at(option)) : otherwise;
    }
    bool yes(const std::string& option, bool otherwise) const {
        return has(option) ? options.at(option) == "true" : otherwise;
    }
};

DpmSolverMultistep dpm_multistep(const Name& name) {
    return {.solver_order = name.whole("solver_order", 2),
            .algorithm_type = parse_dpm_algorithm(name.text("algorithm_type", "dpmsolver++")),
            .solver_type = parse_dpm_solver_type(name.text("solver_type", "midpoint")),
            .lower_order_final = name.yes("lower_order_final", true),
            .euler_at_final = name.yes("euler_at_final", false),
            .diffusers_sde_third_order = true};
}

DpmSolverMultistep dpmpp_2m(const Name& name) {
    DpmSolverMultistep sampler{.solver_type = parse_dpm_solver_type(name.text("solver_type", "midpoint")),
                               .lower_order_final = false};
    if (name.solver == "dpmpp_2m") return sampler;
    sampler.algorithm_type = DpmAlgorithm::sde_dpmsolver_pp;
    sampler.brownian = true;
    sampler.eta = name.number("eta", 1);
    sampler.s_noise = name.number("s_noise", 1);
    return sampler;
}

DpmSolverSinglestep dpm_singlestep(const Name& name) {
    return {.solver_order = name.whole("solver_order", 2),
            .algorithm_type = parse_dpm_algorithm(name.text("algorithm_type", "dpmsolver++")),
            .solver_type = parse_dpm_solver_type(name.text("solver_type", "midpoint")),
            .lower_order_final = name.yes("lower_order_final", false),
            .diffusers_sde_third_order = true};
}

SaSolver sa_solver(const Name& name) {
    return {.predictor_order = name.whole("predictor_order", 2),
            .corrector_order = name.whole("corrector_order", 2),
            .data_prediction = name.text("algorithm_type", "data_prediction") == "data_prediction",
            .lower_order_final = name.yes("lower_order_final", true),
            .tau = name.number("tau", 1),
            .tau_first = name.number("tau_first", 200),
            .tau_last = name.number("tau_last", 800)};
}

UniPc unipc(const Name& name) {
    UniPc sampler{.solver_order = name.whole("solver_order", 2),
                  .predict_x0 = name.yes("predict_x0", true),
                  .solver_type = parse_unipc_type(name.text("solver_type", "bh2")),
                  .lower_order_final = name.yes("lower_order_final", true)};
    for (const char digit : name.text("disable_corrector", ""))
        if (digit >= '0' && digit <= '9') sampler.disable_corrector.push_back(digit - '0');
    return sampler;
}

// Step k of a tensor [steps, n, 1, h, w], as [n, h, w, 1].
template <class T>
Tensor<T> at_step(const Tensor<T>& all, Index k) {
    return all.slice(k, k + 1).reshape({all.dim(1), all.dim(3), all.dim(4), 1});
}

NoiseLevel level_of(const std::string& levels, double sigma, double t) {
    if (levels.starts_with("flow")) return {1 - sigma, sigma, t};
    if (levels.starts_with("edm")) return {1, sigma, t};
    return vp_level(sigma, t);
}

Levels levels_of(const Golden& golden, const std::string& name) {
    const auto sigmas = golden.raw<double>(name + "/sigmas"), t = golden.raw<double>(name + "/t");
    Levels levels;
    for (Index k = 0; k < t.size(); ++k)
        levels.steps.push_back(
            {level_of(name, sigmas[k], t[k]), level_of(name, sigmas[k + 1], k + 1 < t.size() ? t[k + 1] : -1)});
    return levels;
}

// The answer of a network m(x, k) that was trained as the name says; EDM's with its preconditioning.
template <class T>
Prediction<T> answer(const Name& name, const Tensor<T>& x, const NoiseLevel& at, const Tensor<T>& pattern) {
    const std::string prediction = name.text("prediction", "epsilon");
    if (prediction == "edm") {
        const double data = 0.5, root = std::sqrt(at.sigma * at.sigma + data * data);
        const Tensor<T> m = combine(0.5 / root, x, 1, pattern);
        const Tensor<T> x0 = combine(data * data / root / root, x, at.sigma * data / root, m);
        return {.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
    }
    DenoiserOptions options{.prediction_type = parse_prediction_type(prediction), .clip_sample = false};
    if (name.has("clip")) {
        options.thresholding = true;
        options.dynamic_thresholding_ratio = 0.9;
        options.sample_max_value = 3;
    }
    return denoiser([&](const Tensor<T>& in, const Tensor<T>&) { return combine(0.5, in, 1, pattern); }, options)(x,
                                                                                                                  at);
}

// Runs the loop of that name and compares x after every step.
template <class T, class Sampler>
void check_loop(const Golden& golden, const std::string& key, const Sampler& sampler) {
    const Name name(key);
    const auto pattern = golden.raw<T>("pattern"), noise = golden.raw<T>("noise"), start = golden.raw<T>("start");
    const auto expected = golden.raw<double>(key);
    const Levels levels = levels_of(golden, name.options.at("levels"));
    REQUIRE(expected.dim(0) == static_cast<Index>(levels.steps.size()));
    GivenNoise<T> given;
    for (Index k = 0; k < noise.dim(0); ++k) given.steps.push_back(at_step(noise, k));
    Index done = 0;
    const auto predict = [&](const Tensor<T>& x, const NoiseLevel& at) {
        return answer(name, x, at, at_step(pattern, done));
    };
    const auto compare = [&](SampleStep<T>& step) {
        const auto x = at_step(expected, done);
        const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;
        test::require_close(key + " step " + std::to_string(done), step.x, x, test::peak(x, 1), tolerance);
        ++done;
    };
    typename Sampler::template State<T> state;
    run_sampler(predict, sampler, levels, at_step(start.reshape({1, 2, 1, 2, 2}), 0), given, state, 0, compare);
    REQUIRE(done == static_cast<Index>(levels.steps.size()));
}

// All loops of a file with a solver of that name; make(name) -> sampler.
template <class Make>
void check_loops(const Golden& golden, const std::string& solver, Index count, Make make) {
    Index found = 0;
    for (const auto& entry : golden.file().entries()) {
        if (!entry.name.starts_with(solver + "/")) continue;
        check_loop<float>(golden, entry.name, make(Name(entry.name)));
        check_loop<double>(golden, entry.name, make(Name(entry.name)));
        ++found;
    }
    REQUIRE(found == count);
}

}  // namespace

TEST_CASE("multistep DPM-Solver follows diffusers step for step, on levels of DDPM, EDM and flow, down and up") {
    check_loops(Golden("diffusion/dpm_multistep.safetensors"), "dpm_multistep", 205, dpm_multistep);
}

TEST_CASE("multistep DPM-Solver++ follows k-diffusion's 2M, 2M SDE and 3M SDE step for step") {
    const Golden golden("diffusion/k_multistep.safetensors");
    check_loops(golden, "dpmpp_2m", 4, dpmpp_2m);
    check_loops(golden, "dpmpp_2m_sde", 16, dpmpp_2m);
    check_loops(golden, "dpmpp_3m_sde", 12,
                [](const Name& name) { return dpmpp_3m_sde(name.number("eta", 1), name.number("s_noise", 1)); });
}

TEST_CASE("UniPC follows diffusers step for step") {
    check_loops(Golden("diffusion/unipc.safetensors"), "unipc", 128, unipc);
}

TEST_CASE("DEIS follows diffusers step for step") {
    check_loops(Golden("diffusion/deis.safetensors"), "deis", 30, [](const Name& name) {
        return Deis{name.whole("solver_order", 2), name.yes("lower_order_final", true)};
    });
}

TEST_CASE("single-step DPM-Solver follows diffusers step for step") {
    check_loops(Golden("diffusion/dpm_singlestep.safetensors"), "dpm_singlestep", 190, dpm_singlestep);
}

TEST_CASE("SA-Solver follows diffusers step for step") {
    check_loops(Golden("diffusion/sa_solver.safetensors"), "sa_solver", 68, sa_solver);
}

}  // namespace multistep_golden_test
