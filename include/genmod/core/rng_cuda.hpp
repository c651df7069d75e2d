// PyTorch's random numbers on a CUDA card, computed without one.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/rng_torch.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

namespace genmod {

// How many threads a card runs at once: PyTorch gives each a stream of its own, so that draws of more numbers than
// threads depend on the card. An A100 has 108 and 2048, an RTX 3060 has 28 and 1536. The default has no limit, which
// agrees with every card on draws that fit it, and with the emulations of web UIs on all.
struct CudaCard {
    Index multiprocessors = 0;  // 0: no limit
    Index threads_per_multiprocessor = 2048;
};

// All that a CudaGenerator remembers: PyTorch's own seed and offset.
struct CudaState {
    std::uint64_t seed = 0;
    std::uint64_t offset = 0;  // words that every thread has behind it, a multiple of 4

    static void visit(auto& self, auto&& f) {
        f("seed", self.seed);
        f("offset", self.offset);
    }
};

// What torch.Generator("cuda").manual_seed(seed) gives, call for call: Philox (core/rng.hpp) with the thread as the
// high words of its counter. A card's fast sine and cosine differ from these normals by some 1e-6. T is float, f16 or
// bf16.
class CudaGenerator {
public:
    // Throws Error when the card could not run a block of 256 threads.
    explicit CudaGenerator(std::uint64_t seed = 0, const CudaCard& card = {}) : state_{.seed = seed}, card_(card) {
        check(card.multiprocessors >= 0 && card.threads_per_multiprocessor >= 256, "CudaGenerator: a card of ",
              card.multiprocessors, " multiprocessors with ", card.threads_per_multiprocessor, " threads each");
    }

    const CudaState& state() const { return state_; }

    // Continues from a state.
    void set_state(const CudaState& state) { state_ = state; }

    // Begins again.
    void manual_seed(std::uint64_t seed) { state_ = {.seed = seed}; }

    // torch.rand: uniforms in [0, 1).
    template <class T>
    Tensor<T> rand(const Shape& shape) {
        return draw<T>(shape, [](const Words& words, std::size_t component) {
            const double u = uniform(words[component]);
            return detail::rounded<T>(u) == 1 ? T{} : detail::from_double<T>(u);
        });
    }

    // torch.randn: standard normals.
    template <class T>
    Tensor<T> randn(const Shape& shape) {
        return draw<T>(shape, [](const Words& words, std::size_t component) {
            const std::size_t pair = component / 2 * 2;
            return detail::from_double<T>(normal(words[pair], words[pair + 1], component % 2 == 0));
        });
    }

private:
    using Words = std::array<std::uint32_t, 4>;

    // In (0, 1], as a float.
    static double uniform(std::uint32_t word) {
        return static_cast<double>(
            static_cast<float>(static_cast<double>(static_cast<float>(word)) * 0x1p-32 + 0x1p-33));
    }

    // Box and Muller: the sine comes first.
    static double normal(std::uint32_t a, std::uint32_t b, bool sine) {
        const auto radius = static_cast<float>(detail::exact_sqrt(-2 * detail::exact_log(uniform(a))));
        const auto scale = static_cast<double>(6.2831855f * 0x1p-32f);
        const auto angle = static_cast<float>(static_cast<double>(static_cast<float>(b)) * scale + scale / 2);
        const auto direction = detail::exact_cos_sin(static_cast<double>(angle) / 6.283185307179586);
        return static_cast<double>(radius * static_cast<float>(direction[sine ? 1 : 0]));
    }

    // value(words, component) of each number: with `threads` threads at work, number k is component
    // k / threads mod 4 of thread k mod threads, in round k / (4 threads).
    template <class T, class Value>
    Tensor<T> draw(const Shape& shape, Value value) {
        Tensor<T> result(shape);
        const Index size = result.size();
        if (size == 0) return result;
        Index blocks = (size + 255) / 256;
        if (card_.multiprocessors > 0)
            blocks = std::min(blocks, card_.multiprocessors * (card_.threads_per_multiprocessor / 256));
        const Index threads = 256 * blocks;
        for (Index first = 0; first < size; first += 4 * threads, state_.offset += 4)
            for (Index thread = 0; thread < std::min(threads, size - first); ++thread) {
                const Words words = philox(counter(static_cast<std::uint64_t>(thread)), state_.seed);
                for (Index k = first + thread, component = 0; component < 4 && k < size; ++component, k += threads)
                    result[k] = value(words, static_cast<std::size_t>(component));
            }
        return result;
    }

    Words counter(std::uint64_t thread) const {
        const std::uint64_t position = state_.offset / 4;
        return {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                static_cast<std::uint32_t>(thread), static_cast<std::uint32_t>(thread >> 32)};
    }

    CudaState state_;
    CudaCard card_;
};

}  // namespace genmod
