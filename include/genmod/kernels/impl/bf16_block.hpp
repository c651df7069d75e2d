// A block of a product in bf16 by tiles.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16_rows.hpp"
#include "genmod/kernels/impl/bf16_tiles.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/gemm_tile.hpp"

namespace genmod::kernels::detail {

// Rows of a block for AMX. More pixels see fewer of the image's others, as long as what they see stays near (twice as
// many: 128 channels at 512 x 512 a tenth later, 256 at 256 x 256 the same).
template <class T>
Index tile_block(const Product<T>& product) {
    constexpr Index numbers = 5 << 15;
    return product.a.kind == OperandKind::pixel_rows ? std::clamp(numbers / product.n, wide_rows, most_rows)
                                                     : wide_rows;
}

// Sums of a block by AMX's tiles or by vectors, and what they become. While tiles are multiplied, vectors finish the
// sums before, round rows of the next part, and ask for the next panel of b.
class TileBlock {
public:
    TileBlock(const Product<float>& product, const BlockRange& range, const bf16* panels, bool hardware)
        : product_(product),
          range_(range),
          panels_(panels),
          hardware_(hardware),
          parts_(product.a, range),
          rows_of_a_(product, range, parts_),
          sums_(parts_.all_k_at_once() ? rooms * room : groups(parts_.most_rows()) * panel_count() * room) {
        product.rows.offsets(range.m, range.rows, row_offset_);
        targets_.reserve(static_cast<std::size_t>(panel_count()));
        for (Index n = 0; n < range.cols; n += step) targets_.push_back(target_of(range.n + n));
    }

    void multiply() {
        const TilePart first = parts_[0];
        for (Index i = 0; i < rows_of_a_.to_make(first); ++i) rows_of_a_.make(first, i);
        for (Index number = 0; number < parts_.count(); ++number) multiply_part(parts_[number]);
        finish(waiting_.rows);
    }

private:
    static constexpr Index step = tile_cols<float>, together = TileParts::together, room = together * step;
    static constexpr Index rooms = 2;  // for sums that wait, and for the next ones

    // A tile's sums that wait for the epilogue, as it goes on by vectors beside the next tile.
    struct Waiting {
        const float* sums = nullptr;
        Index rows = 0, cols = 0;
        Index at_once = 0;  // rows for each tile of k
        const Index* row_offset = nullptr;
        const PanelTarget* target = nullptr;
    };
    // What is done beside the products of a part.
    struct Ahead {
        TilePart next{};
        Index to_make = 0, made = 0;    // rows of the next part
        Index products = 0, begun = 0;  // of tiles, in this part
        const bf16* asked = nullptr;    // of the next panel
        Index lines = 0;                // for each tile of k
    };

    // The fewest rows that are finished together: fewer cost calls, and more of floats, two lines of the cache each,
    // keep the tiles' loads waiting (two threads, 1024 x 1024 x 1024: bf16 a twelfth sooner than by single rows, floats
    // 4 %).
    Index finished_at_once() const { return product_.rounded == nullptr ? 4 : 8; }

    static Index groups(Index rows) { return ceil_div(rows, together); }
    Index panel_count() const { return ceil_div(range_.cols, step); }
    const bf16* panel(Index n, Index k) const {
        return panels_ + (range_.n + n) * in_tiles(product_.k) + (range_.k + k) * step;
    }

    void multiply_part(const TilePart& part) {
        const bool more = part.number + 1 < parts_.count();
        ahead_ = {.products = groups(part.rows) * panel_count() * part.tiles(),
                  .lines = ceil_div(k_tile, groups(part.rows))};
        if (more) {
            ahead_.next = parts_[part.number + 1];
            ahead_.to_make = rows_of_a_.to_make(ahead_.next);
        }
        const bool asks = part.row == 0 || range_.cols * range_.depth > near_panels;
        for (Index n = 0; n < range_.cols; n += step) {
            const bool last = n + step >= range_.cols;
            ahead_.asked = nullptr;
            if (asks && !last) ahead_.asked = panel(n + step, part.k);
            if (asks && last && more) ahead_.asked = panel(0, ahead_.next.k);
            for (Index row = 0; row < part.rows; row += together) multiply_tile(part, n, row);
        }
        while (ahead_.made < ahead_.to_make) rows_of_a_.make(ahead_.next, ahead_.made++);
    }

