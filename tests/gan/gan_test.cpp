#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/gan/generator_file.hpp"
#include "genmod/gan/trainer.hpp"
#include "genmod/nn/mlp.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/ops/norm.hpp"
#include "genmod/ops/softmax.hpp"
#include "tests/support/catch.hpp"

namespace gan_test {

using namespace genmod;
using namespace genmod::gan;

namespace {

using Parameters = std::vector<Var<double>>;

// The penalty's gradient with respect to all parameters, against differences of the penalty. The critic is the sum of
// tanh(body(x, parameters)) over each sample.
template <class Body>
void check_penalty(const std::string& name, const Shape& x, const std::vector<Shape>& shapes, Body&& body) {
    INFO(name);
    Rng rng(5);
    const Tensor<double> points = rng.normals<double>(x);
    std::vector<Tensor<double>> parameters;
    for (const Shape& shape : shapes) parameters.push_back(rng.normals<double>(shape));
    const GradCheck result = check_grad(
        [&](const Parameters& p) {
            const auto critic = [&](const auto& in) { return ops::sum(ops::tanh(ops::flatten(body(in, p))), {1}); };
            return gradient_penalty(critic, points);
        },
        parameters);
    INFO(result.where << ", error " << result.error);
    REQUIRE(result.ok(1e-6));
}

constexpr DcganConfig tiny{.size = 8, .coarse = 2, .latent = 4, .width = 3};

template <class Model>
double difference(const Model& a, const Model& b) {
    double sum = 0;
    nn::for_each_pair(const_cast<Model&>(a), b, [&]<class Leaf>(const std::string&, Leaf& x, const Leaf& y) {
        const auto &left = nn::detail::tensor_of(x), &right = nn::detail::tensor_of(y);
        for (Index k = 0; k < left.size(); ++k) sum += std::abs(static_cast<double>(left[k] - right[k]));
    });
    return sum;
}

using DcganTrainer = Trainer<float, Generator<float>, Discriminator<float>>;

DcganTrainer make_trainer(DcganConfig config, const TrainerOptions& options) {
    Rng rng(options.seed, Purpose::weights);
    Generator<float> generator(config, rng);
    return {std::move(generator), Discriminator<float>(config, rng), config.latent, options};
}

Tensor<float> pictures(std::uint64_t step) { return Rng(step).uniforms<float>({6, 8, 8, 1}, -1, 1); }

// A critic of points.
struct PointCritic : nn::Module {
    nn::Mlp<float> mlp;
    explicit PointCritic(Rng& rng) : mlp(2, 1, rng, {.hidden = {48, 48}, .activation = nn::Activation::leaky_relu}) {}
    Var<float> operator()(const Var<float>& x) const { return ops::reshape(mlp(x), {-1}); }
    Dual<float> operator()(const Dual<float>& x) const { return ops::reshape(mlp(x), {-1}); }
    static void visit(auto& self, auto&& f) { f("mlp", self.mlp); }
};

}  // namespace

TEST_CASE("the penalty's gradient agrees with differences for every op that critics are made of") {
    check_penalty("linear", {3, 4}, {{2, 4}, {2}},
                  [](const auto& x, const Parameters& p) { return ops::linear(x, p[0], p[1]); });
    check_penalty("conv2d", {2, 4, 4, 2}, {{3, 4, 4, 2}, {3}}, [](const auto& x, const Parameters& p) {
        return ops::conv2d(x, p[0], p[1], {.stride = 2, .padding = 1});
    });
    check_penalty("conv_transpose2d", {2, 2, 2, 3}, {{3, 4, 4, 2}, {2}}, [](const auto& x, const Parameters& p) {
        return ops::conv_transpose2d(x, p[0], p[1], {.stride = 2, .padding = 1});
    });
    check_penalty("layer_norm", {3, 5}, {{5}, {5}},
                  [](const auto& x, const Parameters& p) { return ops::layer_norm(x, p[0], p[1]); });
    check_penalty("group_norm", {2, 2, 2, 4}, {{4}, {4}},
                  [](const auto& x, const Parameters& p) { return ops::group_norm(x, p[0], p[1], {.groups = 1}); });
    check_penalty("softmax", {3, 4}, {{3, 4}},
                  [](const auto& x, const Parameters& p) { return ops::softmax(ops::linear(x, p[0], Var<double>{})); });
}

TEST_CASE("the penalty's gradient agrees with differences for batch norm") {
    const ops::RunningMoments<double> running{Rng(1).normals<double>({4}), Rng(2).uniforms<double>({4}, 0.5, 2), {}};
    const auto body = [&](const auto& x, const Parameters& p) { return ops::batch_norm(x, p[0], p[1], running); };
    check_penalty("evaluated", {3, 2, 4}, {{4}, {4}}, body);
    const Training scope(0, 0);
    check_penalty("trained", {3, 2, 4}, {{4}, {4}}, body);
}

TEST_CASE("the penalty's gradient agrees with differences for every activation") {
    using nn::Activation;
    for (const auto activation : {Activation::relu, Activation::leaky_relu, Activation::silu, Activation::gelu,
                                  Activation::gelu_tanh, Activation::tanh, Activation::sigmoid, Activation::softplus})
        check_penalty("activation " + std::to_string(static_cast<int>(activation)), {3, 4}, {{5, 4}, {5}, {2, 5}},
                      [&](const auto& x, const Parameters& p) {
                          return ops::linear(nn::activate(activation, ops::linear(x, p[0], p[1])), p[2], Var<double>{});
                      });
}

TEST_CASE("the penalty's gradient agrees with differences under spectral norm") {
    Rng rng(3);
    const SpectralNorm<double> norm({3, 4}, rng);
    check_penalty("spectral norm", {3, 4}, {{3, 4}},
                  [&](const auto& x, const Parameters& p) { return ops::linear(x, norm(p[0]), Var<double>{}); });
}

TEST_CASE("a linear critic's penalty is known, and a flat one's is 1") {
    const Var<double> weight = Var<double>::parameter(Tensor<double>::from({1, 2}, {3, 4}));
    const auto critic = [&](const auto& x) { return ops::reshape(ops::linear(x, weight, Var<double>{}), {-1}); };
    const Var<double> penalty = gradient_penalty(critic, Rng(1).normals<double>({7, 2}));
    REQUIRE(penalty.item() == Approx(16).epsilon(1e-14));
    const auto gradient = grad(penalty, {weight}, Tensor<double>::full({}, 1))[0];
    REQUIRE(gradient[0] == Approx(2 * 4 * 0.6).epsilon(1e-14));
    REQUIRE(gradient[1] == Approx(2 * 4 * 0.8).epsilon(1e-14));
    const auto flat = [](const auto& x) { return ops::sum(ops::scale(x, 0), {1}); };
    REQUIRE(gradient_penalty(flat, Tensor<double>::zeros({3, 2})).item() == 1);
}

TEST_CASE("the power iteration finds the largest singular value") {
    Rng rng(2);
    const SpectralNorm<double> norm({2, 2}, rng);
    const Var<double> weight(Tensor<double>::from({2, 2}, {3, 0, 0, 0.5}));
    const double before = norm(weight).value()[0];
    for (std::uint64_t step = 0; step < 12; ++step) {
        Training scope(0, step);
        const Var<double> once = norm(weight), again = norm(weight);
        REQUIRE(once.value()[0] == again.value()[0]);
        scope.commit();
    }
    REQUIRE(before != Approx(1).epsilon(1e-6));
    REQUIRE(norm(weight).value()[0] == Approx(1).epsilon(1e-12));
    REQUIRE(norm(weight).value()[3] == Approx(0.5 / 3).epsilon(1e-12));
    REQUIRE_THROWS_AS(norm(Var<double>(Tensor<double>::zeros({3, 2}))), Error);
}

TEST_CASE("DCGAN's networks carry the keys of PyTorch's example") {
    Rng rng(1);
    const Generator<float> generator({.size = 64, .coarse = 4, .channels = 3, .width = 4}, rng);
    const Discriminator<float> discriminator({.size = 64, .coarse = 4, .channels = 3, .width = 4}, rng);
    std::string keys;
    nn::for_each_leaf(generator, [&](const std::string& key, const auto&) { keys += key + " "; });
    REQUIRE(keys.find("main.0.weight main.1.weight main.1.bias main.1.running_mean") == 0);
    REQUIRE(keys.find("main.10.num_batches_tracked main.12.weight ") != std::string::npos);
    keys.clear();
    nn::for_each_leaf(discriminator, [&](const std::string& key, const auto&) { keys += key + " "; });
    REQUIRE(keys.find("main.0.weight main.2.weight main.3.weight") == 0);
    REQUIRE(keys.find("main.9.num_batches_tracked main.11.weight ") != std::string::npos);
    REQUIRE_THROWS_AS(Generator<float>({.size = 28, .coarse = 4}, rng), Error);
    REQUIRE_THROWS_AS(generator(Var<float>(Tensor<float>::zeros({2, 99}))), Error);
    REQUIRE_THROWS_AS(discriminator(Var<float>(Tensor<float>::zeros({2, 28, 28, 1}))), Error);
}

TEST_CASE("a GAN's run that is saved and loaded ends with the same bytes") {
    const TrainerOptions plain{.seed = 3};
    const TrainerOptions wasserstein{
        .seed = 4, .loss = LossKind::wasserstein, .gradient_penalty = 10, .critic_steps = 2};
    DcganConfig critic = tiny;
    critic.norm = Norm::layer;
    critic.spectral_norm = true;
    for (const auto& [config, options] : {std::pair{tiny, plain}, std::pair{critic, wasserstein}}) {
        auto whole = make_trainer(config, options), stopped = make_trainer(config, options),
             resumed = make_trainer(config, options);
        for (std::uint64_t step = 0; step < 3; ++step) whole.step(pictures(step));
        stopped.step(pictures(0));
        io::Checkpoint saved;
        stopped.save(saved);
        io::Checkpoint loaded(io::Safetensors(saved.to_bytes(), "saved"));
        resumed.load(loaded);
        loaded.finish();
        resumed.step(pictures(1));
        const Losses last = resumed.step(pictures(2));
        REQUIRE((last.generator != 0) == (options.critic_steps == 1));
        REQUIRE((last.penalty != 0) == (options.gradient_penalty > 0));
        REQUIRE(difference(whole.generator(), resumed.generator()) == 0);
        REQUIRE(difference(whole.discriminator(), resumed.discriminator()) == 0);
        REQUIRE(difference(whole.average(), resumed.average()) == 0);
        REQUIRE(difference(whole.generator(), stopped.generator()) > 0);
    }
}

TEST_CASE("a generator's picture depends on its seed only") {
    const auto trainer = make_trainer(tiny, {});
    const auto many = trainer.average().sample(3, 7), one = trainer.average().sample(1, 9);
    for (Index k = 0; k < 64; ++k) REQUIRE(many[128 + k] == one[k]);
    REQUIRE_THROWS_AS(trainer.average().sample(0, 1), Error);
}

TEST_CASE("a generator's file gives the model back, other files are refused") {
    const std::string path = "gan_test.safetensors";
    const auto trainer = make_trainer(tiny, {});
    save_generator(path, trainer.generator());
    const auto loaded = load_generator<float>(io::Safetensors(path));
    REQUIRE(loaded.config.width == 3);
    const auto a = trainer.generator().sample(1, 1), b = loaded.sample(1, 1);
    for (Index k = 0; k < a.size(); ++k) REQUIRE(a[k] == Approx(b[k]).margin(0.02));  // the file holds bfloat16
    std::remove(path.c_str());
    const std::string good = io::to_text(to_json(tiny));
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{good, ""},
                                                                                   {good, good},
                                                                                   {":3", ":0"},
                                                                                   {":3", ":4096"},
                                                                                   {":8", ":4096"},
                                                                                   {":8", ":9"},
                                                                                   {"width", "with"}}) {
        std::string config = good;
        config.replace(config.find(from), from.size(), to);
        io::SafetensorsWriter file;
        if (!config.empty()) file.set_metadata("genmod.dcgan", config);
        file.add("x", Tensor<float>::zeros({1}));
        const io::Safetensors bad(file.to_bytes(), "bad");
        INFO(config);
        try {
            load_generator<float>(bad);
            FAIL("no error");
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::bad_file);
        }
    }
}

