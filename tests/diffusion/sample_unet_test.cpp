// Sampling with a real network: bits that depend on the seed only.
#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/unet.hpp"
#include "tests/support/catch.hpp"

namespace sample_unet_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

Unet<float> make_network() {
    Rng rng(8);
    return {SmallUnet{.size = 16, .width = 16, .mults = {1, 2}, .layers = 1, .attention = {8}, .classes = 4}, rng};
}

Tensor<float> pictures(const Unet<float>& net, List labels, std::vector<std::uint64_t> seeds, double weight = 2) {
    const auto n = static_cast<Index>(labels.size());
    const auto guided = classifier_free([&](const auto& x, const auto& t, const List& own) { return net(x, t, own); },
                                        labels, {.weight = weight, .null_class = 4});
    return sample(denoiser(guided), Ddim{.eta = 0.5}, ddim_levels(Schedule(), 10),
                  SampleOptions<float>{.shape = {n, 16, 16, 1}, .seeds = seeds});
}

bool same(const Tensor<float>& a, const Tensor<float>& b) {
    return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace

TEST_CASE("a picture of a batch is the picture sampled alone, through a network with guidance") {
    const Unet<float> net = make_network();
    const List labels{0, 1, 2, 3, 1};
    const std::vector<std::uint64_t> seeds{11, 12, 13, 14, 15};
    const auto batch = pictures(net, labels, seeds);
    for (std::size_t k = 0; k < labels.size(); ++k) {
        const auto alone = pictures(net, {labels[k]}, {seeds[k]});
        REQUIRE(same(alone, batch.slice(static_cast<Index>(k), static_cast<Index>(k) + 1)));
    }
    REQUIRE_FALSE(same(pictures(net, {0}, {11}), pictures(net, {1}, {11})));
    REQUIRE_FALSE(same(pictures(net, {0}, {11}), pictures(net, {0}, {12})));
}

TEST_CASE("pictures do not depend on threads or on who runs the tiles") {
    const Unet<float> net = make_network();
    const List labels{0, 1, 2, 3, 1, 0};
    const std::vector<std::uint64_t> seeds{1, 2, 3, 4, 5, 6};
    const auto one = [&] {
        const Threads scope(1);
        return pictures(net, labels, seeds);
    }();
    for (const int threads : {2, 3, 4, 7}) {
        const Threads scope(threads);
        REQUIRE(same(one, pictures(net, labels, seeds)));
    }
    std::uint64_t shuffles = 0;
    const Executor shuffled = [&](Index count, TileFunction tile) {
        for (const Index k : Rng(++shuffles).permutation(count)) tile(k);
    };
    const UseExecutor scope(shuffled);
    REQUIRE(same(one, pictures(net, labels, seeds)));
    REQUIRE(shuffles > 100);
}

TEST_CASE("guidance weight 1 is the conditional network to the bit, through the whole loop") {
    const Unet<float> net = make_network();
    const List labels{3, 0};
    const auto plain = denoiser([&](const auto& x, const auto& t) { return net(x, t, labels); });
    const auto expected = sample(plain, Ddim{.eta = 0.5}, ddim_levels(Schedule(), 10),
                                 SampleOptions<float>{.shape = {2, 16, 16, 1}, .seeds = {7, 8}});
    REQUIRE(same(pictures(net, labels, {7, 8}, 1), expected));
    REQUIRE_FALSE(same(pictures(net, labels, {7, 8}, 2), expected));
}

TEST_CASE("a network with a learned variance samples by DDPM") {
    Rng rng(9);
    const Unet<float> net(
        SmallUnet{.size = 8, .width = 16, .mults = {1, 2}, .layers = 1, .attention = {}, .learned_variance = true},
        rng);
    const auto predict = denoiser([&](const auto& x, const auto& t) { return net(x, t); });
    const Ddpm ddpm{.variance_type = VarianceType::learned_range};
    const auto x = sample(predict, ddpm, ddpm_levels(Schedule(), 10), SampleOptions<float>{.shape = {2, 8, 8, 1}});
    REQUIRE(x.shape() == Shape{2, 8, 8, 1});
}

TEST_CASE("sampling stops asking the system for memory after its first steps") {
    const std::uint64_t first = Pool::instance().system_calls();
    for (int k = 0; k < 3; ++k) Tensor<float>({1000});
    if (Pool::instance().system_calls() >= first + 3) return;  // under AddressSanitizer the pool only forwards
    const Unet<float> net = make_network();
    pictures(net, {0, 1}, {1, 2});
    const std::uint64_t before = Pool::instance().system_calls();
    pictures(net, {0, 1}, {1, 2});
    REQUIRE(Pool::instance().system_calls() - before <= 2);
}

}  // namespace sample_unet_test
