// Random numbers from counters: any number of any stream at any time, on any machine, with the same bits.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): 128 random bits from a counter
// of 128 bits under a key of 64.
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint64_t key) {
    auto low = static_cast<std::uint32_t>(key);
    auto high = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ low, static_cast<std::uint32_t>(b),
                   static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ high, static_cast<std::uint32_t>(a)};
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
    return counter;
}

// What a stream of random numbers is for, so that no two uses share numbers.
enum class Purpose : std::uint32_t {
    user,
    weights,
    noise,
    latent,
    timestep,
    dropout,
    shuffle,
    condition,
    data,
    probe,
    brownian
};

// Names a stream: the numbers depend on nothing else.
struct Stream {
    std::uint64_t seed = 0;
    Purpose purpose = Purpose::user;
    std::uint64_t step = 0;    // taken modulo 2^32
    std::uint32_t sample = 0;  // below 2^24 when draw is used
    std::uint32_t draw = 0;    // below 2^16
};

namespace detail {

// ln(x) for 0 < x <= 1, and cos and sin of 2*pi*turn for 0 <= turn < 1, in double precision by plain multiplications
// and additions, so that every machine gets the same bits (the standard library's own differ).
inline double exact_log(double x) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
    double mantissa = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (mantissa > 1.4142135623730951) {
        mantissa *= 0.5;
        ++exponent;
    }
    const double f = (mantissa - 1.0) / (mantissa + 1.0);
    const double square = f * f;
    double sum = 0.0;
    for (int k = 19; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
    return 2.0 * f * sum + static_cast<double>(exponent) * 0.6931471805599453;
}

inline std::array<double, 2> exact_cos_sin(double turn) {
    const auto quarter = static_cast<int>(turn * 4.0 + 0.5);
    const double angle = (turn - quarter * 0.25) * 6.283185307179586;
    const double square = angle * angle;
    double cosine = 0.0, sine = 0.0;
    for (int k = 16; k >= 2; k -= 2) {
        cosine = (1.0 - cosine) * square / (k * (k - 1));
        sine = (1.0 - sine) * square / ((k + 1) * k);
    }
    cosine = 1.0 - cosine;
    sine = angle * (1.0 - sine);
    switch (quarter & 3) {
        case 0: return {cosine, sine};
        case 1: return {-sine, cosine};
        case 2: return {-cosine, -sine};
        default: return {sine, -cosine};
    }
}

// The square root is correctly rounded everywhere, so the standard one serves.
inline double exact_sqrt(double x) { return __builtin_sqrt(x); }

// Box and Muller: two words give two independent standard normals.
inline std::array<double, 2> box_muller(std::uint32_t a, std::uint32_t b) {
    const double u = (static_cast<double>(a) + 0.5) * 0x1p-32;
    const auto direction = exact_cos_sin((static_cast<double>(b) + 0.5) * 0x1p-32);
    const double radius = exact_sqrt(-2.0 * exact_log(u));
    return {radius * direction[0], radius * direction[1]};
}

// The counter of block `index` of a stream, and the block's 128 bits.
inline std::array<std::uint32_t, 4> block_counter(const Stream& stream, std::uint32_t index) {
    return {index, stream.sample ^ (stream.draw << 24), static_cast<std::uint32_t>(stream.step),
            static_cast<std::uint32_t>(stream.purpose) ^ ((stream.draw >> 8) << 8)};
}
inline std::array<std::uint32_t, 4> block(const Stream& stream, std::uint32_t index) {
    return philox(block_counter(stream, index), stream.seed);
}

// Normals 4 * index .. 4 * index + 3 of a stream.
inline std::array<double, 4> normal_block(const Stream& stream, std::uint32_t index) {
    const auto words = block(stream, index);
    const auto a = box_muller(words[0], words[1]);
    const auto b = box_muller(words[2], words[3]);
    return {a[0], a[1], b[0], b[1]};
}

}  // namespace detail

// Fills with independent standard normals. A prefix of a longer fill has the same numbers.
template <class T>
void fill_normal(const Stream& stream, T* out, Index count) {
    for (Index first = 0; first < count; first += 4) {
        const auto normals = detail::normal_block(stream, static_cast<std::uint32_t>(first / 4));
        for (Index k = 0; k < 4 && first + k < count; ++k)
            out[first + k] = static_cast<T>(normals[static_cast<std::size_t>(k)]);
    }
}

// Fills with independent uniforms in [0, 1), multiples of 2^-24.
template <class T>
void fill_uniform(const Stream& stream, T* out, Index count) {
    for (Index first = 0; first < count; first += 4) {
        const auto words = detail::block(stream, static_cast<std::uint32_t>(first / 4));
        for (Index k = 0; k < 4 && first + k < count; ++k)
            out[first + k] = static_cast<T>(words[static_cast<std::size_t>(k)] >> 8) * static_cast<T>(0x1p-24);
    }
}

// A sequence of random numbers: a stream and a position in it. Copies continue separately with the same numbers.
class Rng {
public:
    explicit Rng(std::uint64_t seed, Purpose purpose = Purpose::user, std::uint64_t position = 0)
        : stream_{.seed = seed, .purpose = purpose}, position_(position) {}

    std::uint64_t seed() const { return stream_.seed; }
    // How many words were drawn: Rng(seed, purpose, position) continues from there.
    std::uint64_t position() const { return position_; }

    std::uint32_t next() {
        stream_.step = position_ >> 34;
        const auto words = detail::block(stream_, static_cast<std::uint32_t>(position_ >> 2));
        return words[static_cast<std::size_t>(position_++ & 3)];
    }

    // In [0, 1), a multiple of 2^-53.
    double uniform() {
        const std::uint64_t high = next();
        return static_cast<double>(((high << 32) | next()) >> 11) * 0x1p-53;
    }

    double normal() {
        const std::uint32_t a = next();
        return detail::box_muller(a, next())[0];
    }

    // A whole number in 0..bound-1, without bias. Throws Error unless bound is in 1..2^32.
    Index below(Index bound) {
        check(bound >= 1 && bound <= (Index{1} << 32), "Rng: below(", bound, ") needs a bound in 1..2^32");
        const auto range = static_cast<std::uint64_t>(bound);
        const std::uint64_t reject = (std::uint64_t{1} << 32) % range;  // Lemire 2019
        while (true) {
            const std::uint64_t product = next() * range;
            if ((product & 0xffffffffu) >= reject) return static_cast<Index>(product >> 32);
        }
    }

    // A tensor of independent standard normals.
    template <class T>
    Tensor<T> normals(const Shape& shape) {
        Tensor<T> result(shape);
        for (T& value : result) value = static_cast<T>(normal());
        return result;
    }

    // A tensor of independent uniforms in [low, high).
    template <class T>
    Tensor<T> uniforms(const Shape& shape, double low = 0, double high = 1) {
        Tensor<T> result(shape);
        for (T& value : result) value = static_cast<T>(low + (high - low) * uniform());
        return result;
    }

    // 0..count-1 in random order (Fisher and Yates).
    std::vector<Index> permutation(Index count) {
        std::vector<Index> order(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), Index{0});
        for (Index k = count - 1; k > 0; --k)
            std::swap(order[static_cast<std::size_t>(k)], order[static_cast<std::size_t>(below(k + 1))]);
        return order;
    }

private:
    Stream stream_;
    std::uint64_t position_;
};

}  // namespace genmod
