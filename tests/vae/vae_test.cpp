#include "genmod/vae/vae.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "genmod/vae/binarise.hpp"
#include "genmod/vae/likelihood.hpp"
#include "genmod/vae/trainer.hpp"
#include "tests/support/catch.hpp"

using namespace genmod;
using namespace genmod::vae;

namespace {

// x = W z + b + 0.5 noise with the two columns of W at right angles, so that the posterior's covariance is diagonal.
// The encoder says that posterior, its means moved by `shift` and its deviations times `stretch`.
struct LinearGaussian {
    static constexpr double deviation = 0.5;
    const std::vector<double> w{1, 0.5, -1, 0.5, 1, 1, 1, -1};  // [4, 2]
    const std::vector<double> b{0.1, -0.2, 0.3, 0.4};
    Vae<double> model;

    explicit LinearGaussian(double shift = 0, double stretch = 1) : model(make()) {
        auto& decoder = std::get<FullDecoder<double>>(model.decoder).mlp.layers[0];
        auto& encoder = std::get<FullEncoder<double>>(model.encoder).mlp.layers[0];
        for (Index k = 0; k < 8; ++k) decoder.weight.value()[k] = w[static_cast<std::size_t>(k)];
        for (Index k = 0; k < 4; ++k) decoder.bias.value()[k] = b[static_cast<std::size_t>(k)];
        encoder.weight.value().fill(0);
        for (Index i = 0; i < 2; ++i) {
            const double variance = 1 / (1 + square(i) / (deviation * deviation));
            encoder.bias.value()[i] = shift;
            for (Index k = 0; k < 4; ++k) {
                const double weight = variance * at(k, i) / (deviation * deviation);
                encoder.weight.value()[i * 4 + k] = weight;
                encoder.bias.value()[i] -= weight * b[static_cast<std::size_t>(k)];
            }
            encoder.bias.value()[2 + i] = std::log(variance * stretch * stretch);
        }
    }

    double at(Index k, Index i) const { return w[static_cast<std::size_t>(2 * k + i)]; }
    double square(Index i) const {
        double sum = 0;
        for (Index k = 0; k < 4; ++k) sum += at(k, i) * at(k, i);
        return sum;
    }

    // log N(x; b, W W' + deviation^2) of one sample.
    double log_prob(const double* x) const {
        const double v = deviation * deviation;
        double quadratic = 0, log_det = 4 * std::log(v);
        for (Index k = 0; k < 4; ++k) quadratic += std::pow(x[k] - b[static_cast<std::size_t>(k)], 2) / v;
        for (Index i = 0; i < 2; ++i) {
            double along = 0;
            for (Index k = 0; k < 4; ++k) along += at(k, i) * (x[k] - b[static_cast<std::size_t>(k)]);
            quadratic -= along * along / (v * (v + square(i)));
            log_det += std::log(1 + square(i) / v);
        }
        return -0.5 * (quadratic + log_det + 4 * std::log(2 * std::numbers::pi));
    }

private:
    static Vae<double> make() {
        Rng rng(0);
        return {{.sample = {4},
                 .latent = 2,
                 .architecture = Architecture::fully_connected,
                 .widths = {},
                 .likelihood = Likelihood::gaussian,
                 .deviation = deviation},
                rng};
    }
};

const Tensor<double> points = Rng(3).normals<double>({6, 4});

double bound_with(const LinearGaussian& problem, Index draws) {
    double sum = 0;
    for (std::uint64_t step = 0; step < 40; ++step) {
        const auto noise = nn::step_normals<double>({6, draws, 2}, 1, step);
        const Var<double> bound = importance_weighted_bound(problem.model, points, noise);
        for (const double value : bound.value()) sum += value / 240;
    }
    return sum;
}

Vae<float> small_vae(std::uint64_t seed) {
    Rng rng(seed, Purpose::weights);
    return {{.sample = {8, 8, 1}, .latent = 3, .widths = {4, 8}}, rng};
}

Tensor<float> squares(Index n, std::uint64_t seed) {  // bright squares at random places
    Rng rng(seed);
    auto x = Tensor<float>::full({n, 8, 8, 1}, -1);
    for (Index k = 0; k < n; ++k) {
        const Index top = rng.below(5), left = rng.below(5);
        for (Index i = 0; i < 16; ++i) x[k * 64 + (top + i / 4) * 8 + left + i % 4] = 1;
    }
    return x;
}

}  // namespace

