// The pictures that diffusers and k-diffusion make from a seed alone.
#include "genmod/diffusion/compat.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "genmod/core/rng_cuda.hpp"
#include "genmod/core/rng_torch.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/drawn_noise.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/sampler/dpm_solver_multistep.hpp"
#include "genmod/diffusion/sampler/dpmpp_2s_ancestral.hpp"
#include "genmod/diffusion/sampler/dpmpp_3m_sde.hpp"
#include "genmod/diffusion/sampler/dpmpp_sde.hpp"
#include "genmod/diffusion/sampler/euler.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/kdpm2.hpp"
#include "genmod/diffusion/sampler/kdpm2_ancestral.hpp"
#include "genmod/diffusion/sampler/lcm.hpp"
#include "genmod/diffusion/sampler/sa_solver.hpp"
#include "genmod/diffusion/sampler/tcd.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/diffusion/torchsde_noise.hpp"
#include "tests/support/golden.hpp"

namespace compat_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

constexpr Index steps = 5;

Schedule latent_schedule() {
    return Schedule({.beta_start = 0.00085, .beta_end = 0.012, .beta_schedule = BetaSchedule::scaled_linear});
}

template <class T>
Tensor<T> network(const Tensor<T>& x, const Tensor<T>&) {
    return zip(x, x, [](T value, T, Index) { return value / (1 + value * value); });
}

template <class Sampler, class Source>
void check_run(const std::string& key, const Sampler& sampler, const Levels& levels, Source& noise,
               double tolerance = 1e-5) {
    const auto predict =
        denoiser([](const Tensor<float>& x, const Tensor<float>& t) { return network(x, t); }, {.clip_sample = false});
    const auto x = sample(predict, sampler, levels, noise, {.shape = {2, 3, 5, 4}});
    const auto expected = Golden("diffusion/same_seed.safetensors").read<double>(key);
    test::require_close(key, x, expected, test::peak(expected, 1), tolerance);
}

// Two runs from one seed, the second with the generators as the first one left them.
template <class Sampler>
void check_runs(const std::string& key, const Conventions& conventions, const Sampler& sampler, const Levels& levels) {
    const Golden golden("diffusion/same_seed.safetensors");
    const auto predict =
        denoiser([](const Tensor<float>& x, const Tensor<float>& t) { return network(x, t); }, {.clip_sample = false});
    auto noise = noise_as_in(conventions, 5, 2);
    for (const std::string& run : {key, key + "_again"}) {
        const auto x = sample(predict, as_in(conventions, sampler), levels, noise, {.shape = {2, 3, 5, 4}});
        const auto expected = golden.read<double>(run);
        test::require_close(run, x, expected, test::peak(expected, 1), 1e-5);
    }
}

// Both of diffusers' ways to seed a batch.
template <class Sampler>
void check_diffusers(const std::string& name, const Sampler& sampler, const Levels& levels) {
    Conventions conventions = genmod::diffusion::conventions(Program::diffusers);
    check_runs("diffusers/" + name + "/one", conventions, sampler, levels);
    conventions.seed_for_each = true;
    check_runs("diffusers/" + name + "/list", conventions, sampler, levels);
}

}  // namespace

TEST_CASE("one seed gives diffusers' picture") {
    const Schedule schedule = latent_schedule();
    const auto options = as_in(conventions(Program::diffusers), SigmaLevelOptions{});
    const Levels sigmas = sigma_levels(schedule, steps, options);
    check_diffusers("ddpm", Ddpm{}, ddpm_levels(schedule, steps));
    check_diffusers("ddim", Ddim{.eta = 1}, ddim_levels(schedule, steps));
    check_diffusers("euler_ancestral", EulerAncestral{}, sigmas);
    check_diffusers("kdpm2_ancestral", Kdpm2Ancestral{}, sigmas);
    check_diffusers("lcm", Lcm{}, lcm_levels(schedule, steps));
    check_diffusers("tcd", Tcd{}, tcd_levels(schedule, steps));
    const Levels multistep = sigma_levels(schedule, steps, {.multistep = true, .unit_start = true});
    check_diffusers("dpm_sde", DpmSolverMultistep{.algorithm_type = DpmAlgorithm::sde_dpmsolver_pp}, multistep);
    check_diffusers(
        "sa_solver", SaSolver{},
        sigma_levels(schedule, steps, {.multistep = true, .final_sigma = FinalSigma::sigma_min, .unit_start = true}));
}

