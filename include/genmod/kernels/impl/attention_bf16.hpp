// Tiled attention whose two products are in bf16, in the order of AMX's tiles; maxima, exponentials and sums are
// floats.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/attention.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"
#include "genmod/kernels/impl/bf16_pack.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/bf16_tiles.hpp"

namespace genmod::kernels::detail {

// Rows in tiles (the last ones may be short) times a panel [k_tiles][16 pairs][query_tile][2]: sums [rows][query_tile],
// with room for whole tiles.
inline void multiply_tile_rows(const bf16* a, Index rows, const bf16* panel, Index k_tiles, bool resume, bool hardware,
                               float* sums) {
    constexpr Index together = 2 * row_tile;
    for (Index row = 0; row < rows; row += together) {
        const TileProduct part{.a = a + row / row_tile * k_tiles * a_tile,
                               .a_step = k_tiles * a_tile,
                               .panel = panel,
                               .k_tiles = k_tiles,
                               .rows = std::min(together, rows - row),
                               .cols = query_tile<float>,
                               .resume = resume};
        float* const to = sums + row * query_tile<float>;
        hardware ? multiply_tiles_by_amx(part, to) : multiply_tiles_by_vectors(part, to);
    }
}

// Sizes of a head's tiles.
struct HeadTiles {
    Index dim, dim_tiles, dim_rows;  // numbers; in tiles of k; in whole tiles of rows

    explicit HeadTiles(Index numbers)
        : dim(numbers),
          dim_tiles(in_tiles(numbers) / k_tile),
          dim_rows((numbers + row_tile - 1) / row_tile * row_tile) {}
    Index query_size() const { return dim_tiles * k_tile * query_tile<float>; }
    Index key_size() const { return key_block * dim_tiles * k_tile; }
    Index value_size() const { return dim_rows * key_block; }
    static constexpr Index share_size() { return key_block * query_tile<float>; }
};

// A block of keys as rows of tiles, and of values with the numbers of a head as rows; zeros where there is none.
struct KeyBlock {
    bf16 *keys, *values;

    void pack(const HeadTiles& tiles, const float* k, Index k_step, const float* v, Index v_step, Index count,
              float* room) const {
        clear(keys, tiles.key_size());
        for (Index i = 0; i < count; ++i)
            TileRowWriter(keys + i / row_tile * tiles.dim_tiles * a_tile + i % row_tile * k_tile)
                .round(k + i * k_step, tiles.dim, 1, k + i * k_step);
        clear(values, tiles.value_size());
        transpose_into(v, v_step, count, tiles.dim, room, key_block);
        for (Index d = 0; d < tiles.dim; ++d)
            TileRowWriter(values + d / row_tile * (key_block / k_tile) * a_tile + d % row_tile * k_tile)
                .round(room + d * key_block, count, 1, room + d * key_block);
    }

private:
    static void clear(bf16* numbers, Index count) {
        std::memset(static_cast<void*>(numbers), 0, static_cast<std::size_t>(count) * sizeof(bf16));
    }
};

// One block of queries of one head.
inline void attend_tiles(const AttentionShape& shape, float scale, const Heads<const float>& q,
                         const Heads<const float>& k, const Heads<const float>& v, const Heads<float>& y,
                         float* log_sums, const Head<float>& head, Index first, Index last,
                         bool hardware = amx::available()) {
    constexpr Index width = query_tile<float>, key_tiles = key_block / k_tile;
    const HeadTiles tiles(shape.dim);
    const Index panels = (last - first + width - 1) / width, state_size = RunningSoftmax<float>::size(tiles.dim_rows);
    const Scratch<bf16> halves(panels * tiles.query_size() + tiles.key_size() + tiles.value_size() +
                               HeadTiles::share_size());
    const KeyBlock block{halves.data() + panels * tiles.query_size(),
                         halves.data() + panels * tiles.query_size() + tiles.key_size()};
    bf16* const shares = block.values + tiles.value_size();
    // Room for scores, for a panel of queries, for values turned around and for a panel of results.
    const Index room = std::max(key_block, tiles.dim_tiles * k_tile) * std::max(width, key_block);
    const Scratch<float> states(panels * state_size + room);
    float* const scores = states.data() + panels * state_size;
    std::optional<amx::Tiles> configured;
    if (hardware) configured.emplace();
    const auto each_panel = [&](auto body) {
        for (Index p = 0; p < panels; ++p) {
            const Index query = first + p * width;
            body(RunningSoftmax<float>(states.data() + p * state_size, tiles.dim_rows),
                 halves.data() + p * tiles.query_size(), query, std::min(width, last - query));
        }
    };
    each_panel([&](const RunningSoftmax<float>& state, bf16* queries, Index query, Index count) {
        std::fill_n(scores, tiles.query_size(), 0.0f);
        pack_panel_of(head.at(shape, q, query), q.token_step, count, shape.dim, scale, scores);
        round_row_pairs(scores, tiles.dim_tiles * k_tile / 2, width, queries);
        state.begin();
    });
    const Index seen = shape.causal ? std::min(shape.keys, last) : shape.keys;
    for (Index key = 0; key < seen; key += key_block) {
        const Index count = std::min(key_block, shape.keys - key);
        block.pack(tiles, head.at(shape, k, key), k.token_step, head.at(shape, v, key), v.token_step, count, scores);
        each_panel([&](const RunningSoftmax<float>& state, const bf16* queries, Index query, Index columns) {
            if (shape.causal && key >= query + columns) return;
            multiply_tile_rows(block.keys, key_block, queries, tiles.dim_tiles, false, hardware, scores);
            if (shape.causal) mask_future(key, count, query, scores);
            soften(count, shape.dim, key == 0, columns, scores, state);
            std::fill(scores + count * width, scores + key_block * width, 0.0f);
            round_row_pairs(scores, key_block / 2, width, shares);
            multiply_tile_rows(block.values, tiles.dim, shares, key_tiles, key > 0, hardware, state.result);
        });
    }
    each_panel([&](const RunningSoftmax<float>& state, const bf16*, Index query, Index count) {
        float* const sums = log_sums == nullptr ? nullptr : log_sums + head.row(shape) + query;
        finish_panel(shape.dim, count, state, scores, head.at(shape, y, query), y.token_step, sums);
    });
}

}  // namespace genmod::kernels::detail
