// Sixteen virtual lanes, whatever the vector width: what sums along them, and in which order, is the same everywhere.
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::simd {

// 16 numbers in as many batches as it takes.
template <class T>
struct Wide {
    static constexpr Index size = 16;
    static constexpr int parts = static_cast<int>(size / lanes<T>);
    static_assert(size % lanes<T> == 0);
    Batch<T> part[parts];

    Wide() = default;
    explicit Wide(T value) {
        for (Batch<T>& p : part) p = Batch<T>(value);
    }
};

// function(batch, ...) on each part.
template <class T, class Function, class... Others>
[[gnu::always_inline]] inline Wide<T> map(Function function, const Wide<T>& a, const Others&... others) {
    Wide<T> result;
#pragma GCC unroll 8
    for (int i = 0; i < Wide<T>::parts; ++i) result.part[i] = function(a.part[i], others.part[i]...);
    return result;
}

template <class T>
[[gnu::always_inline]] inline Wide<T> operator+(const Wide<T>& a, const Wide<T>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x + y; }, a, b);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> operator-(const Wide<T>& a, const Wide<T>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x - y; }, a, b);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> operator*(const Wide<T>& a, const Wide<T>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x * y; }, a, b);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> operator/(const Wide<T>& a, const Wide<T>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return divide<T>(x, y); }, a, b);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> fma(const Wide<T>& a, const Wide<T>& b, const Wide<T>& c) {
    return map([](const Batch<T>& x, const Batch<T>& y, const Batch<T>& z) { return simd::fma<T>(x, y, z); }, a, b, c);
}
// The larger one of each lane; a NaN in b stays.
template <class T>
[[gnu::always_inline]] inline Wide<T> larger(const Wide<T>& a, const Wide<T>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return xsimd::select(x > y, x, y); }, a, b);
}

template <class T>
[[gnu::always_inline]] inline Wide<T> load_wide(const T* from) {
    Wide<T> result;
#pragma GCC unroll 8
    for (int i = 0; i < Wide<T>::parts; ++i) result.part[i] = load(from + i * lanes<T>);
    return result;
}
template <class T>
[[gnu::always_inline]] inline void store_wide(T* to, const Wide<T>& value) {
#pragma GCC unroll 8
    for (int i = 0; i < Wide<T>::parts; ++i) store(to + i * lanes<T>, value.part[i]);
}

// The first `count` (1..16) numbers only; the other lanes hold `rest`.
template <class T>
inline Wide<T> load_wide_part(const T* from, Index count, T rest) {
    T lane[Wide<T>::size];
    std::fill(lane, lane + Wide<T>::size, rest);
    std::copy(from, from + count, lane);
    return load_wide(lane);
}
template <class T>
inline void store_wide_part(T* to, Index count, const Wide<T>& value) {
    T lane[Wide<T>::size];
    store_wide(lane, value);
    std::copy(lane, lane + count, to);
}

// The sum of all lanes, in a fixed tree.
template <class T>
inline T sum(const Wide<T>& value) {
    T lane[Wide<T>::size];
    store_wide(lane, value);
    for (Index width = Wide<T>::size / 2; width > 0; width /= 2)
        for (Index i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}
// The largest lane.
template <class T>
inline T largest(const Wide<T>& value) {
    T lane[Wide<T>::size];
    store_wide(lane, value);
    for (Index width = Wide<T>::size / 2; width > 0; width /= 2)
        for (Index i = 0; i < width; ++i) lane[i] = lane[i] > lane[i + width] ? lane[i] : lane[i + width];
    return lane[0];
}

// Calls body(first, count) for 16 numbers at a time of a row, the last ones with count < 16. The body loads with
// load_some and stores with store_some.
template <class Body>
[[gnu::always_inline]] inline void for_wide(Index size, Body body) {
    Index k = 0;
    for (; k + 16 <= size; k += 16) body(k, Index{16});
    if (k < size) body(k, size - k);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> load_some(const T* from, Index count, T rest = T(0)) {
    return count == Wide<T>::size ? load_wide(from) : load_wide_part(from, count, rest);
}
template <class T>
[[gnu::always_inline]] inline void store_some(T* to, Index count, const Wide<T>& value) {
    if (count == Wide<T>::size)
        store_wide(to, value);
    else
        store_wide_part(to, count, value);
}

}  // namespace genmod::simd
