// Packed weights: in float the bits of plain products; in bf16 the bits that vdpbf16ps gives, by either path.
#include "genmod/kernels/packed.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/gemm_block.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_convolution.hpp"
#include "tests/support/random_numbers.hpp"

namespace packed_test {

using namespace genmod;
using genmod::test::numbers;
using genmod::test::pick;
using genmod::test::Random;
using kernels::ConvShape;
using kernels::Epilogue;
using kernels::PackedWeights;

namespace {

// Numbers of all sizes: denormal ones, huge ones and zeros among them.
std::vector<float> wild_numbers(Random& random, Index count) {
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& value : result) {
        const auto exponent = static_cast<std::uint32_t>(random() % 150);  // up to 2^22
        value = std::bit_cast<float>((static_cast<std::uint32_t>(random()) & 0x807fffffu) | exponent << 23);
    }
    return result;
}

float flushed(float value) {
    return std::abs(value) < std::numeric_limits<float>::min() ? std::copysign(0.0f, value) : value;
}

float rounded(float value) { return to_float(to_bf16(flushed(value))); }

// Any bits at all; halves that are ties, infinities, NaN and denormal numbers more often than by chance.
std::vector<float> any_bits(Random& random, Index count) {
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& value : result) {
        auto bits = static_cast<std::uint32_t>(random());
        const auto one_of = [&](std::initializer_list<Index> from) {
            return static_cast<std::uint32_t>(pick(random, from));
        };
        if (random() % 4 == 0) bits = (bits & 0xffff0000u) | one_of({0, 1, 0x7fff, 0x8000, 0x8001, 0xffff});
        if (random() % 4 == 0) bits = (bits & 0x807fffffu) | one_of({0, 0x7f800000});
        value = std::bit_cast<float>(bits);
    }
    return result;
}

// None, one that keeps whatever it is asked to, or one for small transforms alone.
std::shared_ptr<kernels::TransformBudget> any_budget(Random& random) {
    const Index bytes = pick(random, {0, 1 << 20, 1 << 30});
    return bytes == 0 ? nullptr : std::make_shared<kernels::TransformBudget>(bytes);
}

std::uint16_t rounded_half(float value) { return to_bf16(flushed(value)).bits; }

// One sum as the instruction makes it.
float bf16_sum(const float* a, const float* b, Index k, float sum = 0) {
    for (Index i = 0; i < k; i += 2) {
        const float odd_a = i + 1 < k ? rounded(a[i + 1]) : 0, odd_b = i + 1 < k ? rounded(b[i + 1]) : 0;
        sum = flushed(std::fmaf(odd_a, odd_b, sum));
        sum = flushed(std::fmaf(rounded(a[i]), rounded(b[i]), sum));
    }
    return sum;
}

// One sum as AMX's tiles make it: 32 numbers at a time.
float tiles_sum(const float* a, const float* b, Index k) {
    float sum = 0;
    for (Index first = 0; first < k; first += 32) {
        float part[2] = {0, 0};
        for (Index i = first; i < first + 32; ++i) {
            const float x = i < k ? rounded(a[i]) : 0, y = i < k ? rounded(b[i]) : 0;
            part[i % 2] = flushed(std::fmaf(x, y, part[i % 2]));
        }
        sum = flushed(sum + flushed(part[0] + part[1]));
    }
    return sum;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> naive_bf16(const std::vector<float>& a, const std::vector<float>& weight, Index m, Index n, Index k,
                              Precision precision = Precision::bf16) {
    std::vector<float> c(static_cast<std::size_t>(m * n));
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            const float *const row = a.data() + i * k, *const column = weight.data() + j * k;
            c[static_cast<std::size_t>(i * n + j)] =
                precision == Precision::bf16 ? bf16_sum(row, column, k) : tiles_sum(row, column, k);
        }
    return c;
}

// The product by one block: f(product, range).
template <class F>
std::vector<float> by_block(const std::vector<float>& a, const PackedWeights<float>& weight, Index m, F f) {
    std::vector<float> c(static_cast<std::size_t>(m * weight.n), 7);
    kernels::detail::Product<float> product;
    product.a = kernels::detail::strided(a.data(), weight.k, Index{1}, weight.k);
    product.m = m;
    product.n = weight.n;
    product.k = weight.k;
    product.c = c.data();
    product.rows = kernels::detail::even_rows(weight.n);
    f(product, kernels::detail::BlockRange{.rows = m, .cols = weight.n, .depth = weight.k});
    return c;
}

