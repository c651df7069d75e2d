// Training a real network: bits that depend on seed and data only.
#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/trainer.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/safetensors.hpp"
#include "tests/support/catch.hpp"

namespace train_unet_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;
using UnetTrainer = Trainer<float, Unet<float>>;

UnetTrainer make_trainer() {
    Rng rng(12);
    return {
        Unet<float>(
            SmallUnet{
                .size = 16, .width = 16, .mults = {1, 2}, .layers = 1, .attention = {8}, .classes = 4, .dropout = 0.1},
            rng),
        Schedule(),
        {.seed = 5, .loss = {.condition_dropout = 0.2, .null_class = 4}, .adam = {.lr = 1e-3}}};
}

void step(UnetTrainer& trainer) {
    const auto k = static_cast<std::uint64_t>(trainer.steps());
    Tensor<float> x0({6, 16, 16, 1});
    fill_uniform({.seed = 1, .purpose = Purpose::data, .step = k}, x0.data(), x0.size());
    trainer.step(x0, {0, 1, 2, 3, 0, 1});
}

// All weights and averages after some steps.
std::vector<float> numbers(const UnetTrainer& trainer) {
    std::vector<float> all;
    const auto take = [&](const std::string&, const Var<float>& leaf) {
        all.insert(all.end(), leaf.value().begin(), leaf.value().end());
    };
    nn::for_each_leaf(trainer.model(), take);
    nn::for_each_leaf(trainer.average(), take);
    return all;
}

std::vector<float> after_steps(int count) {
    UnetTrainer trainer = make_trainer();
    for (int k = 0; k < count; ++k) step(trainer);
    return numbers(trainer);
}

// Deals tiles to up to `count` threads of its own and notes how many took part.
class Crew {
public:
    explicit Crew(Index count) : count_(count) {}

    void operator()(Index tiles, const TileFunction& tile) {
        const Index workers = std::min(count_, tiles);
        std::vector<std::thread> threads;
        for (Index first = 0; first < workers; ++first)
            threads.emplace_back([=, &tile] {
                for (Index k = first; k < tiles; k += workers) tile(k);
            });
        for (std::thread& thread : threads) thread.join();
        most_ = std::max(most_, workers);
    }

    Index most_at_once() const { return most_; }

private:
    Index count_, most_ = 0;
};

}  // namespace

TEST_CASE("training a network does not depend on threads") {
    const auto one = [] {
        const Threads scope(1);
        return after_steps(3);
    }();
    for (const int threads : {2, 3, 4, 7}) {
        const Threads scope(threads);
        REQUIRE(after_steps(3) == one);
    }
}

TEST_CASE("training a network does not depend on who runs the tiles, in which order") {
    const auto plain = after_steps(2);
    {
        std::uint64_t shuffles = 0;
        const Executor shuffled = [&](Index count, TileFunction tile) {
            for (const Index k : Rng(++shuffles).permutation(count)) tile(k);
        };
        const UseExecutor scope(shuffled);
        REQUIRE(after_steps(2) == plain);
        REQUIRE(shuffles > 100);
    }
    Crew crew(3);
    const Executor executor = [&](Index count, TileFunction tile) { crew(count, tile); };
    const UseExecutor scope(executor);
    REQUIRE(after_steps(2) == plain);
    REQUIRE(crew.most_at_once() >= 2);
}

TEST_CASE("a run of a network that is cut at any step and resumed ends with the same bytes") {
    const auto whole = after_steps(4);
    for (int cut = 0; cut < 4; ++cut) {
        UnetTrainer before = make_trainer();
        for (int k = 0; k < cut; ++k) step(before);
        io::Checkpoint saved;
        before.save(saved);
        io::Checkpoint loaded(io::Safetensors(saved.to_bytes(), "checkpoint"));
        UnetTrainer after = make_trainer();
        after.load(loaded);
        loaded.finish();
        for (int k = cut; k < 4; ++k) step(after);
        REQUIRE(numbers(after) == whole);
    }
}

}  // namespace train_unet_test
