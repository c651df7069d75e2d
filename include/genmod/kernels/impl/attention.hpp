// Tiled attention, forward.
#pragma once

#include <algorithm>
#include <concepts>

#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/attention_backward.hpp"
#include "genmod/kernels/impl/attention_bf16.hpp"
#include "genmod/kernels/impl/attention_frame.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"

namespace genmod::kernels::detail {

// Queries that share the passage of the keys: as many as stay in the cache with
// their results, in parts enough for even loads. Decides no bits.
inline Index query_block(const AttentionShape& shape) {
    constexpr Index least = 256, most = 2048, cached = 81920;
    const Index parts = Index{8} * thread_count();
    const Index fitting = std::clamp(cached / std::max(Index{1}, shape.dim) / least * least, least, most);
    const Index even = shape.queries * shape.heads * shape.n / parts / least * least;
    return std::clamp(even, least, fitting);
}

// Products of the operands as they are: panels of queries [dim][query_tile],
// blocks of keys and values [keys][dim].
template <class T>
class PlainProducts {
public:
    explicit PlainProducts(const QueryBlock<T>& block)
        : block_(block),
          dim_(block.operands.shape.dim),
          memory_(block.panels() * panel_size() + 2 * key_block * dim_ + std::max(key_block, dim_) * query_tile<T>) {}

    RunningSoftmax<T> state(Index panel) const { return {query(panel) + dim_ * query_tile<T>, dim_}; }
    T* scores() const { return values() + key_block * dim_; }

    void pack_queries(Index panel, Index first, Index count) const {
        const AttentionOperands<T>& of = block_.operands;
        pack_panel_of(block_.query(first), of.q.token_step, count, dim_, of.scale, query(panel));
    }
    void pack_keys(Index key, Index count) const {
        gather_rows(block_.key(key), block_.operands.k.token_step, count, dim_, keys());
        gather_rows(block_.value(key), block_.operands.v.token_step, count, dim_, values());
    }
    void score(Index panel, Index count, Index columns) const {
        multiply_small(keys(), dim_, Index{1}, count, query(panel), query_tile<T>, columns, dim_, scores(),
                       query_tile<T>, false);
    }
    void soften(Index panel, Index count, Index columns, bool first) const {
        detail::soften(count, dim_, first, columns, scores(), state(panel));
    }
    static constexpr T unit() { return T(1); }
    void add_values(Index panel, Index count, Index columns, bool first) const {
        multiply_small(values(), Index{1}, dim_, dim_, scores(), query_tile<T>, columns, count, state(panel).result,
                       query_tile<T>, !first);
    }

private:
    Index panel_size() const { return dim_ * query_tile<T> + RunningSoftmax<T>::size(dim_); }
    T* query(Index panel) const { return memory_.data() + panel * panel_size(); }
    T* keys() const { return memory_.data() + block_.panels() * panel_size(); }
    T* values() const { return keys() + key_block * dim_; }

    const QueryBlock<T>& block_;
    Index dim_;
    Scratch<T> memory_;
};

template <class T>
void attend_block(const QueryBlock<T>& block) {
    if constexpr (std::same_as<T, float>)
        if (block.operands.shape.tiles) {
            TileProducts products(block);
            return attend(block, products);
        }
    PlainProducts<T> products(block);
    attend(block, products);
}

}  // namespace genmod::kernels::detail

namespace genmod::kernels {

template <class T>
void attention(const AttentionShape& shape, T scale, const Heads<const T>& q, const Heads<const T>& k,
               const Heads<const T>& v, const Heads<T>& y, T* log_sums) {
    const detail::AttentionOperands<T> operands{shape, scale, q, k, v, y, log_sums};
    const Index block = detail::query_block(shape), blocks = (shape.queries + block - 1) / block;
    const Index work = std::min(shape.queries, block) * shape.keys * shape.dim;
    const Index grain = std::max(Index{1}, (Index{1} << 18) / std::max(Index{1}, work));
    parallel_ranges(shape.n * shape.heads * blocks, grain, [&](Index begin, Index end) {
        for (Index part = begin; part < end; ++part) {
            const Index first = part % blocks * block, last = std::min(shape.queries, first + block);
            const detail::Head<T> head(shape, part / blocks);
            detail::attend_block(detail::QueryBlock<T>{operands, head, first, last});
        }
    });
}

}  // namespace genmod::kernels