// By the given kind of register tile, which need not be the build's own.
template <bool dot_pairs>
std::vector<float> by_pairs(const std::vector<float>& a, const PackedWeights<float>& weight, Index m) {
    return by_block(a, weight, m, [&](const auto& product, const auto& range) {
        kernels::detail::multiply_block_panels<float, dot_pairs>(product, range, {.half = weight.half.get()});
    });
}

}  // namespace

TEST_CASE("numbers are rounded to bf16 to nearest even, denormal ones to zero, by vectors and one by one") {
    Random random(31);
    for (int repetition = 0; repetition < 200; ++repetition) {
        const Index count = pick(random, {1, 15, 16, 17, 40, 1000});
        const std::vector<float> from = any_bits(random, count);
        std::vector<bf16> to(from.size());
        kernels::detail::round_all(from.data(), count, to.data());
        for (std::size_t i = 0; i < from.size(); ++i) REQUIRE(to[i].bits == rounded_half(from[i]));
    }
    constexpr Index width = kernels::detail::tile_cols<float>;
    const Index pairs = 300;
    const std::vector<float> rows = any_bits(random, 2 * pairs * width);
    std::vector<bf16> to(rows.size());
    kernels::detail::round_row_pairs(rows.data(), pairs, width, to.data());
    const auto at = [](Index row, Index column) { return static_cast<std::size_t>(row * width + column); };
    for (Index k = 0; k < 2 * pairs; ++k)
        for (Index i = 0; i < width; ++i)
            REQUIRE(to[at(k / 2 * 2, 2 * i + k % 2)].bits == rounded_half(rows[at(k, i)]));
}

TEMPLATE_TEST_CASE("products with packed weights have the bits of plain ones", "", float, double) {
    Random random(1);
    for (int round = 0; round < 120; ++round) {
        const Index m = pick(random, {1, 2, 5, 6, 7, 17, 64, 200, 400}), n = pick(random, {1, 7, 8, 16, 33, 80, 300});
        const Index k = pick(random, {1, 3, 8, 64, 385, 800});
        const auto a = numbers<TestType>(random, m * k), weight = numbers<TestType>(random, n * k);
        const auto bias = numbers<TestType>(random, n), residual = numbers<TestType>(random, m * n);
        const Epilogue<TestType> epilogue{.bias = round % 2 == 0 ? bias.data() : nullptr,
                                          .residual = round % 3 == 0 ? residual.data() : nullptr};
        std::vector<TestType> expected(static_cast<std::size_t>(m * n)), found(expected.size());
        kernels::gemm(kernels::row_major(a.data(), m, k), kernels::transposed(kernels::row_major(weight.data(), n, k)),
                      expected.data(), n, epilogue);
        const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::full);
        kernels::gemm_packed(kernels::row_major(a.data(), m, k), packed, found.data(), n, epilogue);
        INFO("m " << m << ", n " << n << ", k " << k);
        REQUIRE(found == expected);
        std::vector<TestType> unpacked(weight.size());
        kernels::unpack_weights(packed, unpacked.data());
        REQUIRE(unpacked == weight);
    }
}

TEST_CASE("convolutions with packed weights have the bits of plain ones") {
    Random random(2);
    for (int round = 0; round < 60; ++round) {
        ConvShape s;
        s.n = pick(random, {1, 2, 9});
        s.kernel_h = s.kernel_w = pick(random, {1, 3, 3, 3, 5});
        s.stride = pick(random, {1, 1, 2});
        s.pad_top = s.pad_left = s.kernel_h / 2;
        s.height = pick(random, {4, 7, 8, 13});
        s.width = pick(random, {4, 8, 16});
        s.in = pick(random, {3, 8, 20, 64, 130});
        s.out = pick(random, {4, 8, 33, 130});
        s.out_height = (s.height + 2 * s.pad_top - s.kernel_h) / s.stride + 1;
        s.out_width = (s.width + 2 * s.pad_left - s.kernel_w) / s.stride + 1;
        const Index k = s.kernel_h * s.kernel_w * s.in;
        const auto x = numbers<float>(random, s.n * s.height * s.width * s.in);
        const auto weight = numbers<float>(random, s.out * k), bias = numbers<float>(random, s.out);
        std::vector<float> expected(static_cast<std::size_t>(s.n * s.out_height * s.out_width * s.out));
        std::vector<float> found(expected.size());
        kernels::conv2d(s, x.data(), weight.data(), expected.data(), {.bias = bias.data()});
        const auto packed = kernels::pack_weights(weight.data(), s.out, k, Precision::full, any_budget(random));
        INFO("kernel " << s.kernel_h << ", stride " << s.stride << ", in " << s.in << ", out " << s.out);
        for (int call = 0; call < 2; ++call) {
            std::fill(found.begin(), found.end(), 0.0f);
            kernels::conv2d_packed(s, x.data(), packed, found.data(), {.bias = bias.data()});
            REQUIRE(same_bits(found, expected));
        }
    }
}

