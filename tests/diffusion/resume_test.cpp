// Every sampler goes on after a kill as if nothing had happened.
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "genmod/core/rng_torch.hpp"
#include "genmod/diffusion/drawn_noise.hpp"
#include "genmod/diffusion/edm_levels.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/resume.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/any.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "genmod/diffusion/sampler_names.hpp"
#include "tests/support/catch.hpp"

namespace resume_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

// A network that is no straight line: x0 = x / (1 + x^2).
Prediction<float> predict(const Tensor<float>& x, const NoiseLevel& at) {
    const Tensor<float> x0 = zip(x, x, [](float a, float, Index) { return a / (1 + a * a); });
    return {.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
}

std::string run_path() { return (std::filesystem::temp_directory_path() / "genmod_resume_test.safetensors").string(); }

struct Kill : std::runtime_error {
    Kill() : std::runtime_error("kill") {}
};

// Runs in as many processes as there are steps, each killed in the network's first answer after a step was saved.
template <class Sampler>
void check_kills(const Sampler& sampler, const Levels& levels) {
    const SampleOptions<float> options{.shape = {3, 2, 2, 1}, .seed = 4};
    const Tensor<float> whole = sample(predict, sampler, levels, options);
    const auto total = static_cast<Index>(levels.steps.size());
    save_run(run_path(), begin_run(sampler, levels, options), levels);
    Tensor<float> x;
    for (Index kills = 0; x.empty(); ++kills) {
        REQUIRE(kills <= total);
        auto run = load_run<float>(run_path(), sampler, levels);
        REQUIRE(run.next == kills);
        try {
            const auto save_and_die = [&](SampleStep<float>& step) {
                save_run(run_path(), run, levels);
                if (step.step < total) throw Kill();
            };
            x = sample(predict, sampler, levels, run, save_and_die);
        } catch (const Kill&) {
            continue;
        }
    }
    for (Index k = 0; k < x.size(); ++k) REQUIRE(x[k] == whole[k]);
}

}  // namespace

TEST_CASE("a run that is killed after every step ends with the same bits, whatever the sampler") {
    for (const std::string& name : sampler_names()) {
        INFO(name);
        const NamedRun run = named_run(name, "", {}, 7);
        check_kills(run.sampler, run.levels);
    }
    const auto check = [](const AnySampler& sampler, const Levels& levels) { check_kills(sampler, levels); };
    check({Consistency{}}, consistency_levels(4));
    check({Pndm{PredictionType::v_prediction}}, pndm_levels(Schedule(), 6));
    check({DpmSolverSinglestep{.solver_order = 3}}, ddpm_levels(Schedule(), 9, {Spacing::trailing}));
    check({DpmSolverMultistep{.solver_order = 3}}, ddpm_levels(Schedule(), 6, {Spacing::trailing}));
    check({UniPc{.solver_order = 3}}, ddpm_levels(Schedule(), 6, {Spacing::trailing}));
}

TEST_CASE("a run with generators of PyTorch goes on where they were") {
    const Levels levels = ddpm_levels(Schedule(), 5);
    const SampleOptions<float> options{.shape = {1, 1, 1, 3}};  // short draws: a normal is left over for the next one
    using Drawn = DrawnNoise<TorchGenerator>;
    Drawn noise({TorchGenerator(4)});
    auto run = begin_run(Ddpm{}, levels, options, noise);
    const Tensor<float> whole = sample(predict, Ddpm{}, levels, noise, options);
    sample(predict, Ddpm{}, levels, run, [](SampleStep<float>& step) { step.stop = step.step == 2; });
    save_run(run_path(), run, levels);
    auto loaded = load_run<float>(run_path(), Ddpm{}, levels, Drawn({TorchGenerator(9)}));
    REQUIRE(loaded.noise.generators()[0].state().spare != TorchState::no_spare);
    const Tensor<float> x = sample(predict, Ddpm{}, levels, loaded);
    for (Index k = 0; k < x.size(); ++k) REQUIRE(x[k] == whole[k]);
    REQUIRE_THROWS_AS(load_run<float>(run_path(), Ddpm{}, levels, Drawn(generators_from<TorchGenerator>(9, 2))), Error);
}

TEST_CASE("a stop leaves a run that goes on") {
    const Levels levels = pndm_levels(Schedule(), 8);
    const SampleOptions<float> options{.shape = {1, 4}};
    auto run = begin_run(Pndm{}, levels, options);
    const auto stop = [](SampleStep<float>& step) { step.stop = step.step % 3 == 0; };
    sample(predict, Pndm{}, levels, run, stop);
    REQUIRE(run.next == 3);
    sample(predict, Pndm{}, levels, run, stop);
    REQUIRE(run.next == 6);
    const auto x = sample(predict, Pndm{}, levels, run), whole = sample(predict, Pndm{}, levels, options);
    for (Index k = 0; k < x.size(); ++k) REQUIRE(x[k] == whole[k]);
    // What a callback does to x is part of the run.
    auto edited = begin_run(Pndm{}, levels, options);
    sample(predict, Pndm{}, levels, edited, [](SampleStep<float>& step) {
        step.x = Tensor<float>::zeros(step.x.shape());
        step.stop = true;
    });
    REQUIRE(edited.x[0] == 0);
}

TEST_CASE("a file is taken for nothing but the run it is") {
    const Levels levels = ddim_levels(Schedule(), 6);
    save_run(run_path(), begin_run(Ddim{}, levels, SampleOptions<float>{.shape = {2, 3}}), levels);
    REQUIRE(load_run<float>(run_path(), Ddim{}, levels).x.shape() == Shape{2, 3});
    REQUIRE_THROWS_AS(load_run<double>(run_path(), Ddim{}, levels), Error);
    REQUIRE_THROWS_AS(load_run<float>(run_path(), Pndm{}, levels), Error);
    REQUIRE_THROWS_AS(load_run<float>(run_path(), Ddim{}, ddim_levels(Schedule(), 7)), Error);
    REQUIRE_THROWS_AS(load_run<float>(run_path() + ".none", Ddim{}, levels), Error);
    // Every byte that is cut off or changed.
    std::ifstream in(run_path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const auto load = [&](const std::string& damaged) {
        std::ofstream(run_path(), std::ios::binary) << damaged;
        try {
            load_run<float>(run_path(), Ddim{}, levels);
            return ErrorCode::internal;
        } catch (const Error& error) {
            return error.code();
        }
    };
    for (std::size_t k = 0; k < bytes.size(); k += 7) {
        INFO("byte " << k);
        REQUIRE(load(bytes.substr(0, k)) == ErrorCode::bad_file);
        std::string changed = bytes;
        changed[k] = static_cast<char>(changed[k] ^ 4);
        REQUIRE(load(changed) == ErrorCode::bad_file);
    }
    std::filesystem::remove(run_path());
}

}  // namespace resume_test
