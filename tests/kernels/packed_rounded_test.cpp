// Products in AMX's order whose operand or result is in bf16: the bits of those that round it themselves.
#include <cstring>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/packed.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_convolution.hpp"
#include "tests/support/random_numbers.hpp"

namespace packed_rounded_test {

using namespace genmod;
using genmod::test::numbers;
using genmod::test::pick;
using genmod::test::Random;
using kernels::ConvShape;
using kernels::Epilogue;

namespace {

std::vector<bf16> rounded(const std::vector<float>& from) {
    std::vector<bf16> to(from.size());
    kernels::detail::round_all(from.data(), static_cast<Index>(from.size()), to.data());
    return to;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// product(x, y) from numbers and rounded ones to numbers and rounded ones.
template <class F>
void check_all(const std::vector<float>& x, Index results, F product) {
    const std::vector<bf16> half = rounded(x);
    std::vector<float> expected(static_cast<std::size_t>(results)), found(expected.size());
    product(x.data(), expected.data());
    product(half.data(), found.data());
    REQUIRE(same_bits(found, expected));
    std::vector<bf16> stored(expected.size());
    product(x.data(), stored.data());
    REQUIRE(same_bits(stored, rounded(expected)));
    std::vector<bf16> both(expected.size());
    product(half.data(), both.data());
    REQUIRE(same_bits(both, stored));
}

}  // namespace

TEST_CASE("rows in bf16 and results in bf16 have the bits of rounding around the product") {
    Random random(1);
    for (int round = 0; round < 150; ++round) {
        const Index m = pick(random, {1, 5, 16, 31, 32, 77, 200, 400}), n = pick(random, {8, 33, 64, 70, 300}) * 2;
        const Index k = pick(random, {1, 31, 32, 64, 96, 130, 320, 2100}), gap = pick(random, {0, 0, 7, 32});
        const auto a = numbers<float>(random, m * (k + gap)), weight = numbers<float>(random, n * k);
        const auto bias = numbers<float>(random, n), residual = numbers<float>(random, m * n);
        const bool gated = round % 4 == 0;
        Epilogue<float> epilogue{.bias = round % 2 == 0 ? bias.data() : nullptr, .gated = gated};
        if (gated || round % 5 == 0) epilogue.activation = kernels::Unary::gelu;
        if (!gated && round % 3 == 0) epilogue.residual = residual.data();
        if (round % 7 == 0) epilogue.scale = 0.3f;
        const Index width = gated ? n / 2 : n;
        const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::bf16_tiles);
        INFO("m " << m << ", n " << n << ", k " << k << ", gap " << gap << ", gated " << gated);
        check_all(a, m * width, [&]<class In, class Out>(const In* x, Out* y) {
            kernels::gemm_packed(kernels::Matrix<In>{x, m, k, k + gap, 1}, packed, y, width, epilogue);
        });
    }
}

TEST_CASE("columns in bf16 are rows of the transposed matrix") {
    Random random(2);
    const Index m = 40, n = 24, k = 70;
    const auto a = numbers<float>(random, k * m), weight = numbers<float>(random, n * k);
    const auto packed = kernels::pack_weights(weight.data(), n, k, Precision::bf16_tiles);
    check_all(a, m * n, [&]<class In, class Out>(const In* x, Out* y) {
        kernels::gemm_packed(kernels::transposed(kernels::row_major(x, k, m)), packed, y, n);
    });
}

TEST_CASE("pictures in bf16 and results in bf16 have the bits of rounding around the convolution") {
    Random random(3);
    for (int round = 0; round < 100; ++round) {
        const ConvShape s = genmod::test::any_convolution(random);
        const Index k = s.kernel_h * s.kernel_w * s.in, results = s.n * s.out_height * s.out_width * s.out;
        const auto x = numbers<float>(random, s.n * s.height * s.width * s.in);
        const auto weight = numbers<float>(random, s.out * k), residual = numbers<float>(random, results);
        const auto bias = numbers<float>(random, s.n * s.out);
        Epilogue<float> epilogue{.bias = bias.data(), .bias_step = round % 2 == 0 ? s.out : 0};
        if (round % 3 == 0) epilogue.residual = residual.data();
        if (round % 4 == 0) epilogue.activation = kernels::Unary::silu;
        const auto packed = kernels::pack_weights(weight.data(), s.out, k, Precision::bf16_tiles);
        INFO("kernel " << s.kernel_h << ", stride " << s.stride << ", width " << s.width << ", in " << s.in << ", out "
                       << s.out);
        check_all(x, results,
                  [&](const auto* from, auto* to) { kernels::conv2d_packed(s, from, packed, to, epilogue); });
    }
}

TEST_CASE("numbers in bf16 need weights in AMX's order, and nothing is added to them") {
    Random random(4);
    const auto a = numbers<float>(random, 8), weight = numbers<float>(random, 64);
    const std::vector<bf16> half = rounded(a);
    std::vector<float> c(8);
    std::vector<bf16> rounded_c(8);
    const auto rows = kernels::row_major(a.data(), 1, 8);
    for (const Precision precision : {Precision::full, Precision::bf16}) {
        const auto packed = kernels::pack_weights(weight.data(), 8, 8, precision);
        REQUIRE_THROWS_WITH(kernels::gemm_packed(kernels::row_major(half.data(), 1, 8), packed, c.data(), 8),
                            ContainsSubstring("gemm_packed: numbers in bf16 need weights in bf16_tiles"));
        REQUIRE_THROWS_AS(kernels::gemm_packed(rows, packed, rounded_c.data(), 8), Error);
    }
    const auto packed = kernels::pack_weights(weight.data(), 8, 8, Precision::bf16_tiles);
    REQUIRE_THROWS_WITH(kernels::gemm_packed(rows, packed, rounded_c.data(), 8, {.mode = Accumulate::add}),
                        ContainsSubstring("nothing is added to numbers in bf16"));
}

}  // namespace packed_rounded_test