TEST_CASE("WGAN-GP moves points to where the data are") {
    Rng rng(6, Purpose::weights);
    nn::Mlp<float> generator(2, 2, rng, {.hidden = {32}, .activation = nn::Activation::leaky_relu});
    Trainer<float, nn::Mlp<float>, PointCritic> trainer(std::move(generator), PointCritic(rng), 2,
                                                        {.seed = 6,
                                                         .loss = LossKind::wasserstein,
                                                         .gradient_penalty = 1,
                                                         .critic_steps = 3,
                                                         .generator = {.lr = 2e-3, .beta1 = 0, .beta2 = 0.9},
                                                         .discriminator = {.lr = 2e-3, .beta1 = 0, .beta2 = 0.9},
                                                         .ema = {.decay = 0.95}});
    for (std::uint64_t step = 0; step < 600; ++step) {
        auto data = Rng(step + 1).normals<float>({64, 2});
        for (Index k = 0; k < 128; ++k) data[k] = 0.3f * data[k] + (k % 2 == 0 ? 2.0f : -1.0f);
        trainer.step(data);
    }
    const NoGrad off;
    const Var<float> made = trainer.average()(Var<float>(nn::sample_normals<float>({500, 2}, 1)));
    double mean[2] = {}, square[2] = {};
    for (Index k = 0; k < 1000; ++k) {
        mean[k % 2] += made.data()[k] / 500;
        square[k % 2] += made.data()[k] * made.data()[k] / 500;
    }
    INFO(mean[0] << " " << mean[1] << " " << square[0] - mean[0] * mean[0]);
    REQUIRE(mean[0] == Approx(2).margin(0.15));
    REQUIRE(mean[1] == Approx(-1).margin(0.15));
    for (int k = 0; k < 2; ++k) {
        REQUIRE(std::sqrt(square[k] - mean[k] * mean[k]) > 0.1);
        REQUIRE(std::sqrt(square[k] - mean[k] * mean[k]) < 0.5);
    }
}

TEST_CASE("a GAN's step with NaN names itself, options that do not fit are refused") {
    auto trainer = make_trainer(tiny, {});
    auto bad = pictures(0);
    bad[3] = std::numeric_limits<float>::quiet_NaN();
    try {
        trainer.step(bad);
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 0, discriminator") != std::string::npos);
    }
    REQUIRE(trainer.steps() == 0);
    REQUIRE_THROWS_AS(make_trainer(tiny, {.critic_steps = 0}), Error);
    REQUIRE_THROWS_AS(make_trainer(tiny, {.loss = LossKind::hinge, .real_label = 0.9}).step(pictures(0)), Error);
    REQUIRE_THROWS_AS(between(pictures(0), Tensor<float>::zeros({6, 8, 8, 2}), 1, 1), Error);
}

}  // namespace gan_test
