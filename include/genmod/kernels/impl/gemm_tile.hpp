// The register tile of the matrix product. Every output is one chain of fused multiply-adds over ascending k, which
// blocks of k interrupt and resume, so that no result depends on a tile's size, on lanes or on threads.
#pragma once

#include <cstdint>
#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// A register tile: 14 x 2 vectors where there are 32 wide registers, 6 x 2 elsewhere.
template <class T>
inline constexpr Index tile_rows = sizeof(simd::Batch<T>) == 64 ? 14 : 6;
template <class T>
inline constexpr Index tile_cols = 2 * simd::lanes<T>;
// Steps of k that a tile of packed operands takes at a time: a step of the high one is 28 multiply-adds, and longer
// loops leave the cache of operations.
template <class T>
inline constexpr int packed_steps = tile_rows<T> == 14 ? 2 : 4;

// Steps of k between visits of c.
inline constexpr Index k_block = sizeof(simd::Batch<float>) == 64 ? 512 : 384;

// Bit n: whether n rows, up to 63, are tiles of 14, 13, 11 and 8 rows.
inline constexpr std::uint64_t high_tiles = [] {
    std::uint64_t sums = 1;
    for (int rows = 8; rows < 64; ++rows)
        for (const int height : {8, 11, 13, 14})
            if (rows >= height && (sums >> (rows - height) & 1) != 0) sums |= std::uint64_t{1} << rows;
    return sums;
}();

// The next tile's height when `rows` are left. Where there are registers for high tiles, it is the highest that leaves
// a number of rows for such ones: low tiles wait for their sums.
template <class T>
inline Index tile_height(Index rows) {
    constexpr Index most = tile_rows<T>;
    if (most == 14 && rows >= 64) return most;
    if constexpr (most == 14)
        for (const Index height : {14, 13, 11, 8})
            if (rows >= height && (high_tiles >> (rows - height) & 1) != 0) return height;
    if (rows >= most) return most;
    if (most > 8 && rows >= 8) return 8;
    return rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

// How many tiles of that height follow one another.
template <class T>
inline Index equal_tiles(Index rows) {
    const Index height = tile_height<T>(rows);
    Index tiles = 1;
    while (rows - tiles * height >= height && tile_height<T>(rows - tiles * height) == height) ++tiles;
    return tiles;
}

// Where a tile's sums come from and go to: row i lies row_offset[i] behind the pointers.
template <class T>
struct TileTarget {
    T* c = nullptr;
    const T* start = nullptr;             // sums of the earlier blocks of k; null: zero
    const Index* row_offset = nullptr;    // of c and residual
    const Index* start_offset = nullptr;  // of start
    const Epilogue<T>* finish = nullptr;  // null: the plain sum is stored
};

template <class T>
inline constexpr Index line_of = 64 / static_cast<Index>(sizeof(T));  // numbers of a line of the cache

// Steps through a tile's operands: a at a_row, a_k; b (vectors side by side) at b_k.
template <class T>
struct TileSource {
    const T* a = nullptr;
    Index a_row = 0, a_k = 0;
    const T* b = nullptr;
    Index b_k = 0;
    Index depth = 0;
    const T* next = nullptr;               // the panel that will be needed
    Index next_row = tile_cols<T>;         // from one of its rows to the next
    Index asked_size = 0, asked_step = 0;  // what each few steps ask for of it
};

// What a step of k does to a tile's vectors of sums.
template <class T>
struct FusedStep {
    static simd::Batch<T> add(const simd::Batch<T>& a, const simd::Batch<T>& b, const simd::Batch<T>& sum) {
        return simd::fma(a, b, sum);
    }
};

template <class T, int Rows, int Vectors>
[[gnu::always_inline]] inline void start_tile(simd::Batch<T> (&sum)[Rows][Vectors], const TileTarget<T>& to) {
    if (to.start == nullptr) {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) sum[i][j] = simd::Batch<T>(T(0));
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j)
                sum[i][j] = simd::load(to.start + to.start_offset[i] + j * simd::lanes<T>);
    }
}

// What the epilogue makes of the sums, but for its activation.
template <class T, int Rows, int Vectors>
[[gnu::always_inline]] inline void apply_epilogue(simd::Batch<T> (&sum)[Rows][Vectors], const TileTarget<T>& to) {
    constexpr Index lanes = simd::lanes<T>;
    if (to.finish != nullptr) {
        const Epilogue<T>& finish = *to.finish;
        if (finish.scale != T(1)) {
            const simd::Batch<T> scale(finish.scale);
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
                for (int j = 0; j < Vectors; ++j) sum[i][j] = sum[i][j] * scale;
        }
        if (finish.bias != nullptr)
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) {
                const simd::Batch<T> bias = simd::load(finish.bias + j * lanes);
#pragma GCC unroll 16
                for (int i = 0; i < Rows; ++i) sum[i][j] = sum[i][j] + bias;
            }
        if (finish.residual != nullptr)
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
                for (int j = 0; j < Vectors; ++j)
                    sum[i][j] = sum[i][j] + simd::load(finish.residual + to.row_offset[i] + j * lanes);
        if (finish.mode == Accumulate::add)
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
                for (int j = 0; j < Vectors; ++j)
                    sum[i][j] = sum[i][j] + simd::load(to.c + to.row_offset[i] + j * lanes);
    }
}

