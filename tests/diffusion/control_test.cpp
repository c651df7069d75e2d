// What steers a run: callbacks, img2img, inpainting, guidance that changes on the way, negative labels.
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/guidance_schedule.hpp"
#include "genmod/diffusion/img2img.hpp"
#include "genmod/diffusion/inpaint.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/euler_ancestral.hpp"
#include "genmod/diffusion/sampler/heun.hpp"
#include "genmod/diffusion/sampler/pndm.hpp"
#include "tests/support/catch.hpp"

namespace control_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

// The best prediction for data N(0.3, 0.5^2) in every number.
Prediction<double> predict(const Tensor<double>& x, const NoiseLevel& at) {
    const double share = at.alpha * 0.25 / (at.alpha * at.alpha * 0.25 + at.sigma * at.sigma);
    const auto x0 = zip(x, x, [=](double a, double, Index) { return 0.3 + share * (a - at.alpha * 0.3); });
    return {.x0 = x0, .eps = eps_from_x0(x, x0, at), .variance = {}, .gradient = {}};
}

void require_equal(const Tensor<double>& a, const Tensor<double>& b) {
    REQUIRE(to_string(a.shape()) == to_string(b.shape()));
    for (Index k = 0; k < a.size(); ++k) REQUIRE(a[k] == b[k]);
}

// A network that says its label where it is asked, and keeps a list of what it was asked.
struct Labels {
    std::vector<std::vector<Index>>* asked;

    Tensor<double> operator()(const Tensor<double>& x, const Tensor<double>&, const std::vector<Index>& labels) const {
        asked->push_back(labels);
        Tensor<double> y(x.shape());
        const Index size = x.size() / x.dim(0);
        for (Index k = 0; k < x.size(); ++k) y[k] = static_cast<double>(labels[static_cast<std::size_t>(k / size)]);
        return y;
    }
};

}  // namespace

TEST_CASE("callbacks see the x0 of the step's own x, whatever the solver asks") {
    const Levels levels = pndm_levels(Schedule(), 8);
    const auto check = [&](const auto& sampler) {
        Tensor<double> before;
        const auto look = [&](SampleStep<double>& step) {
            const NoiseLevel& from = levels.steps[static_cast<std::size_t>(step.step - 1)].from;
            if (!before.empty()) require_equal(step.prediction.x0, predict(before, from).x0);
            REQUIRE(step.total == 8);
            REQUIRE(step.level.t == levels.steps[static_cast<std::size_t>(step.step - 1)].to.t);
            before = step.x;
        };
        sample<double>(predict, sampler, levels, {.shape = {1, 3}}, look);
        REQUIRE(!before.empty());
    };
    check(Ddim{});
    check(Heun{});
    check(Pndm{});
}

TEST_CASE("callbacks run in turn, and each may stop the run") {
    const Levels levels = ddim_levels(Schedule(), 5);
    std::string order;
    const auto first = [&](SampleStep<double>& step) {
        order += 'a';
        step.x = combine(0, step.x, 0, step.x);
    };
    const auto second = [&](Index step, Index total) { order += std::to_string(step) + std::to_string(total); };
    const auto third = [&](SampleStep<double>& step) {
        REQUIRE(step.x[0] == 0);
        order += 'c';
        step.stop = step.step == 2;
    };
    sample<double>(predict, Ddim{}, levels, {.shape = {1, 2}}, in_turn(first, second, third));
    REQUIRE(order == "a15ca25c");
}

TEST_CASE("img2img starts where diffusers does") {
    REQUIRE(first_step(50, 0.8) == 10);
    REQUIRE(first_step(100, 0.29) == 72);  // 100 * 0.29 is just below 29
    REQUIRE(first_step(10, 1) == 0);
    REQUIRE(first_step(3, 0.34) == 2);
    for (const double strength : {0.0, 0.33, -0.1, 1.1}) REQUIRE_THROWS_AS(first_step(3, strength), Error);

    const Levels levels = ddim_levels(Schedule(), 10);
    const auto picture = Rng(1).normals<double>({2, 2, 2, 1});
    const auto options = img2img<double>(levels, picture, 0.4, {.seed = 7});
    REQUIRE(options.first == 6);
    const auto noise = SeededNoise({7, 8}).start<double>(picture.shape());
    const NoiseLevel& level = levels.steps[6].from;
    require_equal(options.start, combine(level.alpha, picture, level.sigma, noise));
    const SeededNoise source({7, 8});
    require_equal(img2img(levels, picture, 0.4, source).start, options.start);
    Index steps = 0;
    sample<double>(predict, EulerAncestral{}, levels, options, [&](Index step, Index) {
        REQUIRE(step == 7 + steps);
        ++steps;
    });
    REQUIRE(steps == 4);
    // A network that knows the picture leads back to it, by samplers with a history too.
    const auto knows = [&](const Tensor<double>& x, const NoiseLevel& at) {
        return Prediction<double>{.x0 = picture, .eps = eps_from_x0(x, picture, at), .variance = {}, .gradient = {}};
    };
    const auto back = sample<double>(knows, Pndm{}, levels, options);
    for (Index k = 0; k < back.size(); ++k) REQUIRE(back[k] == Approx(picture[k]).margin(1e-12));
}

