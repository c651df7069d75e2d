// Optimiser passes: element by element, so that vectors, tails and threads give the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/update.hpp"

namespace genmod::kernels {

namespace detail {

inline constexpr Index update_grain = 4096;  // Adam's roots and quotients take 3 us

// Calls body(read, states) on vectors of `read` and of each state, and stores the states. The last, partial vector goes
// through a padded copy, so that every number meets the same instructions.
template <class T, std::size_t count, class Body>
void update_range(Index first, Index last, const T* read, const std::array<T*, count>& states, const Body& body) {
    using Batch = simd::Batch<T>;
    constexpr Index lanes = simd::lanes<T>;
    std::array<Batch, count> values;
    Index k = first;
    for (; k + lanes <= last; k += lanes) {
        for (std::size_t s = 0; s < count; ++s) values[s] = simd::load(states[s] + k);
        body(simd::load(read + k), values);
        for (std::size_t s = 0; s < count; ++s) simd::store(states[s] + k, values[s]);
    }
    if (k == last) return;
    std::array<T, static_cast<std::size_t>(lanes)> padded{};
    std::copy(read + k, read + last, padded.begin());
    const Batch tail = simd::load(padded.data());
    for (std::size_t s = 0; s < count; ++s) {
        std::copy(states[s] + k, states[s] + last, padded.begin());
        values[s] = simd::load(padded.data());
    }
    body(tail, values);
    for (std::size_t s = 0; s < count; ++s) {
        simd::store(padded.data(), values[s]);
        std::copy(padded.begin(), padded.begin() + (last - k), states[s] + k);
    }
}

template <class T, std::size_t count, class Body>
void update_all(Index size, const T* read, const std::array<T*, count>& states, const Body& body) {
    parallel_ranges(size, update_grain,
                    [&](Index first, Index last) { update_range(first, last, read, states, body); });
}

}  // namespace detail

template <class T>
void sgd_update(Index count, const SgdStep<T>& step, const T* grad, T* weight, T* buffer) {
    using Batch = simd::Batch<T>;
    const Batch minus_lr(-step.lr), momentum(step.momentum), decay(step.weight_decay);
    if (buffer == nullptr) {
        detail::update_all<T, 1>(count, grad, {weight}, [&](const Batch& dw, std::array<Batch, 1>& s) {
            s[0] = simd::fma(minus_lr, simd::fma(decay, s[0], dw), s[0]);
        });
        return;
    }
    detail::update_all<T, 2>(count, grad, {weight, buffer}, [&](const Batch& dw, std::array<Batch, 2>& s) {
        const Batch g = simd::fma(decay, s[0], dw);
        s[1] = step.first ? g : simd::fma(momentum, s[1], g);
        s[0] = simd::fma(minus_lr, step.nesterov ? simd::fma(momentum, s[1], g) : s[1], s[0]);
    });
}

template <class T>
void adam_update(Index count, const AdamStep<T>& step, const T* grad, T* weight, T* exp_avg, T* exp_avg_sq) {
    using Batch = simd::Batch<T>;
    const Batch decay(step.weight_decay), keep(step.keep), minus_step(-step.step_size), eps(step.eps);
    const Batch rate1(step.rate1), rate2(step.rate2), beta2(step.beta2), root_scale(step.root_scale);
    detail::update_all<T, 3>(count, grad, {weight, exp_avg, exp_avg_sq}, [&](const Batch& dw, std::array<Batch, 3>& s) {
        const Batch g = simd::fma(decay, s[0], dw);
        s[1] = simd::fma(rate1, g - s[1], s[1]);
        s[2] = simd::fma(rate2 * g, g, beta2 * s[2]);
        const Batch root = simd::fma(root_scale, simd::sqrt<T>(s[2]), eps);
        s[0] = simd::fma(minus_step, simd::divide<T>(s[1], root), keep * s[0]);
    });
}

template <class T>
void average_update(Index count, T rate, const T* weight, T* average) {
    using Batch = simd::Batch<T>;
    const Batch step(rate);
    detail::update_all<T, 1>(count, weight, {average},
                             [&](const Batch& w, std::array<Batch, 1>& s) { s[0] = simd::fma(step, w - s[0], s[0]); });
}

}  // namespace genmod::kernels
