// DCGAN against plain PyTorch: same weights, latents and pictures; a step of training; gradients of gradients.
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/gan/dcgan.hpp"
#include "genmod/gan/trainer.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/golden_module.hpp"

namespace gan_golden_test {

using namespace genmod;
using namespace genmod::gan;
using genmod::test::Golden;

namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;

constexpr DcganConfig tiny{.size = 8, .coarse = 2, .channels = 2, .latent = 5, .width = 3};

// The weights after a step of Adam move by the learning rate: what counts is that they moved alike.
template <class Model>
void check_weights(const Golden& golden, const std::string& prefix, const Model& model, double allowed) {
    nn::for_each_leaf(model, [&]<class Leaf>(const std::string& key, const Leaf& leaf) {
        const auto& value = nn::detail::tensor_of(leaf);
        const auto expected = golden.read<double>(prefix + key);
        test::require_close(prefix + key, value, expected, Tensor<double>::full({1}, 1.0), allowed);
    });
}

template <class T>
void check_step(const Golden& golden, const std::string& name, TrainerOptions options) {
    INFO(name);
    Rng rng(1);
    Generator<T> generator(tiny, rng);
    Discriminator<T> discriminator(tiny, rng);
    nn::load(generator, golden.file(), {.prefix = name + "/before/generator/"});
    nn::load(discriminator, golden.file(), {.prefix = name + "/before/discriminator/"});
    const auto x = golden.read<T>(name + "/x"), z = golden.read<T>(name + "/z");
    {
        const Training scope(0, 0);
        golden.require_close(name + "/made", generator(Var<T>(z)).value(), tolerance<T>);
        golden.require_close(name + "/of_real", discriminator(Var<T>(x)).value(), tolerance<T>);
    }
    Trainer<T, Generator<T>, Discriminator<T>> trainer(std::move(generator), std::move(discriminator), 5, options);
    const Losses losses = trainer.step(x, z);
    REQUIRE(losses.discriminator == Approx(golden.read<double>(name + "/d_loss")[0]).epsilon(tolerance<T>));
    REQUIRE(losses.generator == Approx(golden.read<double>(name + "/g_loss")[0]).epsilon(tolerance<T>));
    const double allowed = std::is_same_v<T, float> ? 2e-6 : 1e-9;
    check_weights(golden, name + "/after/generator/", trainer.generator(), allowed);
    check_weights(golden, name + "/after/discriminator/", trainer.discriminator(), allowed);
}

template <class T>
void check_penalty(const Golden& golden, const std::string& name, Norm norm) {
    INFO(name);
    Rng rng(1);
    DcganConfig config = tiny;
    config.norm = norm;
    Discriminator<T> critic(config, rng);
    nn::load(critic, golden.file(), {.prefix = name + "/weights/"});
    const Var<T> penalty = gradient_penalty(critic, golden.read<T>(name + "/x"));
    golden.require_close(name + "/y", penalty.value(), tolerance<T>);
    test::check_gradients<T>(golden, name + "/", critic, penalty, {}, {}, tolerance<T>);
}

// `apply` is the layer with a weight of its own.
template <class T, class Apply>
void check_spectral(const Golden& golden, const std::string& name, Apply&& apply) {
    INFO(name);
    SpectralNorm<T> norm;
    norm.u = golden.read<T>(name + "/u");
    norm.v = golden.read<T>(name + "/v");
    const auto weight = Var<T>::parameter(golden.read<T>(name + "/weight"));
    const Var<T> bias(golden.read<T>(name + "/bias")), x(golden.read<T>(name + "/x"));
    {
        Training scope(0, 0);
        const Var<T> y = apply(x, norm(weight), bias);
        golden.require_close(name + "/y", y.value(), tolerance<T>);
        golden.require_close(name + "/dweight", grad(y, {weight}, golden.read<T>(name + "/dy"))[0], tolerance<T>);
        scope.commit();
    }
    golden.require_close(name + "/u_after", norm.u, tolerance<T>);
    golden.require_close(name + "/v_after", norm.v, tolerance<T>);
    golden.require_close(name + "/y_evaluated", apply(x, norm(weight), bias).value(), tolerance<T>);
}

}  // namespace

TEMPLATE_TEST_CASE("a step of DCGAN agrees with PyTorch", "", float, double) {
    const Golden golden("gan.safetensors");
    check_step<TestType>(golden, "non_saturating", {});
    check_step<TestType>(golden, "hinge", {.loss = LossKind::hinge});
    check_step<TestType>(golden, "smoothed", {.real_label = 0.9});
}

TEMPLATE_TEST_CASE("the gradient penalty agrees with PyTorch", "", float, double) {
    const Golden golden("gan.safetensors");
    check_penalty<TestType>(golden, "penalty_layer", Norm::layer);
    check_penalty<TestType>(golden, "penalty_none", Norm::none);
}

TEMPLATE_TEST_CASE("spectral norm agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("gan.safetensors");
    check_spectral<T>(golden, "spectral_conv", [](const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
        return ops::conv2d(x, weight, bias, {.stride = 2, .padding = 1});
    });
    check_spectral<T>(golden, "spectral_linear", [](const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
        return ops::linear(x, weight, bias);
    });
}

}  // namespace gan_golden_test
