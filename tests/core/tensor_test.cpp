#include "genmod/core/tensor.hpp"

#include <cstdint>
#include <vector>

#include "genmod/core/types.hpp"
#include "tests/support/catch.hpp"

namespace tensor_test {

using namespace genmod;

TEST_CASE("tensors are made with numbers, and copies share them") {
    auto a = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
    Tensor<float> b = a;
    const Tensor<float> c = a.clone();
    b[5] = 60;
    REQUIRE(a[5] == 60);
    REQUIRE(c[5] == 6);
    REQUIRE_FALSE(a.unique());
    REQUIRE(c.unique());
    REQUIRE(Tensor<float>::full({3}, 2.5f)[2] == 2.5f);
    REQUIRE(Tensor<std::int64_t>::zeros({2})[1] == 0);
    REQUIRE(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
    REQUIRE(Tensor<float>::full({}, 3.0f).item() == 3.0f);
    REQUIRE_THROWS_AS(a.item(), Error);
    REQUIRE_THROWS_AS(Tensor<float>::from({2}, {1, 2, 3}), Error);
}

TEST_CASE("an empty tensor differs from one without numbers") {
    const Tensor<float> never;
    const Tensor<float> none({0, 3});
    REQUIRE(never.empty());
    REQUIRE(never.size() == 0);
    REQUIRE_FALSE(none.empty());
    REQUIRE(none.size() == 0);
    REQUIRE(none.begin() == none.end());
    REQUIRE(none.clone().shape() == Shape{0, 3});
    REQUIRE(none.reshape({3, 0}).shape() == Shape{3, 0});
    REQUIRE_THROWS_AS(never.item(), Error);
}

TEST_CASE("reshape and slice look at the same numbers") {
    auto a = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
    Tensor<float> flat = a.reshape({-1});
    REQUIRE(flat.shape() == Shape{6});
    flat[0] = 10;
    REQUIRE(a[0] == 10);
    REQUIRE(a.reshape({3, -1}).shape() == Shape{3, 2});
    Tensor<float> row = a.slice(1, 2);
    REQUIRE(row.shape() == Shape{1, 3});
    REQUIRE(row[0] == 4);
    row[0] = 40;
    REQUIRE(a[3] == 40);
    REQUIRE(a.slice(2, 2).size() == 0);
    REQUIRE_THROWS_AS(a.reshape({4}), Error);
    REQUIRE_THROWS_AS(a.reshape({4, -1}), Error);
    REQUIRE_THROWS_AS(a.reshape({-1, -1}), Error);
    REQUIRE_THROWS_AS(a.slice(1, 3), Error);
    REQUIRE_THROWS_AS(a.slice(2, 1), Error);
    REQUIRE_THROWS_AS(Tensor<float>::zeros({}).slice(0, 1), Error);
}

TEST_CASE("a slice keeps the buffer alive") {
    Tensor<float> last;
    {
        const auto a = Tensor<float>::from({3}, {1, 2, 3});
        last = a.slice(2, 3);
    }
    REQUIRE(last[0] == 3);
}

TEST_CASE("assign overwrites in place, and cast changes the type") {
    auto a = Tensor<float>::zeros({2});
    const float* buffer = a.data();
    a.assign(Tensor<float>::from({2}, {1, 2}));
    REQUIRE(a[1] == 2);
    REQUIRE(a.data() == buffer);
    REQUIRE_THROWS_AS(a.assign(Tensor<float>::zeros({1, 2})), Error);
    const Tensor<double> wide = cast<double>(a);
    REQUIRE(wide[1] == 2.0);
    REQUIRE(cast<std::int64_t>(wide)[0] == 1);
}

TEST_CASE("bf16 and half round to nearest even and keep what is special") {
    REQUIRE(to_float(to_bf16(1.0f)) == 1.0f);
    REQUIRE(to_bf16(1.0f + 0x1p-8f).bits == 0x3f80);      // a tie goes to the even neighbour
    REQUIRE(to_bf16(1.0f + 3 * 0x1p-8f).bits == 0x3f82);  // upwards too
    REQUIRE(to_bf16(1.0f + 0x1.02p-8f).bits == 0x3f81);
    REQUIRE(to_float(to_f16(65504.0f)) == 65504.0f);
    REQUIRE(to_f16(65520.0f).bits == 0x7c00);
    REQUIRE(to_float(to_f16(0x1p-24f)) == 0x1p-24f);
    REQUIRE(to_f16(0x1p-25f).bits == 0);
    REQUIRE(to_f16(-0.0f).bits == 0x8000);
    const float nan = std::bit_cast<float>(0x7fc00001u);
    REQUIRE(to_float(to_bf16(nan)) != to_float(to_bf16(nan)));
    REQUIRE(to_float(to_f16(nan)) != to_float(to_f16(nan)));
    REQUIRE_FALSE(is_finite(nan));
    REQUIRE_FALSE(is_finite(to_float(to_bf16(3.4e38f))));
    REQUIRE(is_finite(3.4e38f));
    REQUIRE_FALSE(is_finite(-1.0 / 0.0 * 1.0));
    REQUIRE(is_finite(1e308));
}

}  // namespace tensor_test
