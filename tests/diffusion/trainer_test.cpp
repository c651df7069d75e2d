#include "genmod/diffusion/trainer.hpp"

#include <limits>
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "tests/support/point_net.hpp"

namespace trainer_test {

using namespace genmod;
using namespace genmod::diffusion;
using namespace genmod::test;

namespace {

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

}  // namespace

TEST_CASE("a trained network draws the ring it was shown") {
    auto trainer = make_trainer(1);
    const auto [first, last] = train_on_ring(trainer, 2000, 128);
    INFO("loss " << first << " -> " << last);
    REQUIRE(last < 0.75 * first);
    const auto& net = trainer.average();
    const auto predict =
        denoiser([&](const Tensor<float>& x, const Tensor<float>& t) { return net(x, t); }, {.clip_sample = false});
    const Schedule schedule({.num_train_timesteps = 100, .beta_end = 0.2});
    const auto points = sample(predict, Ddim{}, ddim_levels(schedule, 50), {.shape = {256, 2}, .seed = 4});
    require_ring(points);
}

TEST_CASE("a run that is saved and loaded ends with the same bytes as one that is not") {
    require_resumes("trainer_test.checkpoint", [] { return make_trainer(2, 0.2); });
    io::Checkpoint saved;
    make_trainer(2, 0.2).save(saved);
    auto other = make_trainer(3, 0.2);
    REQUIRE_THROWS_AS(other.load(saved), Error);
}

TEST_CASE("a batch cut into parts gives the same gradients, up to rounding") {
    auto whole = make_trainer(4), parts = make_trainer(4, 0, 3);
    for (std::uint64_t k = 0; k < 3; ++k) {
        const double a = whole.step(ring(16, k)), b = parts.step(ring(16, k));
        REQUIRE(a == Approx(b).epsilon(1e-5));
    }
    REQUIRE(distance(whole.model(), parts.model()) < 1e-3);
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
    REQUIRE(distance(trainer.model(), calm.model()) == 0);
}

TEST_CASE("training does not depend on threads") {
    const auto train = [](int threads) {
        const Threads scope(threads);
        auto trainer = make_trainer(6, 0.1);
        for (std::uint64_t k = 0; k < 3; ++k) trainer.step(ring(600, k));
        return trainer;
    };
    const auto one = train(1);
    for (const int threads : {2, 3, 7}) REQUIRE(distance(one.model(), train(threads).model()) == 0);
}

}  // namespace trainer_test
