// PyTorch's random numbers on the CPU: what torch.Generator().manual_seed(seed) gives, call for call.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// Where PyTorch changed its ways. The defaults are those of 2.15.
struct TorchRules {
    bool narrow_half = false;     // f16 and bf16 come from uniforms of 11 and 8 bits: up to 2.7 at least
    bool narrow_randint = false;  // randint takes 64 bits from ranges of 2^32 on, not from 2^28 on: up to 2.6
};

// All that a TorchGenerator remembers. Of the seed, PyTorch's own generator uses the low 32 bits.
struct TorchState {
    static constexpr std::uint64_t no_spare = ~std::uint64_t{0};

    std::uint64_t seed = 67280421310721;  // PyTorch's default
    std::uint64_t drawn = 0;              // words of 32 bits
    std::uint64_t spare = no_spare;       // the bits of the normal (a double) that a short randn left for the next one

    static void visit(auto& self, auto&& f) {
        f("seed", self.seed);
        f("drawn", self.drawn);
        f("spare", self.spare);
    }
};

namespace detail {

template <class T>
T from_double(double value) {
    if constexpr (std::same_as<T, f16>)
        return to_f16(static_cast<float>(value));
    else if constexpr (std::same_as<T, bf16>)
        return to_bf16(static_cast<float>(value));
    else
        return static_cast<T>(value);
}

// Rounds to the numbers that T holds.
template <class T>
float rounded(double value) {
    return to_float(from_double<T>(value));
}
template <>
inline float rounded<float>(double value) {
    return static_cast<float>(value);
}

// Box and Muller in float; u and v in [0, 1). Adding the mean leaves no negative zero. Of an f16, radius and angle are
// rounded on the way, of a bf16 every step.
template <class T>
std::array<float, 2> rounded_box_muller(float u, float v) {
    using Step = std::conditional_t<std::same_as<T, bf16>, bf16, float>;
    const float log = rounded<Step>(exact_log(static_cast<double>(1 - u)));
    const float radius = rounded<T>(exact_sqrt(static_cast<double>(-2 * log)));
    double angle = 6.283185307179586 * static_cast<double>(v);
    if constexpr (std::same_as<T, float>) angle = static_cast<double>(6.283185307179586f * v);
    const auto direction = exact_cos_sin(static_cast<double>(rounded<T>(angle)) / 6.283185307179586);
    return {radius * rounded<Step>(direction[0]) + 0.0f, radius * rounded<Step>(direction[1]) + 0.0f};
}

}  // namespace detail

// The integers, uniforms and permutations are PyTorch's to the bit. The normals agree within 1e-6: PyTorch's own differ
// in the last bits between instruction sets, ours do not. T is float, double, f16 or bf16.
class TorchGenerator {
public:
    explicit TorchGenerator(std::uint64_t seed = TorchState{}.seed, const TorchRules& rules = {}) : rules_(rules) {
        manual_seed(seed);
    }

    const TorchState& state() const { return state_; }

    // Continues from a state.
    void set_state(const TorchState& state) {
        manual_seed(state.seed);
        engine_.discard(state.drawn);
        state_ = state;
    }

    // Begins again; a negative seed of PyTorch is the same one modulo 2^64.
    void manual_seed(std::uint64_t seed) {
        state_ = {.seed = seed};
        engine_.seed(static_cast<std::uint32_t>(seed));
    }

    // 32 random bits, and 64 of them.
    std::uint32_t next() {
        ++state_.drawn;
        return static_cast<std::uint32_t>(engine_());
    }
    std::uint64_t next64() {
        const std::uint64_t high = next();
        return (high << 32) | next();
    }

    // torch.rand: uniforms in [0, 1).
    template <class T>
    Tensor<T> rand(const Shape& shape) {
        Tensor<T> result(shape);
        for (T& value : result) value = uniform<T>();
        return result;
    }

    // torch.randn: standard normals.
    template <class T>
    Tensor<T> randn(const Shape& shape) {
        Tensor<T> result(shape);
        if (result.size() < 16)
            for (T& value : result) value = detail::from_double<T>(normal());
        else if constexpr (std::same_as<T, float> || std::same_as<T, double>)
            fill_blocks<T>(result);
        else if (rules_.narrow_half)
            fill_blocks<T>(result);
        else
            fill_rounded_blocks(result);
        return result;
    }