template <class T, int Rows, int Vectors>
[[gnu::always_inline]] inline void finish_tile(simd::Batch<T> (&sum)[Rows][Vectors], const TileTarget<T>& to) {
    constexpr Index lanes = simd::lanes<T>;
    apply_epilogue<T, Rows, Vectors>(sum, to);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) simd::store(to.c + to.row_offset[i] + j * lanes, sum[i][j]);
}

// A step through memory that is known when compiled.
template <Index step>
using Fixed = std::integral_constant<Index, step>;

// Rows of b that lie anywhere are asked for that many steps before: no hardware foresees them when they are pages apart
// (two threads, 20 x 1280 x 1280: 436 us without, 289 with; 8 x 4096 x 4096: 6.9 and 4.0 ms).
inline constexpr Index rows_ahead = 12;

// Adds all steps of k, `Unrolled` at a time: with fixed steps those need no address arithmetic, of which a core that
// serves two threads has little to spare (Zen 3, busy neighbour: 0.70 to 0.87 of the peak, packed). Rows of a are
// reached from every third one where their distance is not fixed, which leaves registers for all of them.
template <class T, int Rows, int Vectors, class Step, int Unrolled, class ARow, class AStep, class BStep>
[[gnu::always_inline]] inline void add_steps(const TileSource<T>& from, ARow a_row, AStep a_k, BStep b_k,
                                             simd::Batch<T> (&sum)[Rows][Vectors]) {
    using Batch = simd::Batch<T>;
    const Index row_step = a_row, a_step = a_k, b_step = b_k;
    constexpr int group = std::is_same_v<ARow, Index> ? 3 : Rows;
    constexpr int groups = (Rows + group - 1) / group;
    const T* a[groups];
#pragma GCC unroll 16
    for (int g = 0; g < groups; ++g) a[g] = from.depth > 0 ? from.a + group * g * row_step : nullptr;
    const T* b = from.b;
    const auto add = [&](int ahead) __attribute__((always_inline)) {
        Batch column[Vectors];
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j)
            column[j] = simd::in_register<T>(simd::load(b + ahead * b_step + j * simd::lanes<T>));
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const Batch value(a[i / group][i % group * row_step + ahead * a_step]);
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) sum[i][j] = Step::add(value, column[j], sum[i][j]);
            simd::keep<T>(value);
        }
    };
    const auto advance = [&](int steps) __attribute__((always_inline)) {
        b += steps * b_step;
#pragma GCC unroll 16
        for (int g = 0; g < groups; ++g) a[g] += steps * a_step;
    };
    Index k = from.depth;
    const T* next = from.next;
    if constexpr (Unrolled > 1)
        for (; k >= Unrolled; k -= Unrolled) {
            for (Index line = 0; line < from.asked_size; line += line_of<T>) __builtin_prefetch(next + line, 0, 2);
            next += from.asked_step;
#pragma GCC unroll 16
            for (int ahead = 0; ahead < Unrolled; ++ahead) add(ahead);
            advance(Unrolled);
        }
    if constexpr (std::is_same_v<BStep, Index> && Rows >= 8)
        for (; k > rows_ahead; --k) {
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) __builtin_prefetch(b + rows_ahead * b_step + j * simd::lanes<T>);
            add(0);
            advance(1);
        }
    for (; k > 0; --k) {
        add(0);
        advance(1);
    }
}

// Rows x Vectors * lanes outputs.
template <class T, int Rows, int Vectors, class Step>
[[gnu::always_inline]] inline void multiply_tile(const TileSource<T>& from, const TileTarget<T>& to) {
    using Batch = simd::Batch<T>;
    Batch sum[Rows][Vectors];
    start_tile<T, Rows, Vectors>(sum, to);
    constexpr Fixed<tile_cols<T>> in_panel;
    if (from.b_k == in_panel && from.a_k == Rows && from.a_row == 1)  // both are packed
        add_steps<T, Rows, Vectors, Step, packed_steps<T>>(from, Fixed<1>{}, Fixed<Rows>{}, in_panel, sum);
    else if (from.b_k == in_panel && from.a_k == 1)  // rows of a where they lie
        // Two at a time: with four a quiet core is slower (0.87 against 0.95 of the peak).
        add_steps<T, Rows, Vectors, Step, 2>(from, from.a_row, Fixed<1>{}, in_panel, sum);
    else if (from.b_k == in_panel && from.a_row == 1)  // columns of a where they lie
        add_steps<T, Rows, Vectors, Step, packed_steps<T> / 2>(from, Fixed<1>{}, from.a_k, in_panel, sum);
    else
        add_steps<T, Rows, Vectors, Step, 1>(from, from.a_row, from.a_k, from.b_k, sum);
    finish_tile<T, Rows, Vectors>(sum, to);
}

}  // namespace genmod::kernels::detail
