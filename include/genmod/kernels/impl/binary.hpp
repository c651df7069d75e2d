// Operations on two arrays whose shapes may differ.
#pragma once

#include <algorithm>

#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/impl/elementwise.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_math.hpp"

namespace genmod::kernels {

namespace detail {

template <class T, class Function>
void binary_row(const T* a, Index a_step, const T* b, Index b_step, T* y, Index n, Function function) {
    const Index bulk = n - n % simd::lanes<T>;
    const simd::Batch<T> first_a(a[0]), first_b(b[0]);
    if (a_step == 1 && b_step == 1) {
        for (Index k = 0; k < bulk; k += simd::lanes<T>)
            simd::store(y + k, function(simd::load(a + k), simd::load(b + k)));
    } else if (a_step == 1) {
        for (Index k = 0; k < bulk; k += simd::lanes<T>) simd::store(y + k, function(simd::load(a + k), first_b));
    } else {
        for (Index k = 0; k < bulk; k += simd::lanes<T>)
            simd::store(y + k, function(first_a, b_step == 1 ? simd::load(b + k) : first_b));
    }
    // One operation has the same bits on a single number.
    for (Index k = bulk; k < n; ++k) y[k] = function(a[k * a_step], b[k * b_step]);
}

// Numbers first..last-1 of the rows first_row..last_row-1, a row being the pattern's last axis.
template <class T, class Function>
void binary_rows(const Broadcast& p, const T* a, const T* b, T* y, Index first_row, Index last_row, Index first,
                 Index last, Function function) {
    const Index inner = p.rank - 1, width = p.extents[inner];
    for (Index row = first_row; row < last_row;) {
        Index rest = row, a_at = first * p.a_steps[inner], b_at = first * p.b_steps[inner];
        for (Index axis = inner - 1; axis >= 0; --axis) {
            const Index position = rest % p.extents[axis];
            rest /= p.extents[axis];
            a_at += position * p.a_steps[axis];
            b_at += position * p.b_steps[axis];
        }
        // Rows up to the end of the axis before the last one lie at equal distances.
        Index run = 1, a_jump = 0, b_jump = 0;
        if (inner > 0) {
            run = std::min(last_row - row, p.extents[inner - 1] - row % p.extents[inner - 1]);
            a_jump = p.a_steps[inner - 1];
            b_jump = p.b_steps[inner - 1];
        }
        for (Index k = 0; k < run; ++k)
            binary_row(a + a_at + k * a_jump, p.a_steps[inner], b + b_at + k * b_jump, p.b_steps[inner],
                       y + (row + k) * width + first, last - first, function);
        row += run;
    }
}

template <class Body>
void with_binary(Binary f, Body&& body) {
    switch (f) {
        case Binary::add: return body([](const auto& a, const auto& b) { return a + b; });
        case Binary::sub: return body([](const auto& a, const auto& b) { return a - b; });
        case Binary::mul: return body([](const auto& a, const auto& b) { return a * b; });
        case Binary::div: return body([](const auto& a, const auto& b) { return simd::divide(a, b); });
    }
}

}  // namespace detail

template <class T>
void binary(Binary f, const Broadcast& pattern, const T* a, const T* b, T* y) {
    const Index width = pattern.extents[pattern.rank - 1];
    Index rows = 1;
    for (Index axis = 0; axis + 1 < pattern.rank; ++axis) rows *= pattern.extents[axis];
    if (rows * width == 0) return;
    const Index grain = detail::elementwise_grain;
    const Index pieces = (width + grain - 1) / grain;  // of one row
    const Index rows_each = pieces > 1 ? 1 : std::max(Index{1}, grain / width);
    const Index groups = (rows + rows_each - 1) / rows_each;
    parallel_for(groups * pieces, [&](Index tile) {
        const Index first_row = tile / pieces * rows_each, first = tile % pieces * grain;
        detail::with_binary(f, [&](auto function) {
            detail::binary_rows(pattern, a, b, y, first_row, std::min(rows, first_row + rows_each), first,
                                std::min(width, first + grain), function);
        });
    });
}

}  // namespace genmod::kernels