    // Rows row .. row + 31 of a part by the panel of column n.
    void multiply_tile(const TilePart& part, Index n, Index row) {
        TileProduct tile{.operands = rows_of_a_.operands(part, row, std::min(together, part.rows - row)),
                         .rows = std::min(together, part.rows - row),
                         .cols = std::min(step, range_.cols - n),
                         .resume = part.k > 0};
        tile.operands.b = panel(n, part.k);
        const Index place = parts_.all_k_at_once() ? turn_++ % rooms : row / together * panel_count() + n / step;
        float* const sums = sums_.data() + place * room;
        const Index evenly = ceil_div(waiting_.rows, std::max<Index>(1, part.tiles()));
        waiting_.at_once = std::max(finished_at_once(), evenly);
        const auto meanwhile = [this] { work_ahead(); };
        hardware_ ? multiply_tiles_by_amx(tile, sums, meanwhile) : multiply_tiles_by_vectors(tile, sums, meanwhile);
        finish(waiting_.rows);
        if (part.k + part.depth == range_.depth)
            waiting_ = {.sums = sums,
                        .rows = tile.rows,
                        .cols = tile.cols,
                        .row_offset = row_offset_ + part.row + row,
                        .target = &targets_[static_cast<std::size_t>(n / step)]};
    }

    void work_ahead() {
        finish(std::min(waiting_.rows, waiting_.at_once));
        ++ahead_.begun;
        while (ahead_.made * ahead_.products < ahead_.begun * ahead_.to_make)
            rows_of_a_.make(ahead_.next, ahead_.made++);
        if (ahead_.asked == nullptr) return;
        for (Index line = 0; line < ahead_.lines; ++line, ahead_.asked += 32) {
            if (parts_.near())
                __builtin_prefetch(ahead_.asked);
            else  // to the second-level cache (60 matrices by turns: 64 x 5120 x 1280 a third sooner)
                __builtin_prefetch(ahead_.asked, 0, 1);
        }
    }

    // The next rows of the sums that wait.
    void finish(Index rows) {
        if (rows == 0) return;
        finish_panel_rows(waiting_.sums, rows, waiting_.cols, *waiting_.target, waiting_.row_offset);
        waiting_.sums += rows * step;
        waiting_.row_offset += rows;
        waiting_.rows -= rows;
    }

    PanelTarget target_of(Index column) const {
        PanelTarget target{.finish = product_.epilogue, .plain = product_.plain_epilogue()};
        if (target.finish.bias != nullptr) target.finish.bias += column;
        if (target.finish.residual != nullptr) target.finish.residual += column;
        if (product_.rounded == nullptr)
            target.c = product_.c + column;
        else
            target.rounded = product_.rounded + column;
        return target;
    }

    const Product<float>& product_;
    const BlockRange& range_;
    const bf16* panels_;
    bool hardware_;
    TileParts parts_;
    TileRows rows_of_a_;
    Scratch<float> sums_;
    Index turn_ = 0;
    Waiting waiting_;
    // Of the panels, written long before they are read: a read of what vectors have just written waits for all stores,
    // those of the tiles too (a seventh of the time of 4096 x 320 x 320).
    std::vector<PanelTarget> targets_;
    Ahead ahead_;
    Index row_offset_[most_rows];
};

// One block of c; `hardware`: by AMX.
inline void multiply_block_tiles(const Product<float>& product, const BlockRange& range, const bf16* panels,
                                 bool hardware = amx::available()) {
    TileBlock block(product, range, panels, hardware);
    std::optional<amx::Tiles> tiles;
    if (hardware) tiles.emplace();
    block.multiply();
}

}  // namespace genmod::kernels::detail
