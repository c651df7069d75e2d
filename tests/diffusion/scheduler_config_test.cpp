// diffusers' scheduler configurations: each one's whole loop, step for step as diffusers' own class takes it, for every
// class, prediction type, spacing and list of sigmas; and each class's configuration loaded as every other's.
//
// Where diffusers is not followed (see also tests/reference/make_config_goldens.py):
//   a training step that is whole but for rounding errors is told as that step, not as the one below;
//   steps are counted, so a list whose first entry comes twice is not begun at the second one;
//   UniPC's bh1 and unlowered orders reach a last step to no noise, where diffusers divides by an infinite step;
//   fixed_large_log of DDPM is what its name says, where diffusers has NaN;
//   a DEIS configuration loads as a DPM-Solver, for which diffusers maps "deis" but then refuses it.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/any.hpp"
#include "genmod/diffusion/scheduler_config_file.hpp"
#include "genmod/diffusion/scheduler_plan.hpp"
#include "genmod/diffusion/sigma_levels.hpp"
#include "genmod/io/read_file.hpp"
#include "tests/support/golden.hpp"

namespace scheduler_config_test {

using namespace genmod;
using namespace genmod::diffusion;
using genmod::test::Golden;

namespace {

using Numbers = Tensor<double>;

io::Json json_file(const std::string& name) {
    const std::string path = Golden::path("diffusion/configs/" + name + ".json");
    return io::parse_json(diffusion::detail::quote_python_numbers(io::read_text_file(path)), path);
}

std::vector<double> numbers_of(const io::Config& file, const char* key) {
    std::vector<double> result;
    if (!file.has(key)) return result;
    for (const io::Json& item : file.list(key))
        result.push_back(item.kind == io::Json::Kind::whole ? static_cast<double>(item.whole) : item.real);
    return result;
}

// One of the tensor's pictures [batch, 1, h, w], as [batch, h, w, 1].
Numbers picture(const Numbers& all, Index k) {
    return all.slice(k, k + 1).reshape({all.dim(1), all.dim(3), all.dim(4), 1});
}

struct Given {
    Numbers start, pattern;
    GivenNoise<double> noise;