TEST_CASE("inpainting keeps the original exactly and repaints the rest") {
    const auto original = Rng(2).normals<double>({2, 2, 2, 3});
    auto mask = Tensor<double>::zeros({1, 2, 2, 1});
    mask[1] = 1;
    mask[2] = 0.5;
    const auto check = [&](const auto& sampler, const Levels& levels) {
        const SampleOptions<double> options{.shape = original.shape(), .seed = 3};
        const auto keep = inpaint(original, mask, options);
        const auto free = sample<double>(predict, sampler, levels, options);
        const auto look = [&](SampleStep<double>& step) {
            const auto noisy = combine(step.level.alpha, original, step.level.sigma, keep.noise);
            for (Index k : {0, 9, 23}) REQUIRE(step.x[k] == (step.step == step.total ? original[k] : noisy[k]));
        };
        const auto x = sample<double>(predict, sampler, levels, options, in_turn(keep, look));
        for (Index k = 0; k < x.size(); ++k) {
            const double m = mask[k / 3 % 4];
            if (m == 0) REQUIRE(x[k] == original[k]);
            if (m == 1) REQUIRE(x[k] == free[k]);  // this network looks at no neighbours
        }
        REQUIRE(x[6] != original[6]);
    };
    check(Ddim{}, ddim_levels(Schedule(), 5, {.set_alpha_to_one = false}));
    check(EulerAncestral{}, ddim_levels(Schedule(), 5));
    check(Pndm{}, pndm_levels(Schedule(), 5));
    mask[0] = 1.5;
    REQUIRE_THROWS_AS(inpaint<double>(original, mask, {}), Error);
    REQUIRE_THROWS_AS(inpaint<double>(original, Tensor<double>::zeros({1, 2, 3, 1}), {}), Error);
    REQUIRE_THROWS_AS(inpaint<double>(original, Tensor<double>::zeros({2, 2, 1}), {}), Error);
}

TEST_CASE("guidance acts on its steps only, and costs nothing on the others") {
    const Levels levels = ddim_levels(Schedule(), 5);
    std::vector<std::vector<Index>> asked;
    const auto run = [&](const GuidanceWeight& weight) {
        asked.clear();
        const auto network = classifier_free(Labels{&asked}, {1, 4}, {.null_class = 9, .weight_at = weight});
        sample<double>(denoiser(network), Ddim{}, levels, {.shape = {2, 2}});
        std::string guided;
        for (const auto& labels : asked) guided += labels.size() == 4 ? 'g' : '.';
        return guided;
    };
    REQUIRE(run(guidance_in_steps(levels, 3, 0.2, 0.6)) == ".gg..");
    REQUIRE(run(guidance_in_steps(levels, 3, 0, 0.5)) == "ggg..");
    REQUIRE(run(guidance_in_steps(levels, 3, 0, 0)) == ".....");
    REQUIRE(run(guidance_in_steps(levels, 3, 0, 1)) == "ggggg");
    const double low = sigma_ve(levels.steps[3].from), high = sigma_ve(levels.steps[1].from);
    REQUIRE(run(guidance_between(3, low, high)) == ".ggg.");
    std::vector<Index> places;
    run(guidance_by_step(levels, [&](Index step, Index total) {
        places.push_back(step * 10 + total);
        return 2.0;
    }));
    REQUIRE(places == std::vector<Index>{5, 15, 25, 35, 45});
    REQUIRE(asked[0] == std::vector<Index>{9, 9, 1, 4});
    REQUIRE_THROWS_AS(guidance_in_steps(levels, 3, 0.6, 0.2), Error);
    REQUIRE_THROWS_AS(guidance_between(3, 2, 1), Error);
    REQUIRE_THROWS_AS(guidance_by_step(ddim_inverse_levels(Schedule(), 5), {}), Error);
    const auto network = classifier_free(Labels{&asked}, {1, 4}, {.weight_at = guidance_between(3, 0, 1)});
    REQUIRE_THROWS_AS(network(Tensor<double>::zeros({2, 2}), Tensor<double>::zeros({2})), Error);
}

TEST_CASE("a negative label takes the place of none") {
    std::vector<std::vector<Index>> asked;
    const auto x = Tensor<double>::zeros({2, 2}), t = Tensor<double>::zeros({2});
    const auto y = classifier_free(Labels{&asked}, {1, 4}, {.weight = 3, .null_class = 9, .negative = {2, 2}})(x, t);
    REQUIRE(asked.back() == std::vector<Index>{2, 2, 1, 4});
    REQUIRE(y[0] == 2 + 3 * (1 - 2));
    REQUIRE(y[3] == 2 + 3 * (4 - 2));
    const GuidanceOptions wrong{.negative = {2}};
    REQUIRE_THROWS_AS(classifier_free(Labels{&asked}, {1, 4}, wrong), Error);
}

}  // namespace control_test