    // torch.randint: whole numbers in low..high-1. Throws Error when there are none.
    Tensor<Index> randint(Index low, Index high, const Shape& shape) {
        check(low < high, "TorchGenerator: randint(", low, ", ", high, ") has nothing to choose from");
        const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
        const bool wide = range >> (rules_.narrow_randint ? 32 : 28) != 0;
        Tensor<Index> result(shape);
        for (Index& value : result)
            value = static_cast<Index>((wide ? next64() : next()) % range + static_cast<std::uint64_t>(low));
        return result;
    }

    // torch.randperm: 0..count-1 in random order. Throws Error when count is negative.
    std::vector<Index> randperm(Index count) {
        check(count >= 0, "TorchGenerator: randperm(", count, ") of a negative number");
        std::vector<Index> order(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), Index{0});
        const std::size_t size = order.size();
        if (size < std::numeric_limits<std::uint32_t>::max() / 20)
            for (std::size_t k = 0; k + 1 < size; ++k) std::swap(order[k], order[k + next() % (size - k)]);
        else
            for (std::size_t k = 0; k < size; ++k) std::swap(order[k], order[next64() % (k + 1)]);
        return order;
    }

private:
    template <class T>
    T uniform() {
        if constexpr (std::same_as<T, double>) return static_cast<double>(next64() & ((1ull << 53) - 1)) * 0x1p-53;
        if constexpr (std::same_as<T, float>) return static_cast<float>(next() & 0xffffffu) * 0x1p-24f;
        if constexpr (std::same_as<T, f16> || std::same_as<T, bf16>) {
            if (rules_.narrow_half) return detail::from_double<T>(narrow_uniform<T>());
            const T value = detail::from_double<T>(uniform<float>());
            return to_float(value) == 1 ? T{} : value;
        }
    }

    template <class T>
    double narrow_uniform() {
        if constexpr (std::same_as<T, f16>) return (next() & 0x7ffu) * 0x1p-11;
        return (next() & 0xffu) * 0x1p-8;
    }

    // One at a time, in double, with one of each pair kept.
    double normal() {
        if (state_.spare != TorchState::no_spare)
            return std::bit_cast<double>(std::exchange(state_.spare, TorchState::no_spare));
        const double turn = uniform<double>();
        const double radius = detail::exact_sqrt(-2 * detail::exact_log(1 - uniform<double>()));
        const auto direction = detail::exact_cos_sin(turn);
        state_.spare = std::bit_cast<std::uint64_t>(radius * direction[1]);
        return radius * direction[0];
    }

    // All uniforms first; then blocks of 16 become normals, and the last 16 numbers are drawn anew when some are left.
    template <class T>
    void fill_blocks(Tensor<T>& x) {
        for (T& value : x) value = uniform<T>();
        for (Index first = 0; first + 16 <= x.size(); first += 16) to_normals(x.data() + first);
        if (x.size() % 16 == 0) return;
        T* last = x.data() + (x.size() - 16);
        for (int k = 0; k < 16; ++k) last[k] = uniform<T>();
        to_normals(last);
    }

    // Block by block in float, then rounded.
    template <class T>
    void fill_rounded_blocks(Tensor<T>& x) {
        for (Index first = 0; first < x.size(); first += 16) {
            T* out = x.data() + (first + 16 <= x.size() ? first : x.size() - 16);
            std::array<float, 16> block{};
            for (float& value : block) value = uniform<float>();
            to_normals(block.data());
            for (std::size_t k = 0; k < 16; ++k) out[k] = detail::from_double<T>(static_cast<double>(block[k]));
        }
    }

    template <class T>
    static void to_normals(T* x) {
        for (int k = 0; k < 8; ++k) {
            if constexpr (std::same_as<T, double>) {
                const double radius = detail::exact_sqrt(-2 * detail::exact_log(1 - x[k]));
                const auto direction = detail::exact_cos_sin(x[k + 8]);
                x[k] = radius * direction[0];
                x[k + 8] = radius * direction[1];
            } else {
                const auto pair = detail::rounded_box_muller<T>(number(x[k]), number(x[k + 8]));
                x[k] = detail::from_double<T>(static_cast<double>(pair[0]));
                x[k + 8] = detail::from_double<T>(static_cast<double>(pair[1]));
            }
        }
    }

    static float number(float x) { return x; }
    template <class Half>
    static float number(Half x) {
        return to_float(x);
    }

    TorchRules rules_;
    TorchState state_;
    std::mt19937 engine_;
};

}  // namespace genmod