    explicit Given(const Golden& golden) : start(golden.read<double>("start")), pattern(golden.raw<double>("pattern")) {
        const auto draws = golden.raw<double>("noise");
        noise.draws = 2;
        for (Index k = 0; k < draws.dim(0); ++k) noise.steps.push_back(picture(draws, k));
    }
};

// x after each step, as diffusers has it in that class: divided by alpha where it solves at signal 1.
std::vector<Numbers> loop(const SchedulerPlan& plan, bool at_signal_1, const Given& given) {
    Index call = 0;
    const auto network = [&](const Numbers& x, const Numbers& t) {
        return combine(0.5, x, 1 + t[0] / 1000, picture(given.pattern, call++));
    };
    std::vector<Numbers> xs;
    const auto keep = [&](SampleStep<double>& step) {
        xs.push_back(combine(at_signal_1 ? 1 / step.level.alpha : 1, step.x, 0, step.x));
    };
    AnySampler::State<double> state;
    run_sampler(denoiser(network, plan.denoiser), plan.sampler, plan.levels,
                combine(plan.levels.start_scale, given.start, 0, given.start), given.noise, state, 0, keep);
    return xs;
}

bool at_signal_1(const SchedulerConfig& config) { return is_euler_family(config.scheduler); }

void check_loops(const std::string& name, std::size_t count) {
    const Golden golden("diffusion/configs/" + name + ".safetensors");
    const Given given(golden);
    const auto expected = golden.raw<double>("x");
    const io::Json file = json_file(name);
    const auto& cases = file.items;
    REQUIRE(cases.size() == count);
    for (const io::Json& json : cases) {
        INFO(io::to_text(json));
        const io::Config one(json, name);
        const auto config = read_scheduler_config(one.object("config"));
        REQUIRE(static_cast<Index>(config.report.size()) == one.integer("reported", 0));
        StepsWanted wanted{.steps = one.integer("steps"),
                           .timesteps = numbers_of(one, "timesteps"),
                           .sigmas = numbers_of(one, "sigmas")};
        if (one.has("mu")) wanted.mu = one.number("mu");
        const auto xs = loop(scheduler_plan(config.config, wanted), at_signal_1(config.config), given);
        const Index first = one.integer("first");
        REQUIRE(first + static_cast<Index>(xs.size()) <= expected.dim(0));
        for (std::size_t k = 0; k < xs.size(); ++k) {
            const Index row = first + static_cast<Index>(k);
            const auto x = expected.slice(row, row + 1).reshape(xs[k].shape());
            test::require_close("step " + std::to_string(k + 1), xs[k], x, test::peak(x, 1), 1e-10);
        }
    }
}

}  // namespace

TEST_CASE("configurations of the Euler family follow diffusers step for step") { check_loops("euler_family", 232); }
TEST_CASE("configurations on whole training steps follow diffusers step for step") { check_loops("whole_steps", 53); }
TEST_CASE("configurations of multistep solvers follow diffusers step for step") { check_loops("multistep", 300); }
TEST_CASE("configurations of flows and EDM follow diffusers step for step") { check_loops("flow_and_edm", 69); }

TEST_CASE("configurations have diffusers' levels for few and many steps") {
    const auto rows = Golden("diffusion/configs/levels.safetensors").raw<double>("levels");
    const io::Json file = json_file("levels");
    Index row = 0;
    const auto near = [](double found, double expected) {
        INFO("found " << found << ", expected " << expected);
        REQUIRE(std::abs(found - expected) <= 1e-9 * std::max(1.0, std::abs(expected)));
    };
    for (const io::Json& json : file.items) {
        INFO(io::to_text(json));
        const io::Config one(json, "levels");
        const auto config = read_scheduler_config(one.object("config")).config;
        const Levels levels = scheduler_levels(config, {.steps = one.integer("steps")});
        const bool flow = levels.steps[0].from.alpha + levels.steps[0].from.sigma == 1;
        const auto sigma = [&](const NoiseLevel& level) { return flow ? level.sigma : sigma_ve(level); };
        for (const LevelPair& pair : levels.steps) {
            near(pair.from.t, rows[2 * row]);
            near(sigma(pair.from), rows[2 * row + 1]);
            ++row;
        }
        near(sigma(levels.steps.back().to), one.number("last"));
        near(levels.start_scale / (at_signal_1(config) ? levels.steps[0].from.alpha : 1), one.number("init"));
    }
    REQUIRE(row == rows.dim(0));
}

TEST_CASE("each class's configuration loads as every other class, as in diffusers") {
    const Golden golden("diffusion/configs/foreign.safetensors");
    const Given given(golden);
    const auto expected = golden.raw<double>("x");
    const io::Config file(json_file("foreign"), "foreign");
    const io::Config configs = file.object("configs");
    Index row = 0;
    for (const io::Json& json : file.list("pairs")) {
        const auto& pair = json.items;
        const auto &from = pair[0].text, &to = pair[1].text;
        INFO(from << " as " << to);
        const auto loaded = read_scheduler_config(configs.object(from), parse_scheduler_class(to));
        const std::size_t reported = from == "DPMSolverSDEScheduler" ? 1 : 0;  // the seed of its noise
        if (from == to) REQUIRE(loaded.report.size() == reported);
        const auto xs = loop(scheduler_plan(loaded.config, {.steps = 6}), at_signal_1(loaded.config), given);
        const auto x = expected.slice(row, row + 1).reshape(xs.back().shape());
        test::require_close(from + " as " + to, xs.back(), x, test::peak(x, 1), 1e-10);
        ++row;
    }
    REQUIRE(row == expected.dim(0));
    for (const auto solver : {SchedulerClass::dpm_multistep, SchedulerClass::dpm_singlestep}) {
        const auto loaded = read_scheduler_config(configs.object("DEISMultistepScheduler"), solver);
        REQUIRE(loaded.config.algorithm_type == "dpmsolver++");
        REQUIRE(scheduler_plan(loaded.config, {.steps = 6}).levels.steps.size() == 6);
    }
}

TEST_CASE("a sampler chosen at run time gives the bits of the sampler itself, and keeps to its own state") {
    const Golden golden("diffusion/configs/foreign.safetensors");
    const Given given(golden);
    const Levels levels = sigma_levels(Schedule(), 5);
    const auto predict = denoiser([](const Numbers& x, const Numbers&) { return combine(0.5, x, 0, x); });
    const DpmSolverMultistep own{.solver_order = 3};
    DpmSolverMultistep::State<double> own_state;
    AnySampler::State<double> any_state;
    const auto expected = run_sampler(predict, own, levels, given.start, given.noise, own_state);
    const auto found = run_sampler(predict, AnySampler{own}, levels, given.start, given.noise, any_state);
    REQUIRE(std::equal(found.begin(), found.end(), expected.begin()));
    REQUIRE_THROWS_AS(run_sampler(predict, AnySampler{Lms{}}, levels, given.start, given.noise, any_state), Error);
    REQUIRE_THROWS_AS(any_state.select(1000), Error);
}

}  // namespace scheduler_config_test
