// Tiled attention backward. With scores s = k (scale q), shares p = e^(s - log sum) and delta = sum dy y:
// dv = p dy, dp = v dy, ds = p (dp - delta), dq = scale ds k, dk = ds (scale q).
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"

namespace genmod::kernels::detail {

// Keys of one head that one tile takes. Each tile has the whole gradient of its keys and values, and a part of the
// queries', which is added up in the order of the keys afterwards.
inline constexpr Index key_chunk = 1024;

// Panels of all queries of one head: scale * q, dy and the growing dq [panels][dim][query_tile] each, and the
// log-sums and deltas [panels][query_tile].
template <class T>
struct QueryPanels {
    T *query, *slope, *gradient, *log_sum, *delta;

    static Index panels(const AttentionShape& shape) { return (shape.queries + query_tile<T> - 1) / query_tile<T>; }
    static Index size(const AttentionShape& shape) { return panels(shape) * query_tile<T> * (3 * shape.dim + 2); }
    QueryPanels(const AttentionShape& shape, T* memory) {
        const Index one = panels(shape) * query_tile<T>;
        query = memory;
        slope = query + one * shape.dim;
        gradient = slope + one * shape.dim;
        log_sum = gradient + one * shape.dim;
        delta = log_sum + one;
    }
};

// Buffers of one block of keys: k, v and rows for output [key_block][dim]; dk, dv [dim][key_block]; p and ds with
// queries side by side [key_block][query_tile] and with keys side by side [query_tile][key_block].
template <class T>
struct KeyBuffers {
    T *key, *value, *rows, *key_gradient, *value_gradient, *share, *change, *share_turned, *change_turned;

