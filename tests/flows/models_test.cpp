// Whole flows: sequences, RealNVP, spline flows and Glow, and the audit that names a part which is wrong.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <variant>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/data/toy.hpp"
#include "genmod/flows/audit.hpp"
#include "genmod/flows/glow.hpp"
#include "genmod/flows/realnvp.hpp"
#include "genmod/flows/spline_flow.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/optim/adam.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/flow_cases.hpp"

namespace models_test {

using namespace genmod;
using namespace genmod::flows;

namespace {

// An actnorm whose log_det or inverse is a little wrong.
template <class T>
struct Broken : nn::Module {
    static constexpr const char* name = "broken";
    ActNorm<T> inner;
    double log_det_error, inverse_error;

    Broken(double log_det, double inverse) : inner(2), log_det_error(log_det), inverse_error(inverse) {}
    Transformed<T> forward(const Var<T>& x) const {
        const Transformed<T> right = inner.forward(x);
        return {right.y, ops::add_scalar(right.log_det, log_det_error)};
    }
    Transformed<T> inverse(const Var<T>& y) const {
        const Transformed<T> right = inner.inverse(y);
        return {ops::add_scalar(right.y, inverse_error), ops::add_scalar(right.log_det, -log_det_error)};
    }
    static void visit(auto& self, auto&& f) { f("inner", self.inner); }
};

std::vector<std::string> failing(const Audit& audit) {
    std::vector<std::string> names;
    for (const LayerAudit& layer : audit.layers)
        if (!layer.ok) names.push_back(layer.name);
    return names;
}

Audit audit_with(double log_det_error, double inverse_error) {
    Rng rng(1);
    using Step = std::variant<ActNorm<double>, InvConv1x1<double>, Broken<double>>;
    std::vector<Step> steps;
    steps.emplace_back(InvConv1x1<double>(2, rng));
    steps.emplace_back(Broken<double>(log_det_error, inverse_error));
    steps.emplace_back(ActNorm<double>(2));
    Sequence<double, Step> sequence(std::move(steps));
    test::randomise(sequence, rng);
    return audit<double>(sequence, rng.normals<double>({5, 2}));
}

template <class T>
double worst_difference(const Tensor<T>& a, const Tensor<T>& b) {
    REQUIRE(a.shape() == b.shape());
    double worst = 0;
    for (Index k = 0; k < a.size(); ++k) worst = std::max(worst, std::abs(static_cast<double>(a[k] - b[k])));
    return worst;
}

ImageFlow<double> small_glow(std::uint64_t seed, bool prior = true) {
    Rng rng(seed);
    return glow<double>({4, 4, 1}, rng, {.levels = 2, .steps = 2, .hidden = 6, .learned_prior = prior});
}

// Pictures of bytes in [-1, 1] with noise.
Tensor<double> pictures(Index count) {
    Rng rng(9);
    return rng.uniforms<double>({count, 4, 4, 1}, -1, 1);
}

}  // namespace

TEST_CASE("an audit names the layer whose log-determinant or inverse is wrong") {
    CHECK(audit_with(0, 0).ok());
    CHECK(audit_with(0, 0).layers.size() == 3);
    const Audit log_det = audit_with(1e-4, 0), inverse = audit_with(0, 1e-8);
    CHECK(failing(log_det) == std::vector<std::string>{"1 (broken)"});
    CHECK(failing(inverse) == std::vector<std::string>{"1 (broken)"});
    CHECK(std::abs(log_det.layers[1].log_det - 1e-4) < 1e-9);
    CHECK(log_det.layers[1].inverse < 1e-12);
    CHECK(std::abs(inverse.layers[1].inverse - 1e-8) < 1e-12);
    CHECK(inverse.text().find("1 (broken) FAILS: inverse off by 1e-08") == 0);
    CHECK(log_det.text(true).find("0 (invertible 1x1 convolution): inverse off by") == 0);
}

TEST_CASE("an audit passes every layer of RealNVP, spline flow and Glow") {
    Rng rng(2);
    PointFlow<double> points = real_nvp<double>(
        3, rng, {.couplings = 3, .network = {.hidden = {8}}, .normalisation = Normalisation::batch_norm});
    PointFlow<double> splines = spline_flow<double>(2, rng, {.couplings = 2, .network = {.hidden = {8}}});
    ImageFlow<double> images = small_glow(3);
    ImageFlow<double> real = image_real_nvp<double>({4, 4, 1}, rng, {.halvings = 1, .couplings = 2, .hidden = 4});
    const auto passes = [&](auto& flow, const Tensor<double>& x, std::size_t layers) {
        test::randomise(flow, rng, 0.2);
        const Audit found = audit<double>(flow.transform, x);
        INFO(found.text(true));
        CHECK(found.ok());
        CHECK(found.layers.size() == layers);
    };
    passes(points, rng.normals<double>({3, 3}), 6);
    passes(splines, rng.normals<double>({3, 2}), 5);
    passes(images, pictures(2), 1 + 2 * 7 + 2);
    passes(real, pictures(2), 1 + 4 + 1 + 4 + 6);
    Audit whole = audit<double>(images.transform, pictures(2));
    CHECK(whole.layers[2].name == "1.level0.1 (actnorm)");
    CHECK(whole.layers[8].name == "1.level0.prior (split)");
}

TEST_CASE("log_prob is the base's density and the change of volume") {
    Rng rng(4);
    std::vector<PointStep<double>> steps;
    steps.emplace_back(ActNorm<double>(2));
    std::get<ActNorm<double>>(steps.front()).log_scale.value()[0] = std::log(2.0);
    const PointFlow<double> flow(Sequence<double, PointStep<double>>(std::move(steps)), {2});
    const Tensor<double> x = Tensor<double>::from({1, 2}, {0.5, -1});
    const double expected = -std::log(2 * std::numbers::pi) - 0.5 * (1 + 1) + std::log(2.0);
    CHECK(std::abs(flow.log_prob(Var<double>(x)).value()[0] - expected) < 1e-12);
    CHECK_THROWS_AS(flow.log_prob(Var<double>(Tensor<double>::zeros({1, 3}))), Error);
    CHECK_THROWS_AS(flow.sample(0, 1), Error);
    CHECK_THROWS_AS(flow.sample(1, 1, -1), Error);
    // The sum of a density over a fine grid is 1.
    PointFlow<double> learned = real_nvp<double>(2, rng, {.couplings = 4, .network = {.hidden = {8}}});
    test::randomise(learned, rng, 0.2);
    Tensor<double> grid({121 * 121, 2});
    for (Index k = 0; k < 121 * 121; ++k) {
        grid[2 * k] = static_cast<double>(k % 121 - 60) / 6;
        grid[2 * k + 1] = static_cast<double>(k / 121 - 60) / 6;
    }
    const NoGrad off;
    double mass = 0;
    const Tensor<double> density = learned.log_prob(Var<double>(grid)).value();
    for (const double nats : density) mass += std::exp(nats) / 36;
    CHECK(std::abs(mass - 1) < 1e-3);
}

TEST_CASE("samples depend on their own seed, and on the temperature") {
    const ImageFlow<double> flow = small_glow(5);
    const Tensor<double> many = flow.sample(3, 20);
    REQUIRE(many.shape() == Shape{3, 4, 4, 1});
    CHECK(worst_difference(many.slice(2, 3), flow.sample(1, 22)) == 0);
    CHECK(worst_difference(many, flow.sample(3, 20, 0.5)) > 1e-3);
    const Tensor<double> cold = flow.sample(2, 20, 0);
    CHECK(worst_difference(cold.slice(0, 1), cold.slice(1, 2)) == 0);
}

TEST_CASE("a Glow brings pictures back, starts from data, and is saved and loaded") {
    ImageFlow<double> flow = small_glow(6);
    const Tensor<double> x = pictures(8);
    flow.initialize(x);
    const auto& scale = std::get<ActNorm<double>>(
        std::get<MultiScale<double, ImageStep<double>>>(flow.transform.steps[1]).levels[1].steps.steps[1]);
    CHECK(scale.log_scale.value()[0] != 0);
    Rng rng(8);
    test::randomise(flow, rng, 0.1);
    const NoGrad off;
    const auto there = flow.transform.forward(Var<double>(x)), back = flow.transform.inverse(there.y);
    REQUIRE(there.y.shape() == Shape{8, 16});
    CHECK(worst_difference(back.y.value(), x) < 1e-12);
    CHECK(worst_difference(back.log_det.value(), ops::negate(there.log_det).value()) < 1e-11);
    for (Index k = 0; k < 2; ++k)
        CHECK(std::abs(there.log_det.value()[k] - test::numeric_log_det(flow.transform, x.slice(k, k + 1))) < 1e-6);

    const std::string path = "flow_models_test.safetensors";
    nn::save(flow, path);
    ImageFlow<double> other = small_glow(7);
    nn::load(other, io::Safetensors(path));
    std::remove(path.c_str());
    CHECK(worst_difference(other.log_prob(Var<double>(x)).value(), flow.log_prob(Var<double>(x)).value()) == 0);
}

TEST_CASE("64 steps of Glow lead back within 1e-4 in float") {
    Rng rng(11);
    std::vector<ImageStep<float>> steps;
    for (int k = 0; k < 64; ++k) add_glow_step<float>(steps, 4, 8, MatrixForm::lu, rng);
    Sequence<float, ImageStep<float>> deep(std::move(steps));
    test::randomise(deep, rng, 0.05);
    const NoGrad off;
    const Tensor<float> x = rng.normals<float>({2, 4, 4, 4});
    deep.initialize(x);
    const auto there = deep.forward(Var<float>(x)), back = deep.inverse(there.y);
    CHECK(worst_difference(there.y.value(), x) > 0.1);
    CHECK(worst_difference(back.y.value(), x) < 1e-4);
}

TEST_CASE("flows learn moons in a few steps") {
    Rng rng(12), points(13);
    const auto train = [&](PointFlow<float> flow) {
        flow.initialize(data::moons<float>(256, points));
        optim::Adam<float> adam(flow, {.lr = 5e-3});
        double first = 0, last = 0;
        for (std::uint64_t step = 1; step <= 60; ++step) {
            Training scope(1, step);
            const Var<float> nats = flow.log_prob(Var<float>(data::moons<float>(128, points)));
            const Var<float> loss = ops::negate(ops::mean(nats));
            (step == 1 ? first : last) = static_cast<double>(loss.item());
            backward(loss);
            adam.step();
            scope.commit();
        }
        CHECK(last < first - 0.3);
        return last;
    };
    const nn::MlpOptions small{.hidden = {16}};
    CHECK(train(real_nvp<float>(2, rng, {.couplings = 4, .network = small})) < 3.4);
    CHECK(train(spline_flow<float>(2, rng, {.couplings = 2, .network = small})) < 3.2);
}

TEST_CASE("flows of impossible sizes are refused") {
    Rng rng(1);
    CHECK_THROWS_AS(real_nvp<float>(1, rng), Error);
    CHECK_THROWS_AS(real_nvp<float>(2, rng, {.couplings = 0}), Error);
    CHECK_THROWS_AS(spline_flow<float>(1, rng), Error);
    CHECK_THROWS_AS(glow<float>({6, 6, 1}, rng, {.levels = 2}), Error);
    CHECK_THROWS_AS(glow<float>({4, 4, 1}, rng, {.levels = 0}), Error);
    CHECK_THROWS_AS(image_real_nvp<float>({5, 4, 1}, rng), Error);
    CHECK_THROWS_AS((MultiScale<float, ImageStep<float>>({})), Error);
}

}  // namespace models_test
