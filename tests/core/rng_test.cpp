#include "genmod/core/rng.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>
#include <vector>

#include "genmod/core/rng_wide.hpp"
#include "tests/support/catch.hpp"

namespace rng_test {

using namespace genmod;

namespace {

std::array<std::uint32_t, 4> words(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    return {a, b, c, d};
}

// Mean, variance, skewness and kurtosis.
std::array<double, 4> moments(const std::vector<double>& x) {
    double mean = 0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    std::array<double, 3> central{};
    for (const double value : x)
        for (int power = 2; power <= 4; ++power)
            central[static_cast<std::size_t>(power - 2)] +=
                std::pow(value - mean, power) / static_cast<double>(x.size());
    return {mean, central[0], central[1] / std::pow(central[0], 1.5), central[2] / (central[0] * central[0])};
}

template <class T = double>
std::vector<T> normals(const Stream& stream, Index count) {
    std::vector<T> x(static_cast<std::size_t>(count));
    fill_normal(stream, x.data(), count);
    return x;
}

}  // namespace

TEST_CASE("Philox gives the known answers of its authors") {
    REQUIRE(philox({0, 0, 0, 0}, 0) == words(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
    REQUIRE(philox({~0u, ~0u, ~0u, ~0u}, ~std::uint64_t{0}) == words(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
    REQUIRE(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
            words(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST_CASE("normals have the moments and tails of the normal distribution") {
    const Index count = 400'000;
    const auto x = normals({.seed = 11, .purpose = Purpose::noise}, count);
    const auto [mean, variance, skewness, kurtosis] = moments(x);
    const double root = std::sqrt(static_cast<double>(count));
    CHECK(std::fabs(mean) < 4 / root);
    CHECK(std::fabs(variance - 1) < 4 * std::sqrt(2) / root);
    CHECK(std::fabs(skewness) < 4 * std::sqrt(6) / root);
    CHECK(std::fabs(kurtosis - 3) < 4 * std::sqrt(24) / root);
    for (const double bound : {0.5, 1.0, 2.0, 3.0}) {
        const double tail = std::erfc(bound / std::sqrt(2));
        const auto beyond = std::count_if(x.begin(), x.end(), [&](double value) { return std::fabs(value) > bound; });
        const double share = static_cast<double>(beyond) / static_cast<double>(count);
        CHECK(std::fabs(share - tail) < 4 * std::sqrt(tail * (1 - tail)) / root);
    }
}

TEST_CASE("the logarithm, sine and cosine behind the normals are right to the last digits") {
    for (int k = 1; k <= 1000; ++k) {
        const double u = k / 1000.0, tiny = std::ldexp(u, -33);
        REQUIRE(detail::exact_log(u) == Approx(std::log(u)).epsilon(1e-14).margin(1e-16));
        REQUIRE(detail::exact_log(tiny) == Approx(std::log(tiny)).epsilon(1e-14));
        const double turn = (k - 1) / 1000.0;
        const auto [cosine, sine] = detail::exact_cos_sin(turn);
        const long double angle = 2 * std::acos(-1.0L) * static_cast<long double>(turn);
        REQUIRE(std::fabs(cosine - static_cast<double>(std::cos(angle))) < 5e-16);
        REQUIRE(std::fabs(sine - static_cast<double>(std::sin(angle))) < 5e-16);
    }
}

TEST_CASE("uniforms fill [0, 1) evenly") {
    const Index count = 200'000;
    std::vector<float> x(static_cast<std::size_t>(count));
    fill_uniform({.seed = 2}, x.data(), count);
    std::array<int, 16> bins{};
    for (const float value : x) {
        REQUIRE((value >= 0.0f && value < 1.0f));
        ++bins[static_cast<std::size_t>(value * 16)];
    }
    double chi = 0;
    for (const int bin : bins) chi += std::pow(bin - count / 16.0, 2) / (count / 16.0);
    CHECK(chi < 45);  // 15 degrees of freedom: exceeded once in 10,000
}

TEST_CASE("wide normals are those of the stream's blocks, in single precision, with the moments of the normal law") {
    const Stream stream{.seed = 21, .purpose = Purpose::brownian, .step = 5};
    const Index count = 262'144;
    std::vector<double> x;
    std::uint32_t bits = 0;
    for (std::uint32_t index = 0; index < count / 64; ++index) {
        const WideNormals some = wide_normals(stream, index);
        for (const auto& row : some.x)
            for (const float value : row) {
                x.push_back(static_cast<double>(value));
                bits = bits * 31 + std::bit_cast<std::uint32_t>(value);
            }
        for (std::uint32_t k = 0; k < 16 && index < 100; ++k) {
            const auto block = detail::normal_block(stream, 16 * index + k);
            for (std::size_t part = 0; part < 4; ++part)
                REQUIRE(std::fabs(static_cast<double>(some.x[part][k]) - block[part]) < 2e-3);
        }
    }
    const auto [mean, variance, skewness, kurtosis] = moments(x);
    const double root = std::sqrt(static_cast<double>(count));
    CHECK(std::fabs(mean) < 4 / root);
    CHECK(std::fabs(variance - 1) < 4 * std::sqrt(2) / root);
    CHECK(std::fabs(skewness) < 4 * std::sqrt(6) / root);
    CHECK(std::fabs(kurtosis - 3) < 4 * std::sqrt(24) / root);
    REQUIRE(bits == 0xcdeb3221u);  // what every compiler and machine must find
}

TEST_CASE("a shorter fill is a prefix of a longer one") {
    const Stream stream{.seed = 9, .step = 3, .sample = 2};
    const auto all = normals(stream, 103);
    for (const Index count : {0, 1, 2, 3, 4, 5, 50, 102}) {
        const auto part = normals(stream, count);
        REQUIRE(std::equal(part.begin(), part.end(), all.begin()));
    }
    const auto narrow = normals<float>(stream, 103);
    for (std::size_t k = 0; k < 103; ++k) REQUIRE(narrow[k] == static_cast<float>(all[k]));
}

TEST_CASE("streams that differ in anything have other numbers") {
    std::set<double> first;
    int streams = 0;
    const auto add = [&](const Stream& stream) {
        first.insert(normals(stream, 1)[0]);
        ++streams;
    };
    for (const std::uint64_t seed : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1} << 40})
        for (const Purpose purpose : {Purpose::user, Purpose::noise, Purpose::probe})
            for (const std::uint64_t step : {0u, 1u, 1000u})
                for (const std::uint32_t sample : {0u, 1u, 300u, 0xffffffu})
                    for (const std::uint32_t draw : {0u, 1u, 255u, 256u, 0xffffu})
                        add({seed, purpose, step, sample, draw});
    REQUIRE(first.size() == static_cast<std::size_t>(streams));
}

TEST_CASE("a generator continues from its position") {
    Rng rng(7);
    for (int k = 0; k < 13; ++k) rng.next();
    Rng copy = rng;
    Rng again(7, Purpose::user, rng.position());
    for (int k = 0; k < 10; ++k) {
        const std::uint32_t word = rng.next();
        REQUIRE(copy.next() == word);
        REQUIRE(again.next() == word);
    }
    REQUIRE(Rng(7).next() != Rng(8).next());
    REQUIRE(Rng(7).next() != Rng(7, Purpose::shuffle).next());
    // Far along, the position runs over into the next stream of blocks without repeating.
    Rng far(7, Purpose::user, (std::uint64_t{1} << 34) - 2);
    std::set<std::uint32_t> seen;
    for (int k = 0; k < 8; ++k) seen.insert(far.next());
    REQUIRE(seen.size() == 8);
    REQUIRE(seen.count(Rng(7).next()) == 0);
}

TEST_CASE("numbers of a generator have the distributions asked for") {
    Rng rng(5);
    std::vector<double> uniforms, gauss;
    for (int k = 0; k < 50'000; ++k) {
        uniforms.push_back(rng.uniform());
        gauss.push_back(rng.normal());
    }
    REQUIRE(*std::min_element(uniforms.begin(), uniforms.end()) >= 0);
    REQUIRE(*std::max_element(uniforms.begin(), uniforms.end()) < 1);
    REQUIRE(std::fabs(moments(uniforms)[0] - 0.5) < 4 * std::sqrt(1.0 / 12 / 50'000));
    REQUIRE(std::fabs(moments(gauss)[0]) < 4 / std::sqrt(50'000.0));
    REQUIRE(std::fabs(moments(gauss)[1] - 1) < 4 * std::sqrt(2 / 50'000.0));
    std::array<int, 7> faces{};
    for (int k = 0; k < 70'000; ++k) ++faces[static_cast<std::size_t>(rng.below(7))];
    for (const int face : faces) REQUIRE(std::abs(face - 10'000) < 4 * 93);
    REQUIRE(rng.below(1) == 0);
    REQUIRE(rng.below(Index{1} << 32) >= 0);
    REQUIRE_THROWS_AS(rng.below(0), Error);
    REQUIRE_THROWS_AS(rng.below((Index{1} << 32) + 1), Error);
    const auto box = rng.uniforms<float>({1000}, -2, 3);
    REQUIRE(*std::min_element(box.begin(), box.end()) >= -2.0f);
    REQUIRE(*std::max_element(box.begin(), box.end()) < 3.0f);
    REQUIRE(rng.normals<double>({2, 3}).shape() == Shape{2, 3});
}

TEST_CASE("permutations contain everything once, in all orders alike") {
    Rng rng(3);
    std::array<int, 6> orders{};
    for (int k = 0; k < 6000; ++k) {
        const auto order = rng.permutation(3);
        const std::set<Index> all(order.begin(), order.end());
        REQUIRE(all == std::set<Index>{0, 1, 2});
        ++orders[static_cast<std::size_t>(order[0] * 2 + (order[1] > order[2] ? 1 : 0))];
    }
    for (const int count : orders) REQUIRE(std::abs(count - 1000) < 4 * 29);
    REQUIRE(rng.permutation(0).empty());
}

}  // namespace rng_test
