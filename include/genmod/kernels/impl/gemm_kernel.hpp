// The register tile of the matrix product. Every output is one chain of fused multiply-adds over ascending k, which
// blocks of k interrupt and resume, so that no result depends on a tile's size, on lanes or on threads.
#pragma once

#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

// A register tile: 14 x 2 vectors where there are 32 wide registers, 6 x 2 elsewhere.
template <class T>
inline constexpr Index tile_rows = sizeof(simd::Batch<T>) == 64 ? 14 : 6;
template <class T>
inline constexpr Index tile_cols = 2 * simd::lanes<T>;

// Steps of k between visits of c.
inline constexpr Index k_block = sizeof(simd::Batch<float>) == 64 ? 512 : 384;

// The next tile's rows when `rows` are left.
template <class T>
inline Index tile_height(Index rows) {
    if (rows >= tile_rows<T>) return tile_rows<T>;
    if (tile_rows < T >> 8 && rows >= 8) return 8;
    return rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
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

// Steps through a tile's operands: a at a_row, a_k; b (vectors side by side) at b_k.
template <class T>
struct TileSource {
    const T* a = nullptr;
    Index a_row = 0, a_k = 0;
    const T* b = nullptr;
    Index b_k = 0;
    Index depth = 0;
};

// What a step of k does to a tile's vectors of sums.
template <class T>
struct FusedStep {
    static simd::Batch<T> add(const simd::Batch<T>& a, const simd::Batch<T>& b, const simd::Batch<T>& sum) {
        return simd::fma(a, b, sum);
    }
};

template <class T, int Rows, int Vectors>
[[gnu::always_inline]] inline void finish_tile(simd::Batch<T> (&sum)[Rows][Vectors], const TileTarget<T>& to) {
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
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) simd::store(to.c + to.row_offset[i] + j * lanes, sum[i][j]);
}

// A step through memory that is known when compiled.
template <Index step>
using Fixed = std::integral_constant<Index, step>;

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
        }
    };
    const auto advance = [&](int steps) __attribute__((always_inline)) {
        b += steps * b_step;
#pragma GCC unroll 16
        for (int g = 0; g < groups; ++g) a[g] += steps * a_step;
    };
    Index k = from.depth;
    if constexpr (Unrolled > 1)
        for (; k >= Unrolled; k -= Unrolled) {
#pragma GCC unroll 16
            for (int ahead = 0; ahead < Unrolled; ++ahead) add(ahead);
            advance(Unrolled);
        }
    for (; k > 0; --k) {
        add(0);
        advance(1);
    }
}

// Tiles below one another that one call works on, and how far it is from one to the next.
struct TileRun {
    Index tiles = 1;
    Index a = 0, c = 0;       // in memory
    Index offsets = 0;        // in the tables of rows
    bool fetch_next = false;  // ask for the panel behind b meanwhile, which will be next
};

// Rows x Vectors * lanes outputs.
template <class T, int Rows, int Vectors, class Step>
[[gnu::always_inline]] inline void multiply_tile(const TileSource<T>& from, const TileTarget<T>& to) {
    using Batch = simd::Batch<T>;
    constexpr Index lanes = simd::lanes<T>;
    Batch sum[Rows][Vectors];
    if (to.start == nullptr) {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) sum[i][j] = Batch(T(0));
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
            for (int j = 0; j < Vectors; ++j) sum[i][j] = simd::load(to.start + to.start_offset[i] + j * lanes);
    }
    constexpr Fixed<tile_cols<T>> in_panel;
    constexpr bool wide =
        sizeof(Batch) == 64;  // a step is 28 multiply-adds: longer loops leave the cache of operations
    if (from.b_k == in_panel && from.a_k == Rows && from.a_row == 1)  // both are packed
        add_steps<T, Rows, Vectors, Step, wide ? 2 : 4>(from, Fixed<1>{}, Fixed<Rows>{}, in_panel, sum);
    else if (from.b_k == in_panel && from.a_k == 1)  // rows of a where they lie
        // Two at a time: with four a quiet core is slower (0.87 against 0.95 of the peak).
        add_steps<T, Rows, Vectors, Step, 2>(from, from.a_row, Fixed<1>{}, in_panel, sum);
    else if (from.b_k == in_panel && from.a_row == 1)  // columns of a where they lie
        add_steps<T, Rows, Vectors, Step, wide ? 1 : 2>(from, Fixed<1>{}, from.a_k, in_panel, sum);
    else
        add_steps<T, Rows, Vectors, Step, 1>(from, from.a_row, from.a_k, from.b_k, sum);
    finish_tile<T, Rows, Vectors>(sum, to);
}