TEST_CASE("with the true posterior one draw gives the likelihood of a linear-Gaussian model") {
    const LinearGaussian exact;
    const LogLikelihoods found = importance_sampled(exact.model, points, {.draws = 3});
    for (Index k = 0; k < 6; ++k) {
        REQUIRE(found.nats[static_cast<std::size_t>(k)] ==
                Approx(exact.log_prob(points.data() + 4 * k)).epsilon(1e-12));
        REQUIRE(found.standard_errors[static_cast<std::size_t>(k)] < 1e-12);
    }
    const auto terms = elbo_terms(exact.model, points, nn::step_normals<double>({6, 20000, 2}, 1, 0));
    for (Index k = 0; k < 6; ++k)
        REQUIRE(-terms.reconstruction.value()[k] - terms.kl.value()[k] ==
                Approx(exact.log_prob(points.data() + 4 * k)).margin(0.05));
}

TEST_CASE("with another posterior many draws give it, within their standard errors") {
    const LinearGaussian off(0.3, 1.3);
    const LogLikelihoods found = importance_sampled(off.model, points, {.draws = 4000, .batch = 1000});
    for (Index k = 0; k < 6; ++k) {
        const auto at = static_cast<std::size_t>(k);
        REQUIRE(found.standard_errors[at] > 1e-3);
        REQUIRE(std::abs(found.nats[at] - off.log_prob(points.data() + 4 * k)) < 4 * found.standard_errors[at]);
    }
    const LogLikelihoods again =
        importance_sampled(off.model, points.slice(2, 3), {.draws = 4000, .batch = 77, .seed = 2});
    REQUIRE(again.nats[0] == Approx(found.nats[2]).epsilon(1e-13));  // whatever is computed together
}

TEST_CASE("the importance-weighted bound rises with the draws, up to the likelihood") {
    const LinearGaussian off(0.3, 1.3);
    double truth = 0;
    for (Index k = 0; k < 6; ++k) truth += off.log_prob(points.data() + 4 * k) / 6;
    const double one = bound_with(off, 1), five = bound_with(off, 5), fifty = bound_with(off, 50);
    INFO(one << " " << five << " " << fifty << " " << truth);
    REQUIRE(one + 0.2 < five);
    REQUIRE(five + 0.02 < fifty);
    REQUIRE(fifty < truth + 0.01);
    REQUIRE(fifty > truth - 0.05);
}

TEST_CASE("beta and capacity warm up") {
    const LinearGaussian off(0.3, 1.3);
    const auto noise = nn::step_normals<double>({6, 1, 2}, 1, 0);
    const auto loss = [&](const ObjectiveOptions& options, std::uint64_t step) {
        return objective(off.model, points, noise, options, step).loss.item();
    };
    const auto plain = objective(off.model, points, noise, {});
    REQUIRE(loss({.beta = 4, .beta_warmup = 10}, 0) == Approx(plain.reconstruction));
    REQUIRE(loss({.beta = 4, .beta_warmup = 10}, 5) == Approx(plain.reconstruction + 2 * plain.latent));
    REQUIRE(loss({.beta = 4, .beta_warmup = 10}, 90) == Approx(plain.reconstruction + 4 * plain.latent));
    REQUIRE(loss({.capacity = 1000, .capacity_warmup = 100}, 50) == Approx(plain.reconstruction + 500 - plain.latent));
    REQUIRE_THROWS_AS(loss({.bound = Bound::importance_weighted, .beta = 2}, 0), Error);
    REQUIRE_THROWS_AS(loss({.beta = -1}, 0), Error);
}

