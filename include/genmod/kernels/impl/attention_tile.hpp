// The pieces of tiled attention. Queries lie side by side in vectors, so that maxima and sums over keys go from
// register to register and each query's result is one chain over ascending keys, whatever the vector width.
#pragma once

#include <algorithm>
#include <limits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/vector_exp.hpp"
#include "genmod/kernels/impl/vector_math.hpp"
#include "genmod/kernels/impl/wide.hpp"

namespace genmod::kernels::detail {

inline constexpr Index key_block =
    64;  // keys between two visits of the running maximum: fixed, as results depend on it

// Width of a panel of queries.
template <class T>
inline constexpr Index query_tile = tile_cols<T>;
template <class T>
using PanelRow = simd::Several<T, 2>;  // a number of each query

// c [rows, columns] = a * b, continuing the sums in c when `go_on`; a(i, k) = a[i * a_row + k * a_k]. Whole vectors of
// b and c are read and written, at most query_tile - 1 numbers beyond the last column.
template <class T>
void multiply_small(const T* a, Index a_row, Index a_k, Index rows, const T* b, Index b_step, Index columns,
                    Index depth, T* c, Index c_step, bool go_on) {
    Index offset[tile_rows<T>];
    for (Index i = 0; i < tile_rows<T>; ++i) offset[i] = i * c_step;
    for (Index j = 0; j < columns; j += tile_cols<T>)
        for (Index i = 0; i < rows;) {
            const Index height = tile_height<T>(rows - i), tiles = equal_tiles<T>(rows - i);
            T* out = c + i * c_step + j;
            const TileSource<T> from{a + i * a_row, a_row, a_k, b + j, b_step, depth};
            const TileTarget<T> to{out, go_on ? out : nullptr, offset, offset, nullptr};
            const TileRun run{.tiles = tiles, .a = height * a_row, .c = height * c_step};
            if (columns - j <= simd::lanes<T>)
                multiply_rows<T, 1>(height, from, to, run);
            else
                multiply_rows<T, 2>(height, from, to, run);
            i += tiles * height;
        }
}

// to(j, i) = from(i, j) for rows x cols numbers.
template <class T>
void transpose_into(const T* from, Index from_step, Index rows, Index cols, T* to, Index to_step) {
    constexpr Index lanes = simd::lanes<T>;
    if (rows < lanes || cols < lanes) {
        for (Index i = 0; i < rows; ++i)
            for (Index j = 0; j < cols; ++j) to[j * to_step + i] = from[i * from_step + j];
        return;
    }
    for (Index row = 0; row < rows; row += lanes)
        for (Index col = 0; col < cols; col += lanes) {
            const Index i0 = std::min(row, rows - lanes), j0 = std::min(col, cols - lanes);  // the last ones overlap
            simd::Batch<T> block[lanes];
#pragma GCC unroll 16
            for (Index i = 0; i < lanes; ++i) block[i] = simd::load(from + (i0 + i) * from_step + j0);
            simd::transpose<T>(block);
#pragma GCC unroll 16
            for (Index j = 0; j < lanes; ++j) simd::store(to + (j0 + j) * to_step + i0, block[j]);
        }
}

// Copies `rows` tokens into rows without gaps.
template <class T>
void gather_rows(const T* from, Index step, Index rows, Index dim, T* to) {
    for (Index i = 0; i < rows; ++i) copy_run(from + i * step, dim, to + i * dim);
}

// Puts rows without gaps, times a factor, where they belong.
template <class T>
void scatter_rows(const T* from, Index rows, Index dim, T factor, T* to, Index step, Accumulate mode) {
    for (Index i = 0; i < rows; ++i)
        for (Index d = 0; d < dim; ++d) {
            const T value = from[i * dim + d] * factor;
            to[i * step + d] = mode == Accumulate::add ? to[i * step + d] + value : value;
        }
}

// Tokens as a panel [dim][query_tile], zero beyond the last one.
template <class T>
void pack_panel_of(const T* tokens, Index step, Index count, Index dim, T factor, T* panel) {
    constexpr Index width = query_tile<T>;
    if (count < width) std::fill(panel, panel + dim * width, T(0));
    transpose_into(tokens, step, count, dim, panel, width);
    if (factor == T(1)) return;
    const simd::Batch<T> times(factor);
    for (Index k = 0; k < dim * width; k += simd::lanes<T>) simd::store(panel + k, simd::load(panel + k) * times);
}

// What belongs to one attention head of one sample.
template <class T>
struct Head {
    Index sample = 0, head = 0;

    Head(const AttentionShape& shape, Index index) : sample(index / shape.heads), head(index % shape.heads) {}

