// Several batches that go through the same arithmetic side by side: a chain of operations on one alone would wait for
// each of its results. Sixteen virtual lanes among them, whatever the vector width: what sums along those, and in which
// order, is the same everywhere.
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::simd {

template <class T, int count>
struct Several {
    using value_type = T;
    static constexpr int parts = count;
    static constexpr Index size = count * lanes<T>;
    Batch<T> part[count];

    Several() = default;
    [[gnu::always_inline]] explicit Several(T value) {
#pragma GCC unroll 8
        for (int i = 0; i < count; ++i) part[i] = Batch<T>(value);
    }
};

// 16 numbers in as many batches as it takes.
template <class T>
using Wide = Several<T, static_cast<int>(16 / lanes<T>)>;

// function(batch, ...) on each part.
template <class T, int count, class Function, class... Others>
[[gnu::always_inline]] inline Several<T, count> map(Function function, const Several<T, count>& a,
                                                    const Others&... others) {
    Several<T, count> result;
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) result.part[i] = function(a.part[i], others.part[i]...);
    return result;
}

template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> operator+(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x + y; }, a, b);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> operator-(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x - y; }, a, b);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> operator-(const Several<T, count>& a) {
    return map([](const Batch<T>& x) -> Batch<T> { return -x; }, a);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> operator*(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return x * y; }, a, b);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> divide(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) -> Batch<T> { return divide<T>(x, y); }, a, b);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> fma(const Several<T, count>& a, const Several<T, count>& b,
                                                    const Several<T, count>& c) {
    return map([](const Batch<T>& x, const Batch<T>& y, const Batch<T>& z) { return fma<T>(x, y, z); }, a, b, c);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> larger(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) { return larger<T>(x, y); }, a, b);
}
template <class T, int count>
[[gnu::always_inline]] inline Several<T, count> smaller(const Several<T, count>& a, const Several<T, count>& b) {
    return map([](const Batch<T>& x, const Batch<T>& y) { return smaller<T>(x, y); }, a, b);
}

// V is a batch, or several.
template <class V>
[[gnu::always_inline]] inline V load_as(const typename V::value_type* from) {
    using T = typename V::value_type;
    if constexpr (requires(V v) { v.part; }) {
        V result;
#pragma GCC unroll 8
        for (int i = 0; i < V::parts; ++i) result.part[i] = load(from + i * lanes<T>);
        return result;
    } else {
        return load(from);
    }
}
template <class T, int count>
[[gnu::always_inline]] inline void store(T* to, const Several<T, count>& value) {
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) store(to + i * lanes<T>, value.part[i]);
}

template <class T>
[[gnu::always_inline]] inline Wide<T> load_wide(const T* from) {
    return load_as<Wide<T>>(from);
}

// The first `count` numbers only; the other lanes hold `rest`.
template <class V>
inline V load_part(const typename V::value_type* from, Index count, typename V::value_type rest) {
    typename V::value_type lane[V::size];
    std::fill(lane, lane + V::size, rest);
    std::copy(from, from + count, lane);
    return load_as<V>(lane);
}
template <class T, int parts>
inline void store_part(T* to, Index count, const Several<T, parts>& value) {
    T lane[Several<T, parts>::size];
    store(lane, value);
    std::copy(lane, lane + count, to);
}

// The sum of all lanes, in a fixed tree.
template <class T>
inline T sum(const Wide<T>& value) {
    T lane[Wide<T>::size];
    store(lane, value);
    for (Index width = Wide<T>::size / 2; width > 0; width /= 2)
        for (Index i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}
// The largest lane.
template <class T>
inline T largest(const Wide<T>& value) {
    T lane[Wide<T>::size];
    store(lane, value);
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
template <class V>
[[gnu::always_inline]] inline V load_some_as(const typename V::value_type* from, Index count,
                                             typename V::value_type rest = 0) {
    return count == V::size ? load_as<V>(from) : load_part<V>(from, count, rest);
}
template <class T>
[[gnu::always_inline]] inline Wide<T> load_some(const T* from, Index count, T rest = T(0)) {
    return load_some_as<Wide<T>>(from, count, rest);
}
template <class T, int parts>
[[gnu::always_inline]] inline void store_some(T* to, Index count, const Several<T, parts>& value) {
    if (count == Several<T, parts>::size)
        store(to, value);
    else
        store_part(to, count, value);
}

}  // namespace genmod::simd