TEST_CASE("black and white pictures have the grey ones as their mean") {
    auto grey = Tensor<float>::full({2000, 2}, 0.5f);
    for (Index k = 0; k < 2000; ++k) grey[2 * k + 1] = -1;
    const auto made = binarised(grey, 1, 3);
    double sum = 0;
    for (Index k = 0; k < 2000; ++k) {
        REQUIRE(std::abs(made[2 * k]) == 1);
        REQUIRE(made[2 * k + 1] == -1);
        sum += made[2 * k] / 2000;
    }
    REQUIRE(sum == Approx(0.5).margin(0.08));
    REQUIRE(binarised(grey.slice(0, 10), 1, 3)[4] == made[4]);
}

TEST_CASE("a VAE learns squares, and goes on with the same bytes after a stop") {
    const auto fresh = [] {
        return Trainer<float, Vae<float>>(small_vae(4), {.seed = 4, .adam = {.lr = 5e-3}, .lr_factor = {.total = 400}});
    };
    auto trainer = fresh(), stopped = fresh();
    double first = 0, last = 0;
    for (Index k = 0; k < 120; ++k) {
        const Losses losses = trainer.step(squares(32, static_cast<std::uint64_t>(k)));
        REQUIRE(losses.loss == Approx(losses.reconstruction + losses.latent).epsilon(1e-5));
        (k == 0 ? first : last) = losses.loss;
        if (k < 7) stopped.step(squares(32, static_cast<std::uint64_t>(k)));
        if (k != 9) continue;
        io::Checkpoint saved;
        stopped.save(saved);
        auto loaded = io::Checkpoint(io::Safetensors(saved.to_bytes(), "saved"));
        auto resumed = fresh();
        resumed.load(loaded);
        loaded.finish();
        for (std::uint64_t step = 7; step < 10; ++step) resumed.step(squares(32, step));
        const auto a = trainer.model().sample(2, 1), b = resumed.model().sample(2, 1);
        for (Index i = 0; i < a.size(); ++i) REQUIRE(a[i] == b[i]);
    }
    INFO(first << " -> " << last);
    REQUIRE(last < 0.6 * first);
    const auto alone = trainer.average().sample(1, 5), batch = trainer.average().sample(3, 4);
    for (Index i = 0; i < 64; ++i) REQUIRE(alone[i] == batch[64 + i]);
    const auto x = squares(1, 1000);
    const auto again = trainer.model().reconstruct(x);
    double error = 0;
    for (Index i = 0; i < 64; ++i) error += std::pow(again[i] - x[i], 2) / 64;
    REQUIRE(error < 0.5);
}

TEST_CASE("configurations and samples that do not fit are refused, a step with NaN names itself") {
    Rng rng(1);
    REQUIRE_THROWS_AS(Vae<float>({.sample = {6, 6, 1}, .widths = {4, 8}}, rng), Error);
    REQUIRE_THROWS_AS(Vae<float>({.sample = {8}}, rng), Error);
    REQUIRE_THROWS_AS(Vae<float>({.latent = 0}, rng), Error);
    REQUIRE_THROWS_AS(Vae<float>({.deviation = 0}, rng), Error);
    const auto vae = small_vae(1);
    REQUIRE_THROWS_AS(vae.encode(Tensor<float>::zeros({2, 8, 8})), Error);
    REQUIRE_THROWS_AS(vae.decode(Tensor<float>::zeros({2, 4})), Error);
    REQUIRE_THROWS_AS(vae.sample(0, 1), Error);
    REQUIRE_THROWS_AS(importance_sampled(vae, squares(2, 1), {.draws = 0}), Error);
    Trainer<float, Vae<float>> trainer(small_vae(1), {});
    auto bad = squares(4, 1);
    bad[70] = std::numeric_limits<float>::quiet_NaN();
    try {
        trainer.step(bad);
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 0") != std::string::npos);
    }
    REQUIRE(trainer.steps() == 0);
}