    template <class Number>
    Number* at(const AttentionShape& shape, const Heads<Number>& operand, Index token) const {
        return operand.data + sample * operand.sample_step + token * operand.token_step + head * shape.dim;
    }
    // The first of the queries' log-sums.
    Index row(const AttentionShape& shape) const { return (sample * shape.heads + head) * shape.queries; }
};

// Keys that query q must not see get the score -infinity: in row r (key first_key + r) the columns below that key.
template <class T>
void mask_future(Index first_key, Index keys, Index first_query, T* scores) {
    constexpr Index width = query_tile<T>;
    for (Index r = std::max(Index{0}, first_query - first_key); r < keys; ++r) {
        const Index hidden = std::clamp(first_key + r - first_query, Index{0}, width);
        std::fill(scores + r * width, scores + r * width + hidden, -std::numeric_limits<T>::infinity());
    }
}

// The largest of `top` and the scores of some queries, in four chains: one would wait for each comparison.
template <class V, class T>
V largest_score(Index keys, const T* scores, const V& top) {
    constexpr Index width = query_tile<T>, chains = 4;
    V most[chains] = {top, top, top, top};
    Index r = 0;
    for (; r + chains <= keys; r += chains)
#pragma GCC unroll 4
        for (Index c = 0; c < chains; ++c) most[c] = simd::larger(simd::load_as<V>(scores + (r + c) * width), most[c]);
    for (; r < keys; ++r) most[0] = simd::larger(simd::load_as<V>(scores + r * width), most[0]);
    return simd::larger(simd::larger(most[1], most[0]), simd::larger(most[3], most[2]));
}

// What a panel of queries has come to: results [dim][query_tile], the largest scores and the sums of exponentials.
template <class T>
struct RunningSoftmax {
    T *result, *most, *sum;

    static Index size(Index dim) { return (dim + 2) * query_tile<T>; }
    RunningSoftmax(T* memory, Index dim)
        : result(memory), most(memory + dim * query_tile<T>), sum(most + query_tile<T>) {}
    void begin() const { std::fill(most, most + query_tile<T>, -std::numeric_limits<T>::infinity()); }
};

// Brings the state up to date: a new maximum, the sum of further shares, and what the earlier ones shrink by.
template <class V, class T>
void go_on_from(const RunningSoftmax<T>& state, const V& top, const V& total, bool first, const V& fade, Index dim) {
    constexpr Index width = query_tile<T>;
    simd::store(state.most, top);
    if (first) return simd::store(state.sum, total);
    simd::store(state.sum, simd::fma(simd::load_as<V>(state.sum), fade, total));
    T* const result = state.result;
    for (Index d = 0; d < dim; ++d) simd::store(result + d * width, simd::load_as<V>(result + d * width) * fade);
}

// Scores [keys][query_tile] become e^(score - most), with the state brought up to date, for the queries that V holds.
template <class V, class T>
void soften_columns(Index keys, Index dim, bool first, T* scores, const RunningSoftmax<T>& state) {
    constexpr Index width = query_tile<T>;
    const V before = simd::load_as<V>(state.most), top = largest_score<V>(keys, scores, before);
    V total(T(0));
    for (Index r = 0; r < keys; ++r) {
        const V power = simd::exp_share(simd::load_as<V>(scores + r * width) - top);
        simd::store(scores + r * width, power);
        total = total + power;
    }
    go_on_from(state, top, total, first, simd::exp_share(before - top), dim);
}

// The same for the panel's first `columns` queries.
template <class T>
void soften(Index keys, Index dim, bool first, Index columns, T* scores, const RunningSoftmax<T>& state) {
    if (columns <= simd::lanes<T>)
        soften_columns<simd::Batch<T>>(keys, dim, first, scores, state);
    else
        soften_columns<PanelRow<T>>(keys, dim, first, scores, state);
}

// Divides by the sum and writes y and the log-sums of a panel, whose scores are in units of `unit`; `rows` has room for
// [count][dim].
template <class T>
void finish_panel(Index dim, Index count, const RunningSoftmax<T>& panel, T unit, T* rows, T* y, Index y_step,
                  T* log_sums) {
    constexpr Index width = query_tile<T>;
    for (Index j = 0; j < count; j += simd::lanes<T>) {
        const simd::Batch<T> sum = simd::load(panel.sum + j);
        const simd::Batch<T> share = simd::divide<T>(simd::Batch<T>(T(1)), sum);
        for (Index d = 0; d < dim; ++d)
            simd::store(panel.result + d * width + j, simd::load(panel.result + d * width + j) * share);
        simd::store(panel.most + j, simd::fma(simd::load(panel.most + j), simd::Batch<T>(unit), simd::log<T>(sum)));
    }
    transpose_into(panel.result, width, dim, count, rows, dim);
    scatter_rows(rows, count, dim, T(1), y, y_step, Accumulate::write);
    if (log_sums != nullptr) std::copy(panel.most, panel.most + count, log_sums);
}

}  // namespace genmod::kernels::detail
