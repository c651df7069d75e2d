#include "genmod/diffusion/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/nn/dropout.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "tests/support/catch.hpp"

using namespace genmod;
using namespace genmod::diffusion;

namespace {

// Points [n, 2] with a time.
struct PointNet : nn::Module {
    nn::Linear<float> in, time, middle, out;
    nn::Dropout dropout;

    explicit PointNet(Rng& rng, double dropped = 0)
        : in(2, 96, rng), time(32, 96, rng), middle(96, 96, rng), out(96, 2, rng), dropout(dropped) {}

    Var<float> operator()(const Var<float>& x, const Tensor<float>& t) const {
        const Var<float> when = time(nn::sinusoid_embedding(t, 32));
        return out(ops::silu(middle(dropout(ops::silu(ops::add(in(x), when))))));
    }

    static void visit(auto& self, auto&& f) {
        f("in", self.in);
        f("time", self.time);
        f("middle", self.middle);
        f("out", self.out);
    }
};

// A ring of radius 1 around (0.5, 0).
Tensor<float> ring(Index n, std::uint64_t step) {
    Tensor<float> points({n, 2}), angle({n});
    fill_uniform({.seed = 77, .purpose = Purpose::data, .step = step}, angle.data(), n);
    for (Index k = 0; k < n; ++k) {
        points[2 * k] = 0.5f + std::cos(6.2831853f * angle[k]);
        points[2 * k + 1] = std::sin(6.2831853f * angle[k]);
    }
    return points;
}

Trainer<float, PointNet> make_trainer(std::uint64_t seed, double dropout = 0, Index accumulate = 1) {
    Rng rng(seed, Purpose::weights);
    return {PointNet(rng, dropout),
            Schedule({.num_train_timesteps = 100, .beta_end = 0.2}),
            {.seed = seed,
             .adam = {.lr = 3e-3},
             .lr_factor = {.warmup = 10, .total = 2000},
             .ema = {.decay = 0.98},
             .accumulate = accumulate}};
}

// The largest difference of two networks' weights.
double distance(const PointNet& a, const PointNet& b) {
    double most = 0;
    nn::for_each_pair(a, b, [&](const std::string&, const Var<float>& x, const Var<float>& y) {
        for (Index k = 0; k < x.size(); ++k)
            most = std::max(most, std::fabs(static_cast<double>(x.value()[k]) - static_cast<double>(y.value()[k])));
    });
    return most;
}

}  // namespace

TEST_CASE("a trained network draws the ring it was shown") {
    auto trainer = make_trainer(1);
    double first = 0, last = 0;
    for (int k = 0; k < 2000; ++k) {
        const double loss = trainer.step(ring(128, static_cast<std::uint64_t>(k)));
        if (k < 50) first += loss / 50;
        if (k >= 1950) last += loss / 50;
    }
    INFO("loss " << first << " -> " << last);
    REQUIRE(last < 0.75 * first);
    const auto& net = trainer.average();
    const auto predict =
        denoiser([&](const Tensor<float>& x, const Tensor<float>& t) { return net(x, t); }, {.clip_sample = false});
    const Schedule schedule({.num_train_timesteps = 100, .beta_end = 0.2});
    const auto points = sample(predict, Ddim{}, ddim_levels(schedule, 50), {.shape = {256, 2}, .seed = 4});
    double off = 0, middle = 0;
    for (Index k = 0; k < 256; ++k) {
        const double radius = std::hypot(points[2 * k] - 0.5, points[2 * k + 1]);
        off += std::fabs(radius - 1) / 256;
        middle += points[2 * k] / 256;
    }
    INFO("distance from the ring " << off << ", middle " << middle);
    REQUIRE(off < 0.15);
    REQUIRE(std::fabs(middle - 0.5) < 0.15);
}

TEST_CASE("a run that is saved and loaded ends with the same bytes as one that is not") {
    const std::string path = "trainer_test.checkpoint";
    auto whole = make_trainer(2, 0.2);
    for (std::uint64_t k = 0; k < 12; ++k) whole.step(ring(16, k));
    auto before = make_trainer(2, 0.2);
    for (std::uint64_t k = 0; k < 5; ++k) before.step(ring(16, k));
    io::Checkpoint saved;
    before.save(saved);
    saved.save(path);
    auto after = make_trainer(2, 0.2);
    auto loaded = io::Checkpoint::load(path);
    after.load(loaded);
    REQUIRE(after.steps() == 5);
    for (std::uint64_t k = 5; k < 12; ++k) after.step(ring(16, k));
    REQUIRE(distance(whole.network(), after.network()) == 0);
    REQUIRE(distance(whole.average(), after.average()) == 0);
    REQUIRE(distance(whole.network(), before.network()) > 0);
    auto other = make_trainer(3, 0.2);
    auto again = io::Checkpoint::load(path);
    REQUIRE_THROWS_AS(other.load(again), Error);
    std::filesystem::remove(path);
}

TEST_CASE("a batch cut into parts gives the same gradients, up to rounding") {
    auto whole = make_trainer(4), parts = make_trainer(4, 0, 3);
    for (std::uint64_t k = 0; k < 3; ++k) {
        const double a = whole.step(ring(16, k)), b = parts.step(ring(16, k));
        REQUIRE(a == Approx(b).epsilon(1e-5));
    }
    REQUIRE(distance(whole.network(), parts.network()) < 1e-3);
}

TEST_CASE("a step that goes astray names itself and leaves nothing behind") {
    auto trainer = make_trainer(5, 0, 2), calm = make_trainer(5, 0, 2);
    trainer.step(ring(8, 0));
    calm.step(ring(8, 0));
    auto bad = ring(8, 1);
    bad[15] = std::numeric_limits<float>::infinity();  // in the second part
    try {
        trainer.step(bad);
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 1") != std::string::npos);
    }
    REQUIRE(trainer.steps() == 1);
    trainer.step(ring(8, 1));
    calm.step(ring(8, 1));
    REQUIRE(distance(trainer.network(), calm.network()) == 0);
}

TEST_CASE("training does not depend on threads") {
    const auto train = [](int threads) {
        const Threads scope(threads);
        auto trainer = make_trainer(6, 0.1);
        for (std::uint64_t k = 0; k < 3; ++k) trainer.step(ring(600, k));
        return trainer;
    };
    const auto one = train(1);
    for (const int threads : {2, 3, 7}) REQUIRE(distance(one.network(), train(threads).network()) == 0);
}