    static Index size(Index dim) { return 5 * key_block * dim + 4 * key_block * query_tile<T>; }
    KeyBuffers(T* memory, Index dim) {
        T** const large[] = {&key, &value, &rows, &key_gradient, &value_gradient};
        for (T** part : large) *part = memory, memory += key_block * dim;
        T** const small_ones[] = {&share, &change, &share_turned, &change_turned};
        for (T** part : small_ones) *part = memory, memory += key_block * query_tile<T>;
    }
};

// delta = sum over dim of dy * y, for a panel of queries.
template <class T>
void panel_delta(Index dim, const T* slope, const T* result, T* delta) {
    constexpr Index width = query_tile<T>;
    for (Index j = 0; j < width; j += simd::lanes<T>) {
        simd::Batch<T> sum(T(0));
        for (Index d = 0; d < dim; ++d)
            sum = simd::fma<T>(simd::load(slope + d * width + j), simd::load(result + d * width + j), sum);
        simd::store(delta + j, sum);
    }
}

template <class T>
void pack_queries(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& y,
                  const T* log_sums, const Heads<const T>& dy, const Head<T>& head, const QueryPanels<T>& panels) {
    constexpr Index width = query_tile<T>;
    for (Index first = 0; first < shape.queries; first += width) {
        const Index count = std::min(width, shape.queries - first), at = first * shape.dim;
        // The place of dq serves y first.
        pack_panel_of(head.at(shape, y, first), y.token_step, count, shape.dim, T(1), panels.gradient + at);
        pack_panel_of(head.at(shape, dy, first), dy.token_step, count, shape.dim, T(1), panels.slope + at);
        pack_panel_of(head.at(shape, q, first), q.token_step, count, shape.dim, scale, panels.query + at);
        panel_delta(shape.dim, panels.slope + at, panels.gradient + at, panels.delta + first);
        std::fill(panels.log_sum + first, panels.log_sum + first + width, T(0));
        std::copy(log_sums + head.row(shape) + first, log_sums + head.row(shape) + first + count,
                  panels.log_sum + first);
    }
    std::fill(panels.gradient, panels.log_sum, T(0));
}

// Scores to shares, and slopes of shares to slopes of scores.
template <class T>
void scores_backward(Index keys, const T* log_sum, const T* delta, T* share, T* change) {
    using Panel = PanelRow<T>;
    const Panel sums = simd::load_as<Panel>(log_sum), deltas = simd::load_as<Panel>(delta);
    for (Index k = 0; k < keys * query_tile<T>; k += query_tile<T>) {
        const Panel p = simd::exp_share(simd::load_as<Panel>(share + k) - sums);
        simd::store(share + k, p);
        simd::store(change + k, p * (simd::load_as<Panel>(change + k) - deltas));
    }
}

// One block of keys meets one panel of queries.
template <class T>
void meet_backward(const AttentionShape& shape, Index first_key, Index keys, Index first_query,
                   const QueryPanels<T>& panels, const KeyBuffers<T>& b) {
    constexpr Index width = query_tile<T>;
    const Index dim = shape.dim, count = std::min(width, shape.queries - first_query), at = first_query * dim;
    const T* query = panels.query + at;
    const T* slope = panels.slope + at;
    multiply_small(b.key, dim, Index{1}, keys, query, width, width, dim, b.share, width, false);
    if (shape.causal) mask_future(first_key, keys, first_query, b.share);
    multiply_small(b.value, dim, Index{1}, keys, slope, width, width, dim, b.change, width, false);
    scores_backward(keys, panels.log_sum + first_query, panels.delta + first_query, b.share, b.change);
    transpose_into(b.share, width, keys, count, b.share_turned, key_block);
    transpose_into(b.change, width, keys, count, b.change_turned, key_block);
    multiply_small(slope, width, Index{1}, dim, b.share_turned, key_block, keys, count, b.value_gradient, key_block,
                   true);
    multiply_small(query, width, Index{1}, dim, b.change_turned, key_block, keys, count, b.key_gradient, key_block,
                   true);
    multiply_small(b.key, Index{1}, dim, dim, b.change, width, width, keys, panels.gradient + at, width, true);
}

// The gradients that one chunk of keys of one head gives; that of the queries goes to `part` [queries][dim], unscaled.
template <class T>
void chunk_backward(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
                    const Heads<const T>& v, const Heads<const T>& y, const T* log_sums, const Heads<const T>& dy,
                    const AttentionGradients<T>& gradients, const Head<T>& head, Index first, T* part) {
    constexpr Index width = query_tile<T>;
    const Index dim = shape.dim;
    const Scratch<T> memory(QueryPanels<T>::size(shape) + KeyBuffers<T>::size(dim));
    const QueryPanels<T> panels(shape, memory.data());
    const KeyBuffers<T> b(memory.data() + QueryPanels<T>::size(shape), dim);
    pack_queries(shape, scale, q, y, log_sums, dy, head, panels);
    const auto put_rows = [&](const T* turned, Index keys, const Heads<T>& to, Index key, Accumulate mode) {
        if (to.data == nullptr) return;
        transpose_into(turned, key_block, dim, keys, b.rows, dim);
        scatter_rows(b.rows, keys, dim, T(1), head.at(shape, to, key), to.token_step, mode);
    };
    for (Index key = first; key < std::min(shape.keys, first + key_chunk); key += key_block) {
        const Index keys = std::min(key_block, shape.keys - key);
        gather_rows(head.at(shape, k, key), k.token_step, keys, dim, b.key);
        gather_rows(head.at(shape, v, key), v.token_step, keys, dim, b.value);
        std::fill(b.share_turned, b.share_turned + 2 * key_block * width, T(0));
        std::fill(b.key_gradient, b.key_gradient + 2 * key_block * dim, T(0));
        const Index start = shape.causal ? key / width * width : 0;
        for (Index query = start; query < shape.queries; query += width)
            meet_backward(shape, key, keys, query, panels, b);
        put_rows(b.key_gradient, keys, gradients.k, key, gradients.k_mode);
        put_rows(b.value_gradient, keys, gradients.v, key, gradients.v_mode);
    }
    for (Index query = 0; query < shape.queries; query += width)
        transpose_into(panels.gradient + query * dim, width, dim, std::min(width, shape.queries - query),
                       part + query * dim, dim);
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void attention_backward(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
                        const Heads<const T>& v, const Heads<const T>& y, const T* log_sums, const Heads<const T>& dy,
                        const AttentionGradients<T>& gradients) {
    const Index chunks = (shape.keys + detail::key_chunk - 1) / detail::key_chunk;
    const Index heads = shape.n * shape.heads, size = shape.queries * shape.dim;
    const Scratch<T> parts(heads * chunks * size);
    const Index work = shape.queries * std::min(shape.keys, detail::key_chunk) * shape.dim;
    const Index grain = std::max(Index{1}, (Index{1} << 17) / std::max(Index{1}, work));
    parallel_ranges(heads * chunks, grain, [&](Index begin, Index end) {
        for (Index tile = begin; tile < end; ++tile)
            detail::chunk_backward(shape, scale, q, k, v, y, log_sums, dy, gradients,
                                   detail::Head<T>(shape, tile / chunks), tile % chunks * detail::key_chunk,
                                   parts.data() + tile * size);
    });
    if (gradients.q.data == nullptr) return;
    parallel_ranges(heads, std::max(Index{1}, (Index{1} << 14) / std::max(Index{1}, size)),
                    [&](Index begin, Index end) {
                        for (Index index = begin; index < end; ++index) {
                            T* sum = parts.data() + index * chunks * size;
                            for (Index chunk = 1; chunk < chunks; ++chunk)
                                for (Index i = 0; i < size; ++i) sum[i] += sum[chunk * size + i];
                            const detail::Head<T> head(shape, index);
                            detail::scatter_rows(sum, shape.queries, shape.dim, scale, head.at(shape, gradients.q, 0),
                                                 gradients.q.token_step, gradients.q_mode);
                        }
                    });
}

}  // namespace genmod::kernels