TEST_CASE("a product in bf16 has the bits of the definition by either tile, denormal numbers and all") {
    Random random(3);
    for (int round = 0; round < 200; ++round) {
        const Index m = pick(random, {1, 2, 3, 5, 6, 7, 14, 29, 60}), n = pick(random, {1, 7, 8, 16, 17, 33, 70});
        const Index k = pick(random, {1, 2, 3, 8, 63, 64, 383, 384, 385, 386, 800});
        const bool wild = round % 2 == 1;
        const auto a = wild ? wild_numbers(random, m * k) : numbers<float>(random, m * k);
        const auto weight = wild ? wild_numbers(random, n * k) : numbers<float>(random, n * k);
        const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::bf16);
        const std::vector<float> expected = naive_bf16(a, weight, m, n, k);
        INFO("m " << m << ", n " << n << ", k " << k << ", wild " << wild);
        REQUIRE(same_bits(by_pairs<false>(a, packed, m), expected));
        REQUIRE(same_bits(by_pairs<true>(a, packed, m), expected));
        std::vector<float> found(expected.size());
        kernels::gemm_packed(kernels::row_major(a.data(), m, k), packed, found.data(), n);
        REQUIRE(same_bits(found, expected));
    }
}

TEST_CASE("a product in AMX's order has the bits of the definition, by tiles and by vectors") {
    if (!kernels::amx::available()) WARN("there is no AMX here, or not in this build: vectors stand for it");
    Random random(9);
    for (int round = 0; round < 212; ++round) {
        const bool parts = round >= 200;  // of rows and of k
        const Index m = parts ? pick(random, {31, 129, 200, 300}) : pick(random, {1, 2, 15, 16, 17, 31, 33, 60});
        const Index n = pick(random, {1, 7, 8, 16, 17, 33, 70});
        const Index k =
            parts ? pick(random, {40, 1030, 2100}) : pick(random, {1, 2, 31, 32, 33, 64, 95, 512, 513, 1100});
        const bool wild = round % 2 == 1;
        const auto a = wild ? wild_numbers(random, m * k) : numbers<float>(random, m * k);
        const auto weight = wild ? wild_numbers(random, n * k) : numbers<float>(random, n * k);
        const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::bf16_tiles);
        const std::vector<float> expected = naive_bf16(a, weight, m, n, k, Precision::bf16_tiles);
        const auto by = [&](bool hardware) {
            return by_block(a, packed, m, [&](const auto& product, const auto& range) {
                kernels::detail::multiply_block_tiles(product, range, packed.half.get(), hardware);
            });
        };
        INFO("m " << m << ", n " << n << ", k " << k << ", wild " << wild);
        REQUIRE(same_bits(by(false), expected));
        REQUIRE(same_bits(by(kernels::amx::available()), expected));
        std::vector<float> found(expected.size());
        kernels::gemm_packed(kernels::row_major(a.data(), m, k), packed, found.data(), n);
        REQUIRE(same_bits(found, expected));
        std::vector<float> turned(a.size());  // rows of a that are columns in memory
        for (Index i = 0; i < m; ++i)
            for (Index j = 0; j < k; ++j)
                turned[static_cast<std::size_t>(j * m + i)] = a[static_cast<std::size_t>(i * k + j)];
        kernels::gemm_packed(kernels::transposed(kernels::row_major(turned.data(), k, m)), packed, found.data(), n);
        REQUIRE(same_bits(found, expected));
    }
}

