#include "genmod/vae/vae.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "genmod/vae/binarise.hpp"
#include "genmod/vae/likelihood.hpp"
#include "genmod/vae/trainer.hpp"
#include "genmod/vae/vae_file.hpp"
#include "genmod/vae/vq_vae.hpp"
#include "tests/support/catch.hpp"

namespace vae_test {

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

TEST_CASE("a VQ-VAE learns squares and uses its codes, and goes on with the same bytes after a stop") {
    for (const bool moving_average : {true, false}) {
        const auto fresh = [&] {
            Rng rng(5, Purpose::weights);
            VqVae<float> model(
                {.widths = {8, 16}, .code_size = 4, .vq = {.codes = 16, .moving_average = moving_average}}, rng);
            model.initialize(squares(32, 99), rng);
            return Trainer<float, VqVae<float>>(std::move(model), {.adam = {.lr = 5e-3}, .lr_factor = {.total = 400}});
        };
        auto trainer = fresh(), stopped = fresh(), resumed = fresh();
        double first = 0, last = 0;
        for (std::uint64_t k = 0; k < 120; ++k) {
            (k == 0 ? first : last) = trainer.step(squares(32, k)).reconstruction;
            if (k < 4) stopped.step(squares(32, k));
            if (k != 5) continue;
            io::Checkpoint saved;
            stopped.save(saved);
            io::Checkpoint loaded(io::Safetensors(saved.to_bytes(), "saved"));
            resumed.load(loaded);
            resumed.step(squares(32, 4));
            resumed.step(squares(32, 5));
            const auto &a = trainer.model().quantizer.codebook, &b = resumed.model().quantizer.codebook;
            for (Index i = 0; i < a.size(); ++i) REQUIRE(a.data()[i] == b.data()[i]);
        }
        INFO(first << " -> " << last);
        REQUIRE(last < 0.5 * first);
        const auto x = squares(64, 1000);
        const auto codes = trainer.model().indices(x);
        REQUIRE(codes.shape() == Shape{64, 2, 2});
        REQUIRE(perplexity(codes, 16) > 3);
        REQUIRE(trainer.average().pictures(codes).shape() == x.shape());
    }
}

TEST_CASE("quantisation takes the nearest code and passes gradients through") {
    Rng rng(1);
    VectorQuantizer<double> quantizer(2, rng, {.codes = 3});
    quantizer.codebook.value().assign(Tensor<double>::from({3, 2}, {0, 0, 2, 0, 0, 2}));
    const auto z = Var<double>::parameter(Tensor<double>::from({2, 1, 2}, {0.4, 0.1, 1.8, 0.5}));
    const auto found = quantizer(z);
    REQUIRE(found.indices[0] == 0);
    REQUIRE(found.indices[1] == 1);
    REQUIRE(found.values.value()[2] == 2);
    REQUIRE(found.loss.item() == Approx(0.25 * (0.16 + 0.01 + 0.04 + 0.25) / 2));
    const auto dy = Tensor<double>::from({2, 1, 2}, {1, 2, 3, 4});
    const auto dz = grad(found.values, {z}, dy)[0];
    for (Index k = 0; k < 4; ++k) REQUIRE(dz[k] == dy[k]);
    REQUIRE(perplexity(found.indices, 3) == Approx(2));
    REQUIRE(perplexity(Tensor<Index>::full({5}, 1), 3) == Approx(1));
    REQUIRE_THROWS_AS(perplexity(Tensor<Index>::full({5}, 3), 3), Error);
    REQUIRE_THROWS_AS(quantizer(Var<double>(Tensor<double>::zeros({2, 3}))), Error);
    REQUIRE_THROWS_AS(VectorQuantizer<double>(2, rng, {.codes = 0}), Error);
    REQUIRE_THROWS_AS(VqVae<float>({.widths = {}}, rng), Error);
    REQUIRE_THROWS_AS(VqVae<float>({}, rng).encode(Tensor<float>::zeros({1, 6, 8, 1})), Error);
}

TEST_CASE("a VAE's file gives the model back, other files are refused") {
    const std::string path = "vae_test.safetensors";
    Rng rng(2);
    const Vae<float> model({.sample = {8, 4, 2},
                            .latent = 3,
                            .widths = {4},
                            .activation = nn::Activation::tanh,
                            .likelihood = Likelihood::gaussian,
                            .deviation = 0.5,
                            .learn_deviation = true},
                           rng);
    save_vae(path, model);
    const auto loaded = load_vae<float>(io::Safetensors(path));
    REQUIRE(io::to_text(to_json(loaded.config)) == io::to_text(to_json(model.config)));
    REQUIRE(loaded.log_deviation.item() == Approx(std::log(0.5)).epsilon(0.01));
    const auto a = model.sample(1, 1), b = loaded.sample(1, 1);
    for (Index k = 0; k < a.size(); ++k) REQUIRE(a[k] == Approx(b[k]).margin(0.02));  // the file holds bfloat16
    const auto refused = [](const std::string& config) {
        io::SafetensorsWriter file;
        if (!config.empty()) file.set_metadata("genmod.vae", config);
        file.add("x", Tensor<float>::zeros({1}));
        try {
            load_vae<float>(io::Safetensors(file.to_bytes(), "bad"));
        } catch (const Error& error) {
            return error.code() == ErrorCode::bad_file;
        }
        return false;
    };
    const std::string good = io::to_text(to_json(model.config));
    REQUIRE(refused(""));
    REQUIRE(refused("[]"));
    REQUIRE(refused(good));  // the weights are missing
    for (const auto& [from, to] :
         std::vector<std::pair<std::string, std::string>>{{"\"latent\":3", "\"latent\":0"},
                                                          {"\"latent\":3", "\"latent\":1000000000000"},
                                                          {"gaussian", "poisson"},
                                                          {"[8,4,2]", "[8,4]"},
                                                          {"[8,4,2]", "[8,-4,2]"},
                                                          {"[8,4,2]", "[7,4,2]"},
                                                          {"\"widths\":[4]", "\"widths\":[]"},
                                                          {"tanh", "than"},
                                                          {"\"deviation\":0.5", "\"deviation\":-1"}}) {
        std::string bad = good;
        INFO(bad << ": " << to);
        REQUIRE(bad.find(from) != std::string::npos);
        bad.replace(bad.find(from), from.size(), to);
        REQUIRE(refused(bad));
    }
    std::remove(path.c_str());
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

}  // namespace vae_test