TEST_CASE("one seed gives k-diffusion's picture") {
    const Conventions own = conventions(Program::k_diffusion);
    const Levels levels = sigma_levels(latent_schedule(), steps, as_in(own, SigmaLevelOptions{}));
    const auto key = [](const std::string& name) { return "k_diffusion/" + name + "/one"; };
    check_runs(key("euler"), own, Euler{}, levels);
    check_runs(key("euler_ancestral"), own, EulerAncestral{}, levels);
    check_runs(key("heun"), own, Heun{}, levels);
    check_runs(key("dpm_2"), own, Kdpm2{}, levels);
    check_runs(key("dpm_2_ancestral"), own, Kdpm2Ancestral{}, levels);
    check_runs(key("dpmpp_2s_ancestral"), own, Dpmpp2sAncestral{}, levels);
    check_runs(key("dpmpp_2m"), own, DpmSolverMultistep{}, levels);
}

TEST_CASE("trees of torchsde are the same, interval by interval") {
    const Golden golden("diffusion/same_seed.safetensors");
    const diffusion::detail::TorchsdeTree tree((std::uint64_t{1} << 33) + 1, 0.03, 14.6146, {20});
    int compared = 0;
    for (const auto& entry : golden.file().entries()) {
        if (!entry.name.starts_with("tree/")) continue;
        const std::size_t slash = entry.name.rfind('/');
        const auto gain = tree(std::stod(entry.name.substr(5, slash - 5)), std::stod(entry.name.substr(slash + 1)));
        const auto expected = golden.raw<double>(entry.name);
        test::require_close(entry.name, gain, expected, test::peak(expected), 2e-6);
        ++compared;
    }
    REQUIRE(compared == 5);
    REQUIRE_THROWS_AS(tree(1, 1.0000001), Error);
    REQUIRE_THROWS_AS(diffusion::detail::TorchsdeTree(1, 2, 2, {1}), Error);
}

TEST_CASE("one seed gives k-diffusion's picture with torchsde's trees, and the web UIs'") {
    const auto stored = Golden("diffusion/same_seed.safetensors").raw<double>("k_diffusion/sigmas");
    const std::vector<double> sigmas(stored.begin(), stored.end());
    const Levels levels = levels_of_sigmas(latent_schedule(), sigmas);
    const Conventions own = conventions(Program::k_diffusion);
    const auto check_trees = [&](const std::string& name, const auto& sampler, double tolerance = 1e-5) {
        for (const bool list : {false, true}) {
            const std::vector<std::uint64_t> one{(std::uint64_t{1} << 40) + 5}, many{5, 6};
            TorchsdeNoise noise(noise_as_in(own, 5, 2), list ? many : one, sigmas[sigmas.size() - 2], sigmas[0]);
            check_run("trees/" + name + (list ? "/list" : "/one"), as_in(own, sampler), levels, noise, tolerance);
        }
    };
    check_trees("dpmpp_2m_sde", DpmSolverMultistep{.algorithm_type = DpmAlgorithm::sde_dpmsolver_pp});
    check_trees("dpmpp_3m_sde", dpmpp_3m_sde());
    check_trees("dpmpp_sde", DpmppSde{}, 1e-3);  // the sigmas between, which floats round to another millionth
}

TEST_CASE("a preset names its program and reaches every part that it knows") {
    for (const auto program : {Program::diffusers, Program::k_diffusion, Program::webui})
        REQUIRE(parse_program(to_string(program)) == program);
    REQUIRE_THROWS_AS(parse_program("midjourney"), Error);
    const Conventions web = conventions(Program::webui);
    const auto sde = as_in(web, DpmSolverMultistep{.solver_order = 3});
    REQUIRE((sde.brownian && !sde.lower_order_final && sde.solver_order == 3));
    struct Any {
        std::variant<Ddim, EulerAncestral, Heun> chosen;
    };
    REQUIRE(std::get<Heun>(as_in(web, Any{Heun{}}).chosen).churn.draw_always);
    REQUIRE(std::get<EulerAncestral>(as_in(Conventions{}, Any{EulerAncestral{}}).chosen).draw_on_last_step);
    REQUIRE(as_in(web, Ddim{.eta = 0.5}).eta == 0.5);
}

TEST_CASE("a web UI's picture in a batch is the picture of its own seed, on the CPU and on a card") {
    const Conventions web = conventions(Program::webui);
    const auto check_picture = [&](auto batch, auto alone) {
        const auto all = batch.template start<float>({3, 3, 5, 4}), one = alone.template start<float>({1, 3, 5, 4});
        for (Index k = 0; k < one.size(); ++k) REQUIRE(all[2 * one.size() + k] == one[k]);
    };
    check_picture(noise_as_in(web, 7, 3), noise_as_in(web, 9, 1));
    const CudaCard card{.multiprocessors = 28, .threads_per_multiprocessor = 1536};
    check_picture(noise_as_in<CudaGenerator>(web, 7, 3, card), noise_as_in<CudaGenerator>(web, 9, 1, card));
    REQUIRE(noise_as_in(conventions(Program::k_diffusion), 7, 3).generators().size() == 1);
}

}  // namespace compat_test