template <class T, int Rows, int Vectors, class Step>
void multiply_tiles(TileSource<T> from, TileTarget<T> to, const TileRun& run) {
    const char* next = reinterpret_cast<const char*>(from.b + from.depth * from.b_k);
    const Index lines =
        run.fetch_next ? from.depth * static_cast<Index>(sizeof(simd::Batch<T>)) * Vectors / 64 / run.tiles : 0;
    for (Index tile = 0; tile < run.tiles; ++tile) {
        for (Index line = 0; line < lines; ++line, next += 64) __builtin_prefetch(next, 0, 2);
        multiply_tile<T, Rows, Vectors, Step>(from, to);
        if (from.depth > 0) from.a += run.a;  // else there may be no a
        to.c += run.c;
        to.row_offset += run.offsets;
        if (to.start != nullptr) {
            to.start += run.c;
            to.start_offset += run.offsets;
        }
    }
}

template <class T, int Vectors, class Step = FusedStep<T>>
inline void multiply_rows(Index rows, const TileSource<T>& from, const TileTarget<T>& to, const TileRun& run = {}) {
    switch (rows) {
        case 1: return multiply_tiles<T, 1, Vectors, Step>(from, to, run);
        case 2: return multiply_tiles<T, 2, Vectors, Step>(from, to, run);
        case 4: return multiply_tiles<T, 4, Vectors, Step>(from, to, run);
        default: break;
    }
    if constexpr (tile_rows < T >> 8)
        if (rows == 8) return multiply_tiles<T, 8, Vectors, Step>(from, to, run);
    multiply_tiles<T, static_cast<int>(tile_rows<T>), Vectors, Step>(from, to, run);
}

// An output from its sum: column `column` of the epilogue, `at` behind c and residual.
template <class T>
inline void finish_number(const Epilogue<T>& finish, T sum, Index column, Index at, T* c) {
    T value = sum * finish.scale;
    if (finish.bias != nullptr) value += finish.bias[column];
    if (finish.residual != nullptr) value += finish.residual[at];
    c[at] = finish.mode == Accumulate::add ? value + c[at] : value;
}

// A tile with fewer columns than its vectors hold: by way of a buffer, with the same operations in the same order.
template <class T, class Step>
void multiply_edge(Index rows, Index cols, const TileSource<T>& from, const TileTarget<T>& to) {
    constexpr Index step = tile_cols<T>;
    T buffer[tile_rows<T> * tile_cols<T>];
    Index offset[tile_rows<T>];
    for (Index i = 0; i < rows; ++i) offset[i] = i * step;
    if (to.start != nullptr)
        for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < cols; ++j) buffer[i * step + j] = to.start[to.start_offset[i] + j];
            for (Index j = cols; j < step; ++j) buffer[i * step + j] = T(0);
        }
    const TileTarget<T> inner{buffer, to.start == nullptr ? nullptr : buffer, offset, offset, nullptr};
    if (cols <= simd::lanes<T>)
        multiply_rows<T, 1, Step>(rows, from, inner);
    else
        multiply_rows<T, 2, Step>(rows, from, inner);
    const Epilogue<T> plain;
    const Epilogue<T>& finish = to.finish == nullptr ? plain : *to.finish;
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) finish_number(finish, buffer[i * step + j], j, to.row_offset[i] + j, to.c);
}

// Rows of a as a block sees them: packed (tiles one after another, each [depth][height]) or where they are.
template <class T>
struct BlockRows {
    const T* data = nullptr;
    bool packed = false;
    Index row_step = 0, k_step = 0;
};

// All row tiles of a block times one panel of b with `cols` columns that count.
template <class T, class Step = FusedStep<T>>
void multiply_panel(const BlockRows<T>& a, Index rows, Index cols, TileSource<T> from, TileTarget<T> to,
                    bool fetch_next = false) {
    for (Index i = 0; i < rows;) {
        const Index height = tile_height<T>(rows - i);
        from.a = a.data + i * (a.packed ? from.depth : a.row_step);
        from.a_row = a.packed ? 1 : a.row_step;
        from.a_k = a.packed ? height : a.k_step;
        const bool edge = cols != tile_cols<T> && cols != simd::lanes<T>;
        const TileRun run{.tiles = edge ? 1 : (rows - i) / height,
                          .a = height * (a.packed ? from.depth : a.row_step),
                          .offsets = height,
                          .fetch_next = fetch_next};
        if (edge)
            multiply_edge<T, Step>(height, cols, from, to);
        else if (cols == tile_cols<T>)
            multiply_rows<T, 2, Step>(height, from, to, run);
        else
            multiply_rows<T, 1, Step>(height, from, to, run);
        const Index done = run.tiles * height;
        i += done;
        to.row_offset += done;
        if (to.start_offset != nullptr) to.start_offset += done;
    }
}

}  // namespace genmod::kernels::detail
