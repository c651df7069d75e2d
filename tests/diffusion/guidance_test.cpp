#include "genmod/diffusion/guidance.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace guidance_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

// Says x * (1 + label) + t, and notes what it was asked.
struct Network {
    List* asked;
    Tensor<float> operator()(const Tensor<float>& x, const Tensor<float>& t, const List& labels) const {
        *asked = labels;
        Tensor<float> y(x.shape());
        const Index size = x.size() / x.dim(0);
        for (Index k = 0; k < x.size(); ++k)
            y[k] = x[k] * static_cast<float>(1 + labels[static_cast<std::size_t>(k / size)]) + t[k / size];
        return y;
    }
};

double deviation(const Tensor<float>& x, Index sample) {
    const Index size = x.size() / x.dim(0);
    double mean = 0, square = 0;
    for (Index k = sample * size; k < (sample + 1) * size; ++k) mean += x[k] / static_cast<double>(size);
    for (Index k = sample * size; k < (sample + 1) * size; ++k) square += (x[k] - mean) * (x[k] - mean);
    return std::sqrt(square / static_cast<double>(size - 1));
}

}  // namespace

TEST_CASE("guidance mixes an unconditional and a conditional answer, asked in one batch") {
    Rng rng(1);
    const auto x = rng.normals<float>({2, 3, 3, 1}), t = Tensor<float>::full({2}, 7);
    List asked;
    const auto guided = classifier_free(Network{&asked}, {1, 4}, {.weight = 2.5, .null_class = 9});
    const auto y = guided(x, t);
    REQUIRE(asked == List{9, 9, 1, 4});
    for (Index k = 0; k < x.size(); ++k) {
        const double given = k < 9 ? 2 : 5;
        REQUIRE(y[k] == Approx(10 * x[k] + 7 + 2.5 * (given - 10) * x[k]).epsilon(1e-5).margin(1e-5));
    }
    REQUIRE_THROWS_AS(guided(rng.normals<float>({3, 3, 3, 1}), Tensor<float>::full({3}, 7)), Error);
}

TEST_CASE("weight 1 is the conditional answer to the bit, asked once; weight 0 the unconditional one") {
    Rng rng(2);
    const auto x = rng.normals<float>({2, 3, 3, 1}), t = Tensor<float>::full({2}, 7);
    List asked;
    const Network network{&asked};
    const auto one = classifier_free(network, {1, 4}, {.weight = 1, .null_class = 9})(x, t);
    REQUIRE(asked == List{1, 4});
    const auto given = network(x, t, {1, 4});
    REQUIRE(std::equal(one.begin(), one.end(), given.begin()));
    const auto zero = classifier_free(network, {1, 4}, {.weight = 0, .null_class = 9})(x, t);
    REQUIRE(asked == List{9, 9});
    const auto free = network(x, t, {9, 9});
    REQUIRE(std::equal(zero.begin(), zero.end(), free.begin()));
}

TEST_CASE("the rescale brings each sample's spread back to the conditional one") {
    Rng rng(3);
    const auto free = rng.normals<float>({2, 4, 4, 2}), given = rng.normals<float>({2, 4, 4, 2});
    const auto plain = mix_guidance(free, given, 2, 5), whole = mix_guidance(free, given, 2, 5, 1);
    const auto part = mix_guidance(free, given, 2, 5, 0.7);
    for (Index n = 0; n < 2; ++n) {
        REQUIRE(deviation(plain, n) > 2 * deviation(given, n));
        REQUIRE(deviation(whole, n) == Approx(deviation(given, n)).epsilon(1e-5));
        REQUIRE(deviation(part, n) == Approx(0.7 * deviation(given, n) + 0.3 * deviation(plain, n)).epsilon(1e-5));
    }
    REQUIRE_THROWS_AS(mix_guidance(free, given, 2, 5, 1.5), Error);
}

TEST_CASE("a learned variance is taken from the conditional answer") {
    Rng rng(4);
    const auto free = rng.normals<float>({1, 2, 2, 2}), given = rng.normals<float>({1, 2, 2, 2});
    const auto mixed = mix_guidance(free, given, 1, 3);
    for (Index k = 0; k < 8; ++k)
        REQUIRE(mixed[k] == Approx(k % 2 == 0 ? free[k] + 3 * (given[k] - free[k]) : given[k]).epsilon(1e-6));
    REQUIRE_THROWS_AS(mix_guidance(free, given, 3, 3), Error);
}

}  // namespace guidance_test
