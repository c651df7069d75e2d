#include "genmod/io/dtype.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"

namespace dtype_test {

using namespace genmod;

namespace {

// A half-sized float decoded by its definition: sign, exponent, fraction.
double decoded(std::uint32_t bits, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    const double fraction = static_cast<double>(bits & ((1u << fraction_bits) - 1)) / (1 << fraction_bits);
    const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
    if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
    return sign * std::ldexp(1 + fraction, exponent - bias);
}

// The nearest of two neighbours, the even one on a tie.
template <class Half, class Encode>
void check_all(int exponent_bits, int fraction_bits, Encode&& encode) {
    std::size_t wrong = 0;
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
        const double value = decoded(bits, exponent_bits, fraction_bits);
        const float found = to_float(Half{static_cast<std::uint16_t>(bits)});
        if (std::isnan(value)) {
            wrong += std::isnan(found) && std::isnan(to_float(encode(found))) ? 0 : 1;
            continue;
        }
        wrong += static_cast<double>(found) == value && std::signbit(found) == std::signbit(value) ? 0 : 1;
        wrong += encode(found).bits == bits ? 0 : 1;
        if (std::isinf(value)) continue;
        // Halfway to the next larger magnitude, and the floats beside it. Beyond the largest is infinity.
        const std::uint32_t up = bits + 1;
        const bool last = std::isinf(decoded(up, exponent_bits, fraction_bits));
        const double step = last ? value - decoded(bits - 1, exponent_bits, fraction_bits)
                                 : decoded(up, exponent_bits, fraction_bits) - value;
        const auto middle = static_cast<float>(value + step / 2);
        if (static_cast<double>(middle) != value + step / 2) continue;  // finer than float: bf16's smallest
        wrong += encode(middle).bits == (bits % 2 == 0 ? bits : up) ? 0 : 1;
        wrong += encode(std::nextafter(middle, 0.0f)).bits == bits ? 0 : 1;
        wrong +=
            encode(std::nextafter(middle, std::copysign(std::numeric_limits<float>::infinity(), middle))).bits == up
                ? 0
                : 1;
    }
    CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("all 65536 half floats are read and rounded to as IEEE 754 says") {
    check_all<f16>(5, 10, [](float value) { return to_f16(value); });
    CHECK(to_f16(65520.0f).bits == 0x7c00);
    CHECK(to_f16(1e30f).bits == 0x7c00);
}

TEST_CASE("all 65536 bfloats are read and rounded to the nearest, ties to even") {
    check_all<bf16>(8, 7, [](float value) { return to_bf16(value); });
    CHECK(to_bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
}

TEST_CASE("whole numbers convert when they fit") {
    std::uint8_t byte = 0;
    CHECK(io::detail::convert(std::int64_t{255}, byte));
    CHECK(byte == 255);
    CHECK_FALSE(io::detail::convert(std::int64_t{256}, byte));
    CHECK_FALSE(io::detail::convert(std::int8_t{-1}, byte));
    CHECK_FALSE(io::detail::convert(1.0f, byte));
    CHECK_FALSE(io::detail::convert(f16{0x3c00}, byte));
    float real = 0;
    CHECK(io::detail::convert(std::uint64_t{1} << 40, real));
    CHECK(real == 0x1p40f);
}

}  // namespace dtype_test
