// Variational autoencoders against plain PyTorch: same weights and noise, outputs, losses and all gradients.
#include <string>
#include <utility>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/vae/objective.hpp"
#include "genmod/vae/vq_vae.hpp"
#include "tests/support/golden_module.hpp"

namespace vae_golden_test {

using namespace genmod;
using namespace genmod::vae;
using genmod::test::Golden;

namespace {

template <class T>
void check_vae(const std::string& name, const VaeConfig& config) {
    const Golden golden("vae.safetensors");
    const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-11;
    Rng rng(1);
    Vae<T> model(config, rng);
    nn::load(model, golden.file(), {.prefix = name + "/weights/"});
    const auto x = golden.read<T>(name + "/x");
    const auto noise = golden.read<T>(name + "/noise");

    const Gaussian<T> q = model.encode(x);
    golden.require_close(name + "/mean", q.mean.value(), tolerance);
    golden.require_close(name + "/log_variance", q.log_variance.value(), tolerance);
    Tensor<T> first({noise.dim(0), 1, noise.dim(2)});
    for (Index k = 0; k < first.size(); ++k)
        first[k] = noise[k / noise.dim(2) * noise.dim(1) * noise.dim(2) + k % noise.dim(2)];
    const Var<T> z = ops::reshape(reparameterise(q, Var<T>(first)), {first.dim(0), -1});
    golden.require_close(name + "/output", model.decode(z).value(), tolerance);

    const std::vector<std::pair<std::string, ObjectiveOptions>> objectives{
        {"elbo", {}},
        {"capacity", {.beta = 2.5, .capacity = 1.5}},
        {"importance_weighted", {.bound = Bound::importance_weighted}}};
    for (const auto& [key, options] : objectives) {
        INFO(name << " " << key);
        const TrainingLoss<T> found = objective(model, x, noise, options);
        golden.require_close(name + "/" + key + "/y", found.loss.value(), tolerance);
        test::check_gradients<T>(golden, name + "/" + key + "/", model, found.loss, {}, {}, tolerance);
    }
}

template <class T>
void check_vq(const std::string& name, bool moving_average) {
    INFO(name);
    const Golden golden("vae.safetensors");
    const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-11;
    Rng rng(1);
    VqVae<T> model({.widths = {3, 4},
                    .code_size = 2,
                    .vq = {.codes = 6, .moving_average = moving_average},
                    .likelihood = Likelihood::gaussian},
                   rng);
    nn::load(model, golden.file(), {.prefix = name + "/weights/"});
    const auto x = golden.read<T>(name + "/x");
    const auto indices = model.indices(x);
    REQUIRE(std::vector<Index>(indices.begin(), indices.end()) == golden.indices(name + "/indices"));
    golden.require_close(name + "/output", model.pictures(indices), tolerance);
    Training step(0, 0);
    const TrainingLoss<T> found = training_loss(model, x, {}, 0, 0);
    golden.require_close(name + "/y", found.loss.value(), tolerance);
    std::vector<Var<T>> weights;
    std::vector<std::string> keys;
    nn::for_each_leaf(model, [&]<class Leaf>(const std::string& key, const Leaf& leaf) {
        if constexpr (requires { leaf.requires_grad(); })
            if (leaf.requires_grad()) {
                keys.push_back(name + "/grads/" + key);
                weights.push_back(leaf);
            }
    });
    REQUIRE(golden.has(name + "/grads/quantizer.codebook") == !moving_average);
    const auto grads = grad(found.loss, weights, golden.read<T>(name + "/dy"));
    for (std::size_t k = 0; k < keys.size(); ++k) golden.require_close(keys[k], grads[k], tolerance);
    step.commit();
    if (!moving_average) return;
    golden.require_close(name + "/counts", model.quantizer.counts, tolerance);
    golden.require_close(name + "/sums", model.quantizer.sums, tolerance);
    golden.require_close(name + "/codebook", model.quantizer.codebook.value(), tolerance);
}

const VaeConfig conv{.sample = {8, 8, 2}, .latent = 3, .widths = {3, 4}};
const VaeConfig full{.sample = {5},
                     .latent = 2,
                     .architecture = Architecture::fully_connected,
                     .widths = {7, 6},
                     .activation = nn::Activation::tanh,
                     .likelihood = Likelihood::gaussian,
                     .learn_deviation = true};

}  // namespace

TEMPLATE_TEST_CASE("a convolutional VAE agrees with PyTorch", "", float, double) { check_vae<TestType>("conv", conv); }

TEMPLATE_TEST_CASE("a fully connected VAE agrees with PyTorch", "", float, double) {
    check_vae<TestType>("full", full);
}

TEMPLATE_TEST_CASE("a VQ-VAE agrees with PyTorch, with averages and with a loss", "", float, double) {
    check_vq<TestType>("vq_average", true);
    check_vq<TestType>("vq_loss", false);
}

}  // namespace vae_golden_test
