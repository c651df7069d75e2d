// CUDA's generator against numbers that were printed on cards.
#include "genmod/core/rng_cuda.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace rng_cuda_test {

using namespace genmod;

namespace {

void require_near(const Tensor<float>& found, const std::vector<float>& expected, float tolerance) {
    for (std::size_t k = 0; k < expected.size(); ++k) {
        INFO("number " << k);
        REQUIRE(std::abs(found[static_cast<Index>(k)] - expected[k]) <= tolerance);
    }
}

}  // namespace

TEST_CASE("normals are those that PyTorch's users print on cards, call after call") {
    CudaGenerator generator(0);
    require_near(generator.randn<float>({12}),
                 {-0.924663f, -0.425344f, -2.643846f, 0.145184f, -0.120866f, -0.579726f, -0.622851f, -0.328387f,
                  -1.074542f, -0.363144f, -1.671051f, 2.265505f},
                 1e-6f);
    REQUIRE(generator.state().offset == 4);
    require_near(generator.randn<float>({4}), {0.180826f, -0.552263f, 0.923813f, -0.734971f}, 1e-6f);
    generator.manual_seed(0);
    require_near(generator.randn<float>({2}), {-0.924663f, -0.425344f}, 1e-6f);
}

TEST_CASE("uniforms are those that PyTorch's users print on cards, call after call") {
    CudaGenerator generator(0);
    require_near(generator.rand<float>({10}),
                 {0.3990f, 0.5167f, 0.0249f, 0.9401f, 0.9459f, 0.7967f, 0.4150f, 0.8203f, 0.2290f, 0.9096f}, 5.1e-5f);
    require_near(generator.rand<float>({10}),
                 {0.9722f, 0.7910f, 0.4690f, 0.3300f, 0.3345f, 0.3783f, 0.7640f, 0.6405f, 0.1103f, 0.3594f}, 5.1e-5f);
    const auto halves = CudaGenerator(0).rand<f16>({4000});
    const auto floats = CudaGenerator(0).rand<float>({4000});
    for (Index k = 0; k < 4000; ++k) {
        const f16 nearest = to_f16(floats[k]);
        REQUIRE(halves[k].bits == (to_float(nearest) == 1 ? 0 : nearest.bits));
    }
}

TEST_CASE("a draw that fits the card does not depend on it, and a longer one does") {
    const CudaCard small{.multiprocessors = 2, .threads_per_multiprocessor = 600};  // 4 blocks, 1024 threads
    const auto free = CudaGenerator(9).randn<float>({5000});
    CudaGenerator generator(9, small);
    const auto fits = generator.randn<float>({1000});
    for (Index k = 0; k < 1000; ++k) REQUIRE(fits[k] == free[k]);
    REQUIRE(generator.state().offset == 4);
    generator.manual_seed(9);
    const auto longer = generator.randn<float>({5000});
    REQUIRE(generator.state().offset == 8);  // two rounds of 4 x 1024
    CudaGenerator later;
    later.set_state({.seed = 9, .offset = 4});
    const auto second = later.randn<float>({904});
    for (Index k = 0; k < 1024; ++k) {
        REQUIRE(longer[k] == free[k]);
        const auto words = philox({0, 0, static_cast<std::uint32_t>(k), 0}, 9);
        const auto pair = detail::box_muller(words[2], words[3]);  // cosine first, and not rounded as on the card
        REQUIRE(std::abs(static_cast<double>(longer[k + 2048]) - pair[1]) < 3e-6);
        REQUIRE(std::abs(static_cast<double>(longer[k + 3072]) - pair[0]) < 3e-6);
        if (k < 904) REQUIRE(longer[k + 4096] == second[k]);
    }
}

TEST_CASE("seeds of 64 bits, states and what no card is") {
    REQUIRE(CudaGenerator(1).randn<float>({1})[0] != CudaGenerator(1 + (std::uint64_t{1} << 32)).randn<float>({1})[0]);
    CudaGenerator generator(5);
    generator.randn<bf16>({3});
    CudaGenerator copy;
    copy.set_state(generator.state());
    REQUIRE(copy.randn<float>({1})[0] == generator.randn<float>({1})[0]);
    REQUIRE(generator.randn<float>(Shape{0}).size() == 0);
    REQUIRE(generator.state().offset == 8);
    REQUIRE_THROWS_AS(CudaGenerator(1, {.multiprocessors = -1}), Error);
    REQUIRE_THROWS_AS(CudaGenerator(1, {.multiprocessors = 1, .threads_per_multiprocessor = 255}), Error);
}

}  // namespace rng_cuda_test
