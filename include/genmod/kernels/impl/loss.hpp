// Definitions of kernels/loss.hpp.
#pragma once

#include <algorithm>
#include <array>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/reduce.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/sum_terms.hpp"
#include "genmod/kernels/impl/unary_functions.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"
#include "genmod/kernels/impl/vector_math.hpp"
#include "genmod/kernels/loss.hpp"

namespace genmod::kernels {

namespace detail {

// The terms of kernels::Loss with their derivatives by x and by y.
template <class T>
struct SquaredTerm {
    using Batch = simd::Batch<T>;
    auto value(const Batch& x, const Batch& y) const { return (x - y) * (x - y); }
    auto by_x(const Batch& x, const Batch& y) const { return (x - y) + (x - y); }
    auto by_y(const Batch& x, const Batch& y) const { return (y - x) + (y - x); }
};

template <class T>
struct AbsoluteTerm {
    using Batch = simd::Batch<T>;
    auto value(const Batch& x, const Batch& y) const { return xsimd::abs(x - y); }
    auto by_x(const Batch& x, const Batch& y) const { return functions::Absolute<T>{}.derivative(x - y); }
    auto by_y(const Batch& x, const Batch& y) const { return functions::Absolute<T>{}.derivative(y - x); }
};

template <class T>
struct HuberTerm {
    using Batch = simd::Batch<T>;
    Batch delta;
    auto value(const Batch& x, const Batch& y) const {
        const Batch size = xsimd::abs(x - y), half(T(0.5));
        return xsimd::select(size <= delta, half * size * size, delta * (size - half * delta));
    }
    auto by_x(const Batch& x, const Batch& y) const { return functions::Clamp<T>{-delta, delta}.value(x - y); }
    auto by_y(const Batch& x, const Batch& y) const { return functions::Clamp<T>{-delta, delta}.value(y - x); }
};

template <class T>
struct BceWithLogitsTerm {
    using Batch = simd::Batch<T>;
    auto value(const Batch& x, const Batch& y) const {
        return (functions::Relu<T>{}.value(x) - x * y) + simd::log1p(simd::exp_not_large(-xsimd::abs(x)));
    }
    auto by_x(const Batch& x, const Batch& y) const { return simd::sigmoid(x) - y; }
    auto by_y(const Batch& x, const Batch&) const { return -x; }
};

template <class T, class Body>
void with_loss(Loss loss, T delta, Body&& body) {
    switch (loss) {
        case Loss::squared: return body(SquaredTerm<T>{});
        case Loss::absolute: return body(AbsoluteTerm<T>{});
        case Loss::huber: return body(HuberTerm<T>{simd::Batch<T>(delta)});
        case Loss::bce_with_logits: return body(BceWithLogitsTerm<T>{});
    }
}

}  // namespace detail

template <class T>
void loss_sums(Loss loss, Index rows, Index n, const T* x, const T* y, T* sums, T scale, T delta) {
    detail::with_loss<T>(loss, delta, [=](auto term) {
        detail::sum_terms<T, 2>({x, y}, rows, n, sums, Accumulate::write, scale,
                                [=](const auto& a, const auto& b) { return term.value(a, b); });
    });
}

template <class T>
void loss_backward(Loss loss, Index rows, Index n, const T* x, const T* y, const T* weights, T scale, T* dx,
                   Accumulate mode, bool to_target, T delta) {
    if (rows * n == 0) return;
    const Index grain = detail::elementwise_grain, pieces = (n + grain - 1) / grain;  // of one row
    const Index rows_each = std::max(Index{1}, grain / n), groups = (rows + rows_each - 1) / rows_each;
    parallel_for(groups * pieces, [=](Index tile) {
        const Index first_row = tile / pieces * rows_each, last_row = std::min(rows, first_row + rows_each);
        const Index first = tile % pieces * grain, count = std::min(grain, n - first);
        detail::with_loss<T>(loss, delta, [=](auto term) {
            for (Index row = first_row; row < last_row; ++row) {
                const simd::Batch<T> weight(scale * weights[row]);
                const Index at = row * n + first;
                detail::over_lanes<T, 2>(
                    {x + at, y + at}, dx + at, count, [=](const std::array<const T*, 2>& in, T* out, Index numbers) {
                        for (Index k = 0; k < numbers; k += simd::lanes<T>) {
                            const auto a = simd::load(in[0] + k), b = simd::load(in[1] + k);
                            detail::store_or_add(out + k, weight * (to_target ? term.by_y(a, b) : term.by_x(a, b)),
                                                 mode);
                        }
                    });
            }
        });
    });
}

namespace detail {

// The largest logit of a row and the logarithm of the sum of e^(x - largest).
template <class T>
struct LogSum {
    T largest;
    T log_sum;
};

template <class T>
LogSum<T> log_sum_of_row(Index classes, const T* x) {
    T largest = x[0];
    for (Index k = 1; k < classes; ++k) largest = x[k] > largest || x[k] != x[k] ? x[k] : largest;
    const simd::Batch<T> shift(largest);
    const T sum = sum_of_terms<T, 1>({x}, 0, classes, [=](const auto& v) { return simd::exp_not_large(v - shift); });
    return {largest, simd::log(sum)};
}

inline Index rows_of_grain(Index classes) {
    return std::max(Index{1}, elementwise_grain / std::max(Index{1}, classes));
}

}  // namespace detail

template <class T>
void cross_entropy(Index rows, Index classes, const T* x, const Index* labels, T* loss, T smoothing) {
    parallel_ranges(rows, detail::rows_of_grain(classes), [=](Index first, Index last) {
        for (Index row = first; row < last; ++row) {
            const T* logits = x + row * classes;
            const auto [largest, log_sum] = detail::log_sum_of_row(classes, logits);
            const T at_label = log_sum - (logits[labels[row]] - largest);
            if (smoothing == T(0)) {
                loss[row] = at_label;
                continue;
            }
            const simd::Batch<T> shift(largest);
            const T sum = detail::sum_of_terms<T, 1>({logits}, 0, classes, [=](const auto& v) { return v - shift; });
            loss[row] = (1 - smoothing) * at_label + smoothing * (log_sum - sum / static_cast<T>(classes));
        }
    });
}

template <class T>
void cross_entropy_backward(Index rows, Index classes, const T* x, const Index* labels, const T* weights, T* dx,
                            Accumulate mode, T smoothing) {
    parallel_ranges(rows, detail::rows_of_grain(classes), [=](Index first, Index last) {
        for (Index row = first; row < last; ++row) {
            const T* logits = x + row * classes;
            const detail::LogSum<T> of_row = detail::log_sum_of_row(classes, logits);
            const simd::Batch<T> largest(of_row.largest), log_sum(of_row.log_sum), weight(weights[row]);
            const simd::Batch<T> even(smoothing / static_cast<T>(classes));
            detail::over_lanes<T, 1>({logits}, dx + row * classes, classes,
                                     [=](const std::array<const T*, 1>& in, T* out, Index count) {
                                         for (Index k = 0; k < count; k += simd::lanes<T>) {
                                             const auto log_p = (simd::load(in[0] + k) - largest) - log_sum;
                                             detail::store_or_add(out + k, weight * (simd::exp(log_p) - even), mode);
                                         }
                                     });
            dx[row * classes + labels[row]] -= weights[row] * (1 - smoothing);
        }
    });
}

}  // namespace genmod::kernels