TEST_CASE("a product in AMX's order ends in the epilogue, and an empty sum is zero") {
    Random random(10);
    for (const Index k : {0, 40, 1000})
        for (const Index n : {16, 33, 64}) {
            const Index m = 45;
            const auto a = numbers<float>(random, m * k), weight = numbers<float>(random, n * k);
            const auto bias = numbers<float>(random, n), residual = numbers<float>(random, m * n);
            const auto before = numbers<float>(random, m * n);
            const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::bf16_tiles);
            const std::vector<float> sums = naive_bf16(a, weight, m, n, k, Precision::bf16_tiles);
            std::vector<float> expected = before, found = before;
            for (Index i = 0; i < m * n; ++i) {
                const auto at = static_cast<std::size_t>(i), column = static_cast<std::size_t>(i % n);
                expected[at] = sums[at] * 0.5f + bias[column] + residual[at] + before[at];
            }
            kernels::gemm_packed(
                kernels::row_major(a.data(), m, k), packed, found.data(), n,
                {.bias = bias.data(), .residual = residual.data(), .scale = 0.5f, .mode = Accumulate::add});
            REQUIRE(same_bits(found, expected));
        }
}

TEST_CASE("convolutions in AMX's order are products of patches") {
    Random random(11);
    for (int round = 0; round < 120; ++round) {
        const ConvShape s = genmod::test::any_convolution(random);
        const Index k = s.kernel_h * s.kernel_w * s.in;
        const auto x = numbers<float>(random, s.n * s.height * s.width * s.in);
        const auto weight = numbers<float>(random, s.out * k);
        std::vector<float> patches;  // one row a pixel
        for (Index pixel = 0; pixel < s.n * s.out_height * s.out_width; ++pixel)
            for (Index tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
                const Index y = pixel / s.out_width % s.out_height * s.stride - s.pad_top + tap / s.kernel_w;
                const Index left = pixel % s.out_width * s.stride - s.pad_left + tap % s.kernel_w;
                const bool inside = y >= 0 && y < s.height && left >= 0 && left < s.width;
                const Index at = ((pixel / (s.out_height * s.out_width) * s.height + y) * s.width + left) * s.in;
                for (Index c = 0; c < s.in; ++c) patches.push_back(inside ? x[static_cast<std::size_t>(at + c)] : 0);
            }
        const Index m = s.n * s.out_height * s.out_width;
        std::vector<float> found(static_cast<std::size_t>(m * s.out));
        kernels::conv2d_packed(s, x.data(), kernels::pack_weights(weight.data(), s.out, k, Precision::bf16_tiles),
                               found.data());
        INFO("kernel " << s.kernel_h << ", stride " << s.stride << ", width " << s.width << ", in " << s.in << ", out "
                       << s.out);
        REQUIRE(same_bits(found, naive_bf16(patches, weight, m, s.out, k, Precision::bf16_tiles)));
    }
}

TEST_CASE("a step on pairs is one odd and one even multiply-add, in ten million cases") {
    if (!kernels::detail::has_dot_pairs) WARN("this build has no vdpbf16ps: its emulation stands for it");
    Random random(4);
    constexpr Index lanes = simd::lanes<float>;
    const kernels::detail::FlushDenormals flush;
    Index different = 0;
    for (Index round = 0; round < 10'000'000 / lanes; ++round) {
        float a[lanes], b[lanes], sum[lanes], found[lanes];
        for (Index i = 0; i < lanes; ++i) {
            const auto part = [&] {  // a bf16 of moderate or, at times, of any size
                const auto bits = static_cast<std::uint32_t>(random());
                return round % 4 == 0 ? (bits & 0x80ffu) | 0x100u * (bits >> 16 & 0x4fu) : (bits & 0x81ffu) + 0x3e00u;
            };
            const std::uint32_t even_a = part(), odd_a = part(), even_b = part(), odd_b = part();
            a[i] = std::bit_cast<float>(odd_a << 16 | even_a);
            b[i] = std::bit_cast<float>(odd_b << 16 | even_b);
            sum[i] = std::bit_cast<float>((part() << 16) + (static_cast<std::uint32_t>(random()) & 0xffffu));
        }
        simd::store<float>(
            found, kernels::detail::PairStep::add(simd::load<float>(a), simd::load<float>(b), simd::load<float>(sum)));
        for (Index i = 0; i < lanes; ++i) {
            const auto even = [](float pair) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(pair) << 16); };
            const auto odd = [](float pair) {
                return std::bit_cast<float>(std::bit_cast<std::uint32_t>(pair) & 0xffff0000u);
            };
            const float first = flushed(std::fmaf(flushed(odd(a[i])), flushed(odd(b[i])), flushed(sum[i])));
            const float expected = flushed(std::fmaf(flushed(even(a[i])), flushed(even(b[i])), first));
            different += std::bit_cast<std::uint32_t>(expected) != std::bit_cast<std::uint32_t>(found[i]);
        }
    }
    REQUIRE(different == 0);
}

