// Averages of weights and learning rates against diffusers' EMAModel and get_scheduler.
#include <cmath>
#include <string>
#include <type_traits>

#include "genmod/autograd/var.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/optim/ema.hpp"
#include "genmod/optim/lr_schedule.hpp"
#include "tests/support/golden.hpp"

namespace training_golden_test {

using namespace genmod;
using genmod::test::Golden;

namespace {

template <class T>
struct OneWeight : nn::Module {
    Var<T> weight = Var<T>::parameter(Tensor<T>::zeros({5}));

    static void visit(auto& self, auto&& f) { f("weight", self.weight); }
};

template <class Schedule>
void check_rates(const Golden& golden, const std::string& name, const Schedule& schedule) {
    const auto expected = golden.raw<double>(name);
    for (Index k = 0; k < expected.size(); ++k) {
        INFO(name << " at step " << k);
        REQUIRE(std::abs(schedule(k) - expected[k]) <= 1e-12);
    }
}

}  // namespace

TEST_CASE("the decay of the average equals diffusers' at every step") {
    const Golden golden("training/ema.safetensors");
    const auto check_decay = [&](const std::string& name, const optim::EmaOptions& options) {
        const auto expected = golden.raw<double>("decay/" + name);
        for (Index k = 0; k < expected.size(); ++k) {
            INFO(name << " at update " << k);
            REQUIRE(std::abs(optim::ema_decay(k, options) - expected[k]) <= 1e-12);
        }
    };
    check_decay("default", {});
    check_decay("low", {.decay = 0.8, .min_decay = 0.3});
    check_decay("late", {.decay = 0.995, .update_after = 10});
    check_decay("warmup", {.warmup = true});
    check_decay("warmup_slow", {.warmup = true, .inv_gamma = 20, .power = 0.75});
}

TEMPLATE_TEST_CASE("the average itself equals diffusers' after every update", "", float, double) {
    using T = TestType;
    const Golden golden("training/ema.safetensors");
    const auto weights = golden.raw<T>("weights");
    const auto averages = golden.raw<double>("averages");
    OneWeight<T> model;
    model.weight.value().assign(weights.slice(0, 1).reshape({5}));
    optim::Ema<OneWeight<T>> ema(model, {.decay = 0.9});
    for (Index k = 1; k < weights.dim(0); ++k) {
        model.weight.value().assign(weights.slice(k, k + 1).reshape({5}));
        ema.update(model);
        const auto expected = averages.slice(k - 1, k).reshape({5});
        test::require_close("average after update " + std::to_string(k), ema.model().weight.value(), expected,
                            test::peak(expected), std::is_same_v<T, float> ? 1e-6 : 1e-14);
    }
}

TEST_CASE("learning rates equal diffusers' at every step") {
    const Golden golden("training/learning_rate.safetensors");
    check_rates(golden, "constant", optim::ConstantLr{});
    check_rates(golden, "constant_with_warmup", optim::ConstantLr{10});
    check_rates(golden, "linear", optim::LinearLr{10, 100});
    check_rates(golden, "cosine", optim::CosineLr{10, 100});
    check_rates(golden, "cosine_with_restarts", optim::CosineRestartsLr{10, 100, 3});
    check_rates(golden, "polynomial", optim::PolynomialLr{10, 100, 2, 1e-7});
}

}  // namespace training_golden_test
