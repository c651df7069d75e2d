// The training step of flows: it resumes to the bit, and stops at numbers that are not finite.
#include "genmod/flows/trainer.hpp"

#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "genmod/data/toy.hpp"
#include "genmod/flows/realnvp.hpp"
#include "tests/support/catch.hpp"

namespace trainer_test {

using namespace genmod;
using namespace genmod::flows;

namespace {

using PointTrainer = Trainer<float, PointFlow<float>>;

PointTrainer trainer(std::uint64_t seed = 3) {
    Rng rng(1);
    RealNvpOptions options{.couplings = 2, .network = {.hidden = {8}}, .normalisation = Normalisation::batch_norm};
    PointTrainer result(real_nvp<float>(2, rng, options), {.seed = seed, .adam = {.lr = 1e-2}});
    Rng points(2);
    result.initialize(data::moons<float>(64, points));
    return result;
}

Tensor<float> batch(std::uint64_t step) {
    Rng rng(7, Purpose::data, step << 32);
    return data::moons<float>(32, rng);
}

template <class Model>
std::vector<float> numbers(const Model& model) {
    std::vector<float> all;
    nn::for_each_leaf(model, [&](const std::string&, const auto& leaf) {
        all.insert(all.end(), leaf.data(), leaf.data() + leaf.size());
    });
    return all;
}

}  // namespace

TEST_CASE("a flow's training resumes to the bit") {
    PointTrainer whole = trainer(), first = trainer();
    CHECK(numbers(whole.model()) == numbers(whole.average()));
    const double before = whole.step(batch(0));
    first.step(batch(0));
    const std::string path = "flow_trainer_test.checkpoint";
    io::Checkpoint saved;
    first.save(saved);
    saved.save(path);
    PointTrainer second = trainer();
    auto loaded = io::Checkpoint::load(path);
    second.load(loaded);
    loaded.finish();
    double after = 0;
    for (std::uint64_t step = 1; step < 20; ++step) {
        after = whole.step(batch(step));
        CHECK(second.step(batch(step)) == after);
    }
    CHECK(second.steps() == 20);
    CHECK(after < before);
    CHECK(numbers(whole.model()) == numbers(second.model()));
    CHECK(numbers(whole.average()) == numbers(second.average()));
    CHECK(numbers(whole.average()) != numbers(whole.model()));
    auto again = io::Checkpoint::load(path);
    PointTrainer other = trainer(4);
    CHECK_THROWS_AS(other.load(again), Error);
    std::remove(path.c_str());
}

TEST_CASE("data that are not finite stop a flow's training and leave its weights") {
    PointTrainer training = trainer();
    training.step(batch(0));
    const auto before = numbers(training.model());
    Tensor<float> bad = batch(1);
    bad[5] = NAN;
    try {
        training.step(bad);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::non_finite);
        CHECK(std::string(error.what()).find("training: step 1: ") == 0);
    }
    CHECK(numbers(training.model()) == before);
    CHECK(training.steps() == 1);
    training.step(batch(1));
    CHECK(training.steps() == 2);
}

}  // namespace trainer_test