TEST_CASE("bf16 keeps not-a-number and infinity, and rounds to even") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    std::vector<float> weight{nan, inf, -inf, 1.00390625f, 1.01171875f, 3.4e38f, -0.0f, 1e-40f};
    const auto packed = kernels::pack_weights(weight.data(), 1, 8, Precision::bf16);
    kernels::unpack_weights(packed, weight.data());
    CHECK(std::isnan(weight[0]));
    CHECK(weight[1] == inf);
    CHECK(weight[2] == -inf);
    CHECK(weight[3] == 1.0f);
    CHECK(weight[4] == 1.015625f);
    CHECK(weight[5] == inf);
    CHECK(packed.bytes == 2 * 8 * kernels::detail::tile_cols<float>);
}

TEST_CASE("bf16 is refused for double") {
    const std::vector<double> weight(6);
    for (const Precision precision : {Precision::bf16, Precision::bf16_tiles})
        REQUIRE_THROWS_AS(kernels::pack_weights(weight.data(), 2, 3, precision), Error);
}

TEST_CASE("a product in bf16 gives equal bits for any threads, and leaves the thread's settings alone") {
    Random random(5);
    const Index m = 700, n = 400, k = 601;
    const auto a = wild_numbers(random, m * k), weight = numbers<float>(random, n * k);
    for (const Precision precision : {Precision::bf16, Precision::bf16_tiles}) {
        const auto packed = kernels::pack_weights(weight.data(), n, k, precision);
        const auto run = [&](int count) {
            const Threads threads(count);
            std::vector<float> c(static_cast<std::size_t>(m * n));
            kernels::gemm_packed(kernels::row_major(a.data(), m, k), packed, c.data(), n);
            return c;
        };
        const std::vector<float> expected = run(1);
        for (const int count : {2, 3, 4, 7}) CHECK(same_bits(run(count), expected));
    }
    volatile float denormal = 1e-39f;
    CHECK(denormal * 2 > 0);
}

TEST_CASE("an activation in the epilogue has the bits of one behind it") {
    Random random(6);
    for (int round = 0; round < 60; ++round) {
        const Index m = pick(random, {1, 5, 100, 400}), n = pick(random, {1, 5, 9, 40, 600}),
                    k = pick(random, {7, 500});
        const auto a = numbers<float>(random, m * k), weight = numbers<float>(random, n * k);
        const auto bias = numbers<float>(random, n);
        const auto unary = round % 3 == 0   ? kernels::Unary::silu
                           : round % 3 == 1 ? kernels::Unary::gelu
                                            : kernels::Unary::relu;
        const auto b = kernels::transposed(kernels::row_major(weight.data(), n, k));
        std::vector<float> expected(static_cast<std::size_t>(m * n)), found(expected.size());
        kernels::gemm(kernels::row_major(a.data(), m, k), b, expected.data(), n, {.bias = bias.data()});
        kernels::unary(unary, expected.data(), expected.data(), m * n);
        kernels::gemm(kernels::row_major(a.data(), m, k), b, found.data(), n,
                      {.bias = bias.data(), .activation = unary});
        INFO("m " << m << ", n " << n << ", k " << k);
        REQUIRE(same_bits(found, expected));
    }
}

