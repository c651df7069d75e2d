// Definitions of kernels/elementwise.hpp. Every function is chosen outside of the loop over numbers; the last numbers
// of an array go through the same arithmetic in a padded batch.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/unary_functions.hpp"
#include "genmod/kernels/impl/wide.hpp"

namespace genmod::kernels {

namespace detail {

inline constexpr Index elementwise_grain = 32768;

// Calls whole(in, out, count) with a count that is a multiple of the lanes, once for the bulk of n numbers and once for
// the rest, copied behind padding. `out` may be read.
template <class T, std::size_t inputs, class Whole>
void over_lanes(std::array<const T*, inputs> in, T* out, Index n, const Whole& whole) {
    const Index bulk = n - n % simd::lanes<T>;
    if (bulk > 0) whole(in, out, bulk);
    if (bulk == n) return;
    T padded[inputs + 1][static_cast<std::size_t>(simd::lanes<T>)];
    for (std::size_t k = 0; k < inputs; ++k) {
        std::fill_n(padded[k], simd::lanes<T>, T(1));
        std::copy_n(in[k] + bulk, n - bulk, padded[k]);
        in[k] = padded[k];
    }
    T* result = padded[inputs];
    std::fill_n(result, simd::lanes<T>, T(1));
    std::copy_n(out + bulk, n - bulk, result);
    whole(in, result, simd::lanes<T>);
    std::copy_n(result, n - bulk, out + bulk);
}

// The same for arrays of any length, on several threads.
template <class T, std::size_t inputs, class Whole>
void over_numbers(const std::array<const T*, inputs>& in, T* out, Index n, const Whole& whole) {
    parallel_ranges(n, elementwise_grain, [&](Index first, Index last) {
        std::array<const T*, inputs> here = in;
        for (const T*& pointer : here) pointer += first;
        over_lanes<T, inputs>(here, out + first, last - first, whole);
    });
}

template <class T, class V>
inline void store_or_add(T* to, const V& value, Accumulate mode) {
    simd::store(to, mode == Accumulate::add ? simd::load_as<V>(to) + value : value);
}

// Calls body(k, type) for vectors k, k + 1, ... of `count` numbers: by fours where `several`, with the type of what is
// to be loaded.
template <bool several, class T, class Body>
[[gnu::always_inline]] inline void over_vectors(Index count, const Body& body) {
    using Four = simd::Several<T, 4>;
    Index k = 0;
    if constexpr (several)
        for (; k + Four::size <= count; k += Four::size) body(k, std::type_identity<Four>{});
    for (; k < count; k += simd::lanes<T>) body(k, std::type_identity<simd::Batch<T>>{});
}

// Whether a function takes several vectors at a time.
template <class T, class Function>
concept TakesSeveral = requires(Function function, simd::Several<T, 4> x) {
    function.value(x);
};

}  // namespace detail

namespace detail {

// y = f(x) for n numbers, on this thread.
template <class T>
void unary_here(Unary f, const T* x, T* y, Index n, T a = 0, T b = 0) {
    over_lanes<T, 1>({x}, y, n, [=](const std::array<const T*, 1>& in, T* out, Index count) {
        functions::with_function<T>(f, a, b, [=](auto function) {
            over_vectors<TakesSeveral<T, decltype(function)>, T>(
                count, [&]<class V>(Index k, std::type_identity<V>) __attribute__((always_inline)) {
                    simd::store(out + k, function.value(simd::load_as<V>(in[0] + k)));
                });
        });
    });
}

}  // namespace detail

template <class T>
void unary(Unary f, const T* x, T* y, Index n, T a, T b) {
    parallel_ranges(n, detail::elementwise_grain,
                    [=](Index first, Index last) { detail::unary_here(f, x + first, y + first, last - first, a, b); });
}

template <class T>
void unary_backward(Unary f, const T* x, const T* dy, T* dx, Index n, Accumulate mode, T a, T b) {
    detail::over_numbers<T, 2>({x, dy}, dx, n, [=](const std::array<const T*, 2>& in, T* out, Index count) {
        functions::with_function<T>(f, a, b, [=](auto function) {
            using namespace detail;
            over_vectors<TakesSeveral<T, decltype(function)>, T>(
                count, [&]<class V>(Index k, std::type_identity<V>) __attribute__((always_inline)) {
                    store_or_add(out + k,
                                 function.derivative(simd::load_as<V>(in[0] + k)) * simd::load_as<V>(in[1] + k), mode);
                });
        });
    });
}

template <class T>
void unary_second(Unary f, const T* x, const T* t, const T* dy, T* dx, Index n, Accumulate mode, T a, T b) {
    detail::over_numbers<T, 3>({x, t, dy}, dx, n, [=](const std::array<const T*, 3>& in, T* out, Index count) {
        functions::with_function<T>(f, a, b, [=](auto function) {
            for (Index k = 0; k < count; k += simd::lanes<T>) {
                const auto weight = simd::load(in[1] + k) * simd::load(in[2] + k);
                detail::store_or_add(out + k, function.second(simd::load(in[0] + k)) * weight, mode);
            }
        });
    });
}

namespace detail {

// Rows of c numbers of y, y_step apart: those of x times f of those of gate, both x_step apart; on this thread.
template <class T>
void gated_here(Unary f, const T* x, const T* gate, Index x_step, T* y, Index y_step, Index rows, Index c) {
    functions::with_function<T>(f, T(0), T(0), [=](auto function) {
        const auto whole = [&](const std::array<const T*, 2>& in, T* out, Index count) {
            for (Index k = 0; k < count; k += simd::lanes<T>)
                simd::store(out + k, simd::load(in[0] + k) * function.value(simd::load(in[1] + k)));
        };
        for (Index row = 0; row < rows; ++row)
            over_lanes<T, 2>({x + row * x_step, gate + row * x_step}, y + row * y_step, c, whole);
    });
}

}  // namespace detail

template <class T>
void gated(Unary f, const T* x, T* y, Index rows, Index c) {
    const Index grain = std::max(Index{1}, detail::elementwise_grain / std::max(Index{1}, c));
    parallel_ranges(rows, grain, [=](Index first, Index last) {
        const T* const from = x + first * 2 * c;
        detail::gated_here(f, from, from + c, 2 * c, y + first * c, c, last - first, c);
    });
}

template <class T>
void gated_backward(Unary f, const T* x, const T* dy, T* dx, Index rows, Index c, Accumulate mode) {
    const Index grain = std::max(Index{1}, detail::elementwise_grain / std::max(Index{1}, c));
    parallel_ranges(rows, grain, [=](Index first, Index last) {
        functions::with_function<T>(f, T(0), T(0), [=](auto function) {
            const auto to_value = [&](const std::array<const T*, 2>& in, T* out, Index count) {
                for (Index k = 0; k < count; k += simd::lanes<T>)
                    detail::store_or_add(out + k, simd::load(in[1] + k) * function.value(simd::load(in[0] + k)), mode);
            };
            const auto to_gate = [&](const std::array<const T*, 3>& in, T* out, Index count) {
                for (Index k = 0; k < count; k += simd::lanes<T>) {
                    const auto weight = simd::load(in[1] + k) * simd::load(in[2] + k);
                    detail::store_or_add(out + k, weight * function.derivative(simd::load(in[0] + k)), mode);
                }
            };
            for (Index row = first; row < last; ++row) {
                const T* value = x + row * 2 * c;
                T* out = dx + row * 2 * c;
                detail::over_lanes<T, 2>({value + c, dy + row * c}, out, c, to_value);
                detail::over_lanes<T, 3>({value + c, value, dy + row * c}, out + c, c, to_gate);
            }
        });
    });
}

template <class T>
void combine(T p, const T* x, T q, const T* y, T* out, Index n) {
    detail::over_numbers<T, 2>({x, y}, out, n, [=](const std::array<const T*, 2>& in, T* to, Index count) {
        const simd::Batch<T> of_x(p), of_y(q);
        for (Index k = 0; k < count; k += simd::lanes<T>)
            simd::store(to + k, simd::fma(of_x, simd::load(in[0] + k), of_y * simd::load(in[1] + k)));
    });
}

template <class T>
void accumulate(const T* x, T* y, Index n, Accumulate mode) {
    detail::over_numbers<T, 1>({x}, y, n, [=](const std::array<const T*, 1>& in, T* to, Index count) {
        for (Index k = 0; k < count; k += simd::lanes<T>) detail::store_or_add(to + k, simd::load(in[0] + k), mode);
    });
}

}  // namespace genmod::kernels

#include "genmod/kernels/impl/binary.hpp"  // behind what it needs
