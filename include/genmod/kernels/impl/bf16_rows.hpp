// Rows of the first factor, rounded to bf16, as AMX's tiles read them: where a matrix in bf16 has them, copied one
// behind the other, or, of an image, where a padded copy of the part has them that a block sees.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/padded_part.hpp"

namespace genmod::kernels::detail {

inline constexpr Index k_tile = 32;    // numbers of k that are summed together
inline constexpr Index row_tile = 16;  // rows of a tile

inline constexpr Index near_panels = 1 << 19;  // numbers of b that stay in the second-level cache
inline constexpr Index rows_asked = 4;         // rows of floats that are asked for ahead

// Numbers k in whole tiles.
inline Index in_tiles(Index k) { return (k + k_tile - 1) / k_tile * k_tile; }
// Numbers from row to row that spread the lines of all rows' tiles over the nearest cache.
inline Index spread(Index numbers) { return (in_tiles(numbers) / k_tile | 1) * k_tile; }

// Whether tiles can be read from the image: their rows are pixels side by side, their columns channels of a tap.
inline bool tiles_lie_in(const Operand<float>& a) {
    return a.kind == OperandKind::pixel_rows && a.patches.out_width % row_tile == 0 && a.depth % k_tile == 0;
}

// Whether tiles can be read from a matrix in bf16.
inline bool tiles_lie_in_rows(const Operand<float>& a) {
    return a.rounded != nullptr && a.plain() && a.k_step == 1 && a.depth % k_tile == 0;
}

// Rows of a block of c and numbers of k whose products with all columns of the block are summed before others are.
struct TilePart {
    Index number = 0;
    Index row = 0, rows = 0;
    Index k = 0, depth = 0;
    Index tiles() const { return in_tiles(depth) / k_tile; }
};

// The parts of a block, those of a row part by ascending k. The rounded rows of two parts stay in the second-level
// cache beside panels of b; an image is rounded as a whole, so that its parts are of k alone. Where there are few rows,
// the panel of a part and the next one stay in the nearest cache (16 x 1280 x 1280 a sixth sooner).
class TileParts {
public:
    static constexpr Index together = 2 * row_tile;  // rows of one product of tiles

    TileParts(const Operand<float>& a, const BlockRange& range)
        : range_(range),
          groups_((range.rows + together - 1) / together),
          tiles_(in_tiles(range.depth) / k_tile),
          row_parts_(tiles_lie_in(a) ? 1 : parts(range.rows, few_at_once(a, range) ? together : rows_of_part)),
          near_(!tiles_lie_in(a) && groups_ <= 2 && tiles_ > few_rows_tiles),
          k_parts_(parts(tiles_, near_             ? near_tiles
                                 : tiles_lie_in(a) ? image_tiles
                                                   : made_tiles)) {}

    Index count() const { return row_parts_ * k_parts_; }
    Index most_rows() const { return parts(groups_, row_parts_) * together; }
    Index most_depth() const { return parts(tiles_, k_parts_) * k_tile; }
    bool all_k_at_once() const { return k_parts_ == 1; }
    // Whether panels of a part fit the nearest cache.
    bool near() const { return near_; }

    TilePart operator[](Index number) const {
        const Index i = number / k_parts_, j = number % k_parts_;
        const Index row = groups_ * i / row_parts_ * together, k = tiles_ * j / k_parts_ * k_tile;
        const Index end = std::min(range_.rows, groups_ * (i + 1) / row_parts_ * together);
        const Index k_end = std::min(range_.depth, tiles_ * (j + 1) / k_parts_ * k_tile);
        return {.number = number, .row = row, .rows = end - row, .k = k, .depth = k_end - k};
    }

private:
    static constexpr Index rows_of_part = 128;
    static constexpr Index made_tiles = 32, image_tiles = 128, near_tiles = 4, few_rows_tiles = 16;

    // Rows that are not made pass by all panels at once where those stay in the second-level cache (4096 x 320 x 320
    // with operands in bf16 8 % sooner).
    static bool few_at_once(const Operand<float>& a, const BlockRange& range) {
        return tiles_lie_in_rows(a) && range.cols * range.depth <= near_panels;
    }
    static Index parts(Index size, Index most) { return std::max<Index>(1, (size + most - 1) / most); }

