// Tiled attention whose two products are in bf16, in the order of AMX's tiles;
// maxima, exponentials and sums are floats.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/attention_frame.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"
#include "genmod/kernels/impl/bf16.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/bf16_tiles.hpp"

namespace genmod::kernels::detail {

// Rows [rows][k_tiles * 32] times a panel [k_tiles][16 pairs][query_tile][2]: sums [rows][query_tile]. There is room
// for whole tiles of rows.
inline void multiply_tile_rows(const bf16* a, Index rows, const bf16* panel, Index k_tiles, bool resume, bool hardware,
                               float* sums) {
    constexpr Index together = 2 * row_tile;
    for (Index row = 0; row < rows; row += together) {
        const bf16* const above = a + row * k_tiles * k_tile;
        const TileProduct part{.operands = {.a = {above, above + row_tile * k_tiles * k_tile},
                                            .a_step = k_tiles * k_tile,
                                            .b = panel,
                                            .k_tiles = k_tiles},
                               .rows = std::min(together, rows - row),
                               .cols = query_tile<float>,
                               .resume = resume};
        float* const to = sums + row * query_tile<float>;
        const auto nothing = [] {};
        hardware ? multiply_tiles_by_amx(part, to, nothing) : multiply_tiles_by_vectors(part, to, nothing);
    }
}

// Sizes of a head's tiles.
struct HeadTiles {
    Index dim, dim_tiles,
        dim_rows;  // numbers; in tiles of k; in whole tiles of rows

    explicit HeadTiles(Index numbers)
        : dim(numbers),
          dim_tiles(in_tiles(numbers) / k_tile),
          dim_rows((numbers + row_tile - 1) / row_tile * row_tile) {}
    Index query_size() const { return dim_tiles * k_tile * query_tile<float>; }
    Index key_size() const { return key_block * dim_tiles * k_tile; }
    Index value_size() const { return dim_rows * key_block; }
    static constexpr Index share_size() { return key_block * query_tile<float>; }
};

inline void clear(bf16* numbers, Index count) {
    std::memset(static_cast<void*>(numbers), 0, static_cast<std::size_t>(count) * sizeof(bf16));
}

// Rounded rows of one vector, or of two, side by side, as pairs.
[[gnu::always_inline]] inline void store_pairs(const simd::Batch<float>& even, const simd::Batch<float>& odd,
                                               bf16* to) {
    round_vector_pairs(even, odd, to);
}
template <int parts>
[[gnu::always_inline]] inline void store_pairs(const simd::Several<float, parts>& even,
                                               const simd::Several<float, parts>& odd, bf16* to) {
#pragma GCC unroll 4
    for (int i = 0; i < parts; ++i) round_vector_pairs(even.part[i], odd.part[i], to + 2 * i * simd::lanes<float>);
}

// A block of keys, and of values with the numbers of a head as rows; zeros where there is none.
struct KeyBlock {
    bf16 *keys, *values;

    void pack(const HeadTiles& tiles, const float* k, Index k_step, const float* v, Index v_step, Index count,
              float* room) const {
        clear(keys, tiles.key_size());
        for (Index i = 0; i < count; ++i) round_all(k + i * k_step, tiles.dim, keys + i * tiles.dim_tiles * k_tile);
        clear(values, tiles.value_size());
        transpose_into(v, v_step, count, tiles.dim, room, key_block);
        for (Index d = 0; d < tiles.dim; ++d) round_all(room + d * key_block, count, values + d * key_block);
    }
};

// As soften_columns(), by powers of two, to shares [key_block / 2][query_tile][2] in bf16, zeros behind the last key.
template <class V>
void soften_to_pairs(Index keys, Index dim, bool first, const float* scores, const RunningSoftmax<float>& state,
                     bf16* shares) {
    constexpr Index width = query_tile<float>;
    const V top = largest_score<V>(keys, scores, simd::load_as<V>(state.most));
    V total(0.0f);
    const auto share = [&](Index key) __attribute__((always_inline)) {
        const V power = simd::exp2_rough(simd::load_as<V>(scores + key * width) - top);
        total = total + power;
        return power;
    };
    Index key = 0;
    for (; key + 2 <= keys; key += 2) {
        const V even = share(key), odd = share(key + 1);
        store_pairs(even, odd, shares + key * width);
    }
    if (key < keys) store_pairs(share(key), V(0.0f), shares + key * width);
    clear(shares + in_pairs(keys) * width, (key_block - in_pairs(keys)) * width);
    go_on_from(state, top, total, first, simd::exp2_rough(simd::load_as<V>(state.most) - top), dim);
}

// Products in bf16, in the order of AMX's tiles; `hardware`: by AMX.
class TileProducts {
public:
    explicit TileProducts(const QueryBlock<float>& block, bool hardware = amx::available())
        : block_(block),
          hardware_(hardware),
          tiles_(block.operands.shape.dim),
          halves_(block.panels() * tiles_.query_size() + tiles_.key_size() + tiles_.value_size() +
                  HeadTiles::share_size()),
          floats_(block.panels() * state_size() + room()) {
        if (hardware) configured_.emplace();
    }

    RunningSoftmax<float> state(Index panel) const { return {floats_.data() + panel * state_size(), tiles_.dim_rows}; }
    float* scores() const { return floats_.data() + block_.panels() * state_size(); }

    void pack_queries(Index panel, Index first, Index count) const {
        const AttentionOperands<float>& of = block_.operands;
        std::fill_n(scores(), tiles_.query_size(), 0.0f);
        pack_panel_of(block_.query(first), of.q.token_step, count, tiles_.dim, of.scale / unit(), scores());
        round_row_pairs(scores(), tiles_.dim_tiles * k_tile / 2, query_tile<float>, queries(panel));
    }
    void pack_keys(Index key, Index count) const {
        const AttentionOperands<float>& of = block_.operands;
        keys().pack(tiles_, block_.key(key), of.k.token_step, block_.value(key), of.v.token_step, count, scores());
    }
    void score(Index panel, Index, Index) const {
        multiply_tile_rows(keys().keys, key_block, queries(panel), tiles_.dim_tiles, false, hardware_, scores());
    }
    void soften(Index panel, Index count, Index columns, bool first) const {
        if (columns <= simd::lanes<float>)
            soften_to_pairs<simd::Batch<float>>(count, tiles_.dim, first, scores(), state(panel), shares());
        else
            soften_to_pairs<PanelRow<float>>(count, tiles_.dim, first, scores(), state(panel), shares());
    }
    static constexpr float unit() { return 0.693147181f; }  // shares are powers of two
    void add_values(Index panel, Index, Index, bool first) const {
        multiply_tile_rows(keys().values, tiles_.dim, shares(), key_block / k_tile, !first, hardware_,
                           state(panel).result);
    }

private:
    Index state_size() const { return RunningSoftmax<float>::size(tiles_.dim_rows); }
    // For scores, for a panel of queries, for values turned around and for a
    // panel of results.
    Index room() const {
        return std::max(key_block, tiles_.dim_tiles * k_tile) * std::max(query_tile<float>, key_block);
    }
    bf16* queries(Index panel) const { return halves_.data() + panel * tiles_.query_size(); }
    KeyBlock keys() const { return {queries(block_.panels()), queries(block_.panels()) + tiles_.key_size()}; }
    bf16* shares() const { return keys().values + tiles_.value_size(); }

    const QueryBlock<float>& block_;
    bool hardware_;
    HeadTiles tiles_;
    Scratch<bf16> halves_;
    Scratch<float> floats_;
    std::optional<amx::Tiles> configured_;
};

}  // namespace genmod::kernels::detail
