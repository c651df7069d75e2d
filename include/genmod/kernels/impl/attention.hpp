// Tiled attention forward: blocks of keys pass by panels of queries.
#pragma once

#include <algorithm>
#include <concepts>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/attention_backward.hpp"
#include "genmod/kernels/impl/attention_bf16.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"

namespace genmod::kernels::detail {

// Queries that share the passage of the keys: as many as stay in the cache with their results, in parts enough for even
// loads. Decides no bits.
inline Index query_block(const AttentionShape& shape) {
    constexpr Index least = 256, most = 2048, cached = 81920;
    const Index parts = Index{8} * thread_count();
    const Index fitting = std::clamp(cached / std::max(Index{1}, shape.dim) / least * least, least, most);
    const Index even = shape.queries * shape.heads * shape.n / parts / least * least;
    return std::clamp(even, least, fitting);
}

// One panel of queries, and how far it is.
template <class T>
struct QueryPanel : RunningSoftmax<T> {
    T* query;

    static Index size(Index dim) { return dim * query_tile<T> + RunningSoftmax<T>::size(dim); }
    QueryPanel(T* memory, Index dim) : RunningSoftmax<T>(memory + dim * query_tile<T>, dim), query(memory) {}
};

// One block of keys and values [keys][dim] passes by a panel of queries.
template <class T>
void attend_block(const AttentionShape& shape, const T* k, const T* v, Index first_key, Index keys, Index first_query,
                  Index columns, const QueryPanel<T>& panel, T* scores) {
    constexpr Index width = query_tile<T>;
    const Index dim = shape.dim;
    multiply_small(k, dim, Index{1}, keys, panel.query, width, columns, dim, scores, width, false);
    if (shape.causal) mask_future(first_key, keys, first_query, scores);
    soften(keys, dim, first_key == 0, columns, scores, panel);
    multiply_small(v, Index{1}, dim, dim, scores, width, columns, keys, panel.result, width, first_key > 0);
}

// Asks for the rows first..last-1 of a block that will be next.
template <class T>
void fetch_rows(const T* from, Index step, Index first, Index last, Index dim) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    for (Index row = first; row < last; ++row)
        for (Index d = 0; d < dim; d += line) __builtin_prefetch(from + row * step + d, 0, 2);
}

// One block of queries of one head.
template <class T>
void attend(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
            const Heads<const T>& v, const Heads<T>& y, T* log_sums, const Head<T>& head, Index first, Index last) {
    constexpr Index width = query_tile<T>;
    const Index dim = shape.dim;
    const Index panels = (last - first + width - 1) / width, panel_size = QueryPanel<T>::size(dim);
    const Scratch<T> memory(panels * panel_size + 2 * key_block * dim + std::max(key_block, dim) * width);
    T* keys = memory.data() + panels * panel_size;
    T* values = keys + key_block * dim;
    T* scores = values + key_block * dim;
    const auto each_panel = [&](auto body) {
        for (Index p = 0; p < panels; ++p) {
            const Index query = first + p * width;
            body(QueryPanel<T>(memory.data() + p * panel_size, dim), query, std::min(width, last - query));
        }
    };
    each_panel([&](const QueryPanel<T>& panel, Index query, Index count) {
        pack_panel_of(head.at(shape, q, query), q.token_step, count, dim, scale, panel.query);
        panel.begin();
    });
    const Index seen = shape.causal ? std::min(shape.keys, last) : shape.keys;
    const bool far = seen * dim * static_cast<Index>(sizeof(T)) > 1 << 18;  // than the second-level cache
    for (Index key = 0; key < seen; key += key_block) {
        const Index count = std::min(key_block, shape.keys - key);
        gather_rows(head.at(shape, k, key), k.token_step, count, dim, keys);
        gather_rows(head.at(shape, v, key), v.token_step, count, dim, values);
        const Index following = far ? std::clamp<Index>(seen - key - key_block, 0, key_block) : 0;
        each_panel([&](const QueryPanel<T>& panel, Index query, Index columns) {
            const Index p = (query - first) / width, begin = following * p / panels, end = following * (p + 1) / panels;
            fetch_rows(head.at(shape, k, key + key_block), k.token_step, begin, end, dim);
            fetch_rows(head.at(shape, v, key + key_block), v.token_step, begin, end, dim);
            if (!shape.causal || key < query + columns)
                attend_block(shape, keys, values, key, count, query, columns, panel, scores);
        });
    }
    each_panel([&](const QueryPanel<T>& panel, Index query, Index count) {
        T* sums = log_sums == nullptr ? nullptr : log_sums + head.row(shape) + query;
        finish_panel(dim, count, panel, scores, head.at(shape, y, query), y.token_step, sums);
    });
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void attention(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
               const Heads<const T>& v, const Heads<T>& y, T* log_sums) {
    const Index block = detail::query_block(shape), blocks = (shape.queries + block - 1) / block;
    const Index work = std::min(shape.queries, block) * shape.keys * shape.dim;
    const Index grain = std::max(Index{1}, (Index{1} << 18) / std::max(Index{1}, work));
    parallel_ranges(shape.n * shape.heads * blocks, grain, [&](Index begin, Index end) {
        for (Index part = begin; part < end; ++part) {
            const Index first = part % blocks * block, last = std::min(shape.queries, first + block);
            const detail::Head<T> head(shape, part / blocks);
            if constexpr (std::same_as<T, float>)
                if (shape.tiles) {
                    detail::attend_tiles(shape, scale, q, k, v, y, log_sums, head, first, last);
                    continue;
                }
            detail::attend(shape, scale, q, k, v, y, log_sums, head, first, last);
        }
    });
}

}  // namespace genmod::kernels