    const BlockRange& range_;
    Index groups_, tiles_;
    Index row_parts_;
    bool near_;
    Index k_parts_;
};

// Rows of a block of a, whose first one is a multiple of row_tile where they are read from the image.
class TileRows {
public:
    TileRows(const Product<float>& product, const BlockRange& range, const TileParts& parts)
        : a_(product.a), range_(range) {
        const bool pixels = a_.kind == OperandKind::pixel_rows, direct = tiles_lie_in(a_);
        if (pixels) image_.emplace(a_, range.m, range.rows, direct ? spread(a_.depth) : 0);
        if (direct) {
            place_tiles();
            step_ = a_.patches.stride * image_->step();
        } else {
            step_ = spread(parts.most_depth());
            part_size_ = parts.most_rows() * step_;
            made_.emplace(std::min<Index>(2, parts.count()) * part_size_);
        }
    }

    // How many rows of a part must be made before it is multiplied.
    Index to_make(const TilePart& part) const { return made_ ? part.rows : 0; }
    // Makes row i of a part, and zeros behind, or asks for it where it lies. The part before it is kept.
    void make(const TilePart& part, Index i) {
        const Index index = range_.m + part.row + i, k = range_.k + part.k;
        if (lies_ready(part)) return ask_for_row(index * a_.i_step + k, part.depth);
        bf16* const to = made_row(part, i);
        image_ ? copy_patch(index, k, part.depth, to) : round_row(index, k, part.depth, to);
        std::fill(to + part.depth, to + in_tiles(part.depth), bf16{});
    }

    // The first factor of a product of tiles: rows row .. row + rows - 1 of the part, at most two tiles of them.
    amx::Operands operands(const TilePart& part, Index row, Index rows) {
        const bool ready = lies_ready(part);
        const auto tile = [&](Index i) -> const bf16* {
            if (ready) return a_.rounded + (range_.m + part.row + i) * a_.i_step + range_.k + part.k;
            return made_ ? made_row(part, i) : image_->patch(range_.m + part.row + i);
        };
        return {.a = {tile(row), tile(rows > row_tile ? row + row_tile : row)},
                .a_step = ready ? a_.i_step : step_,
                .places = made_ ? nullptr : places_.data() + part.k / k_tile,
                .k_tiles = part.tiles()};
    }

private:
    // Whether the part is whole tiles, where its rows lie.
    bool lies_ready(const TilePart& part) const { return tiles_lie_in_rows(a_) && part.rows % row_tile == 0; }
    bf16* made_row(const TilePart& part, Index i) { return made_->data() + part.number % 2 * part_size_ + i * step_; }
    void place_tiles() {
        for (Index k = range_.k; k < range_.k + range_.depth; k += k_tile) {
            const Index tap = k / a_.depth, u = tap / a_.taps_w, v = tap % a_.taps_w;
            places_.push_back(u * image_->pitch() + v * image_->step() + k % a_.depth);
        }
    }
    void round_row(Index index, Index k, Index depth, bf16* to) const {
        const Index from = index * a_.i_step + k * a_.k_step;
        if (a_.k_step != 1) {
            for (Index i = 0; i < depth; ++i) a_.put(from + i * a_.k_step, 1, to + i);
            return;
        }
        ask_for_row(from + rows_asked * a_.i_step, depth);
        a_.put(from, depth, to);
    }
    void ask_for_row(Index from, Index depth) const {
        if (a_.rounded != nullptr)
            for (Index i = 0; i < depth; i += 32) __builtin_prefetch(a_.rounded + from + i);
        else
            for (Index i = 0; i < depth; i += 16) __builtin_prefetch(a_.data + from + i);
    }
    void copy_patch(Index pixel, Index k, Index depth, bf16* to) const {
        const Index run = a_.taps_w * a_.depth;  // a row of taps
        const bf16* const patch = image_->patch(pixel);
        for (Index done = 0; done < depth;) {
            const Index u = (k + done) / run, inside = (k + done) % run, count = std::min(run - inside, depth - done);
            std::copy_n(patch + u * image_->pitch() + inside, count, to + done);
            done += count;
        }
    }

    const Operand<float>& a_;
    const BlockRange& range_;
    std::optional<PaddedPart<float, bf16>> image_;
    std::optional<Scratch<bf16>> made_;
    std::vector<Index> places_;
    Index step_ = 0;       // from row to row
    Index part_size_ = 0;  // of the rows of a part
};

}  // namespace genmod::kernels::detail