TEST_CASE("an activation behind a convolution has the bits of one apart") {
    Random random(7);
    for (const Index count : {1, 12})
        for (const Index kernel : {1, 3}) {
            ConvShape s{.n = count,
                        .height = 15,
                        .width = 16,
                        .in = 130,
                        .out = 130,
                        .kernel_h = kernel,
                        .kernel_w = kernel,
                        .pad_top = kernel / 2,
                        .pad_left = kernel / 2,
                        .out_height = 15,
                        .out_width = 16};
            const auto x = numbers<float>(random, s.n * s.height * s.width * s.in);
            const auto weight = numbers<float>(random, s.out * kernel * kernel * s.in);
            std::vector<float> expected(x.size()), found(x.size());
            kernels::conv2d(s, x.data(), weight.data(), expected.data());
            kernels::unary(kernels::Unary::silu, expected.data(), expected.data(), static_cast<Index>(expected.size()));
            kernels::conv2d(s, x.data(), weight.data(), found.data(), {.activation = kernels::Unary::silu});
            REQUIRE(same_bits(found, expected));
        }
}

TEST_CASE("transforms are kept within their budget, and made once") {
    const auto budget = std::make_shared<kernels::TransformBudget>(8000);
    int made = 0;
    const auto make = [&](float* to) {
        ++made;
        std::fill_n(to, 250, 3.0f);
    };
    kernels::detail::KeptTransform<float> too_large(budget);
    CHECK(too_large.get(251, make) == nullptr);
    for (int layer = 0; layer < 8; ++layer) {
        kernels::detail::KeptTransform<float> one(budget);
        const float* const numbers = one.get(250, make);
        REQUIRE(numbers != nullptr);
        CHECK(numbers[249] == 3.0f);
        CHECK(one.get(250, make) == numbers);
    }
    CHECK(made == 8);
    kernels::detail::KeptTransform<float> late(budget);
    CHECK(late.get(1, make) == nullptr);
}

TEST_CASE("threads may share weights whose transforms are kept") {
    Random random(9);
    const ConvShape s{.n = 1,
                      .height = 12,
                      .width = 12,
                      .in = 40,
                      .out = 50,
                      .pad_top = 1,
                      .pad_left = 1,
                      .out_height = 12,
                      .out_width = 12};
    const auto x = numbers<float>(random, 144 * s.in), weight = numbers<float>(random, s.out * 9 * s.in);
    std::vector<float> expected(static_cast<std::size_t>(144 * s.out));
    kernels::conv2d(s, x.data(), weight.data(), expected.data());
    for (int round = 0; round < 20; ++round) {
        const auto budget = std::make_shared<kernels::TransformBudget>(Index{1} << 30);
        const auto packed = kernels::pack_weights(weight.data(), s.out, 9 * s.in, Precision::full, budget);
        std::vector<std::vector<float>> found(3, std::vector<float>(expected.size()));
        std::vector<std::thread> threads;
        for (auto& result : found)
            threads.emplace_back([&] { kernels::conv2d_packed(s, x.data(), packed, result.data()); });
        for (std::thread& thread : threads) thread.join();
        for (const auto& result : found) REQUIRE(same_bits(result, expected));
    }
}

TEST_CASE("few pictures and many, which Winograd's products take in another order, get equal bits") {
    Random random(8);
    ConvShape one{.n = 1,
                  .height = 16,
                  .width = 17,
                  .in = 130,
                  .out = 140,
                  .pad_top = 1,
                  .pad_left = 1,
                  .out_height = 16,
                  .out_width = 17};
    const Index size = one.height * one.width, count = 11;
    const auto x = numbers<float>(random, count * size * one.in);
    const auto weight = numbers<float>(random, one.out * 9 * one.in);
    for (const Precision precision : {Precision::full, Precision::bf16, Precision::bf16_tiles}) {
        const auto packed = kernels::pack_weights(weight.data(), one.out, 9 * one.in, precision);
        std::vector<float> alone(static_cast<std::size_t>(size * one.out)), all(alone.size() * count);
        ConvShape many = one;
        many.n = count;
        kernels::conv2d_packed(many, x.data(), packed, all.data());
        for (Index k = 0; k < count; ++k) {
            kernels::conv2d_packed(one, x.data() + k * size * one.in, packed, alone.data());
            REQUIRE(std::memcmp(alone.data(), all.data() + k * size * one.out, alone.size() * sizeof(float)) == 0);
        }
    }
}

}  // namespace packed_test
