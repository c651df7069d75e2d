// The order of tiled attention, whatever its products are: blocks of keys and
// values pass by the panels of a block of queries.
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"
#include "genmod/kernels/impl/gemm_tile.hpp"

namespace genmod::kernels::detail {

// The operands of attention, all heads.
template <class T>
struct AttentionOperands {
    AttentionShape shape;
    T scale = 1;
    Heads<const T> q, k, v;
    Heads<T> y;
    T* log_sums = nullptr;  // may be null
};

// A block of queries of one head: in panels of query_tile.
template <class T>
struct QueryBlock {
    const AttentionOperands<T>& operands;
    Head<T> head;
    Index first, last;

    Index panels() const { return ceil_div(last - first, query_tile<T>); }
    // Keys that any of them sees.
    Index seen() const { return operands.shape.causal ? std::min(operands.shape.keys, last) : operands.shape.keys; }
    // Where tokens of this head lie.
    const T* query(Index token) const { return head.at(operands.shape, operands.q, token); }
    const T* key(Index token) const { return head.at(operands.shape, operands.k, token); }
    const T* value(Index token) const { return head.at(operands.shape, operands.v, token); }

    // f(panel, its first query, its queries)
    template <class F>
    void each_panel(F f) const {
        for (Index panel = 0; panel < panels(); ++panel) {
            const Index query = first + panel * query_tile<T>;
            f(panel, query, std::min(query_tile<T>, last - query));
        }
    }
};

// Asks for some rows that will be next.
template <class T>
void fetch_rows(const T* from, Index step, Index rows, Index dim) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    for (Index row = 0; row < rows; ++row)
        for (Index d = 0; d < dim; d += line) __builtin_prefetch(from + row * step + d, 0, 2);
}

// Attention of a block of queries. `Products` keeps the operands as its
// products take them:
//   pack_queries(panel, query, count)         the queries of a panel
//   pack_keys(key, count)                     a block of keys and values
//   score(panel, count, columns)              its scores [count][query_tile] in
//   scores()
//   soften(panel, count, columns, first)      the shares that those stand for,
//   unit()                                    which are powers of e^unit
//   add_values(panel, count, columns, first)  adds the values, times the
//   shares, to the panel's result
//   state(panel), scores()
template <class T, class Products>
void attend(const QueryBlock<T>& block, Products& products) {
    const AttentionOperands<T>& of = block.operands;
    const AttentionShape& shape = of.shape;
    T* const scores = products.scores();
    block.each_panel([&](Index panel, Index query, Index count) {
        products.pack_queries(panel, query, count);
        products.state(panel).begin();
    });
    const Index seen = block.seen(), panels = block.panels();
    const bool far = seen * shape.dim * static_cast<Index>(sizeof(T)) > 1 << 18;  // than the second-level cache
    for (Index key = 0; key < seen; key += key_block) {
        const Index count = std::min(key_block, shape.keys - key), next = key + key_block;
        const Index following = far ? std::clamp<Index>(seen - next, 0, key_block) : 0;
        products.pack_keys(key, count);
        block.each_panel([&](Index panel, Index query, Index columns) {
            const Index begin = following * panel / panels, rows = following * (panel + 1) / panels - begin;
            fetch_rows(block.key(next + begin), of.k.token_step, rows, shape.dim);
            fetch_rows(block.value(next + begin), of.v.token_step, rows, shape.dim);
            if (shape.causal && key >= query + columns) return;
            products.score(panel, count, columns);
            if (shape.causal) mask_future(key, count, query, scores);
            products.soften(panel, count, columns, key == 0);
            products.add_values(panel, count, columns, key == 0);
        });
    }
    block.each_panel([&](Index panel, Index query, Index count) {
        T* const sums = of.log_sums == nullptr ? nullptr : of.log_sums + block.head.row(shape) + query;
        finish_panel(shape.dim, count, products.state(panel), products.unit(), scores,
                     block.head.at(shape, of.y, query), of.y.token_step, sums);
    });
}

}  // namespace genmod::kernels::detail
