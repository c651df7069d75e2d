// The matrix product as its blocks see it: operands, where c lies, and a part of it.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index m_block = 168;     // rows of a packed block: a multiple of 14 and of 6
inline constexpr Index wide_rows = 336;   // of one where b is large
inline constexpr Index most_rows = 1024;  // of any
// Of one that is written once, far away: with 512-bit vectors fewer rows are 6 % sooner (4096 x 1280 x 320).
inline constexpr Index far_rows = sizeof(simd::Batch<float>) == 64 ? 112 : m_block;
// Of one where b is small: processors with 512-bit vectors have 1 to 2 MB of second-level cache.
inline constexpr Index near_rows = sizeof(simd::Batch<float>) == 64 ? wide_rows : m_block;

// Where row m = (sample, y, x) of c lies.
struct OutputRows {
    Index height = 1, width = 1;
    Index sample_step = 0, y_step = 0, x_step = 0;

    Index offset(Index row) const {
        if (height == 1 && width == 1) return row * sample_step;
        return row / (height * width) * sample_step + row / width % height * y_step + row % width * x_step;
    }
    // The same for `count` rows from `first` on.
    void offsets(Index first, Index count, Index* to) const {
        Index x = first % width, at = offset(first);
        for (Index k = 0; k < count; ++k) {
            to[k] = at;
            x = x + 1 == width ? 0 : x + 1;
            at = x == 0 ? offset(first + k + 1) : at + x_step;
        }
    }
    bool even(Index step) const { return height == 1 && width == 1 && sample_step == step; }
};

inline OutputRows even_rows(Index step) { return {.sample_step = step}; }

// c [m, n] = a * b with sums over k.
template <class T>
struct Product {
    Operand<T> a, b;
    Index m = 0, n = 0, k = 0;
    T* c = nullptr;
    bf16* rounded = nullptr;  // instead of c: results are stored in bf16 (panels for AMX's order alone)
    OutputRows rows;
    Epilogue<T> epilogue;

    void write(T* to) { c = to; }
    void write(bf16* to) { rounded = to; }
    bool plain_epilogue() const {
        return epilogue.bias == nullptr && epilogue.residual == nullptr && epilogue.scale == T(1) &&
               epilogue.mode == Accumulate::write;
    }
    // Whether c is larger than the second-level cache, or nearly.
    bool far_c() const { return m * n * static_cast<Index>(sizeof(T)) > 1 << 20; }
    // Whether c cannot hold unfinished sums.
    bool needs_sums() const { return epilogue.mode == Accumulate::add || epilogue.residual == c; }
};

// The whole of b in panels of tile_cols columns: [k][tile_cols] numbers, or pairs [in_pairs(k) / 2][tile_cols][2], or
// pairs for AMX's order [in_tiles(k) / 2][tile_cols][2]. None: panels are packed as they are needed.
template <class T>
struct Panels {
    const T* full = nullptr;
    const bf16* half = nullptr;
    const bf16* tiles = nullptr;

    bool given() const { return full != nullptr || half != nullptr || tiles != nullptr; }
};

// A part of c, and of k.
struct BlockRange {
    Index m = 0, rows = 0;  // at most most_rows
    Index n = 0, cols = 0;
    Index k = 0, depth = 0;
};

}  // namespace genmod::kernels::detail
