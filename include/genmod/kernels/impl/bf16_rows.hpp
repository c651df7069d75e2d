// Rows of the first factor, rounded to bf16, as AMX's tiles read them: where they lie, one behind the other, or, of an
// image, where a padded copy of the part has them that a block sees.
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

inline constexpr Index rows_asked = 4;  // rows of floats that are asked for ahead

// Numbers k in whole tiles.
inline Index in_tiles(Index k) { return (k + k_tile - 1) / k_tile * k_tile; }
// Numbers from row to row that spread the lines of all rows' tiles over the nearest cache.
inline Index spread(Index numbers) { return (in_tiles(numbers) / k_tile | 1) * k_tile; }

// Whether tiles can be read from the image: their rows are pixels side by side, their columns channels of a tap.
inline bool tiles_lie_in(const Operand<float>& a) {
    return a.kind == OperandKind::pixel_rows && a.patches.out_width % row_tile == 0 && a.depth % k_tile == 0;
}

// Rows of a block of a, whose first one is a multiple of row_tile where they are read from the image.
class TileRows {
public:
    static constexpr Index together = 2 * row_tile;  // rows that are made at a time, where they do not lie in an image

    // `depth`: the most numbers of k at a time.
    TileRows(const Product<float>& product, const BlockRange& range, Index depth) : a_(product.a), range_(range) {
        const bool pixels = a_.kind == OperandKind::pixel_rows, direct = tiles_lie_in(a_);
        if (pixels) image_.emplace(a_, range.m, range.rows, direct ? spread(a_.depth) : 0);
        if (direct) {
            place_tiles();
            step_ = a_.patches.stride * image_->step();
        } else {
            step_ = spread(depth);
            rows_.emplace(together * step_);
        }
    }

    // The first factor of a product of tiles: rows row .. row + rows - 1 of the block, at most `together`, with their
    // numbers k .. k + depth - 1 and zeros behind. Good until the next call.
    amx::Operands operands(Index row, Index rows, Index k, Index depth) {
        if (rows_)
            for (Index i = 0; i < rows; ++i)
                make_row(range_.m + row + i, range_.k + k, depth, rows_->data() + i * step_);
        const auto tile = [&](Index i) -> const bf16* {
            return rows_ ? rows_->data() + i * step_ : image_->patch(range_.m + row + i);
        };
        return {.a = {tile(0), tile(rows > row_tile ? row_tile : 0)},
                .a_step = step_,
                .places = rows_ ? nullptr : places_.data() + k / k_tile};
    }

private:
    void place_tiles() {
        for (Index k = range_.k; k < range_.k + range_.depth; k += k_tile) {
            const Index tap = k / a_.depth, u = tap / a_.taps_w, v = tap % a_.taps_w;
            places_.push_back(u * image_->pitch() + v * image_->step() + k % a_.depth);
        }
    }
    void make_row(Index index, Index k, Index depth, bf16* to) const {
        image_ ? copy_patch(index, k, depth, to) : round_row(index, k, depth, to);
        std::fill(to + depth, to + in_tiles(depth), bf16{});
    }
    void round_row(Index index, Index k, Index depth, bf16* to) const {
        const float* const from = a_.data + index * a_.i_step + k * a_.k_step;
        if (a_.k_step == 1) {
            for (Index i = 0; i < depth; i += 16) __builtin_prefetch(from + rows_asked * a_.i_step + i);
            round_all(from, depth, to);
        } else {
            for (Index i = 0; i < depth; ++i) to[i] = round_one(from[i * a_.k_step]);
        }
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
    std::optional<Scratch<bf16>> rows_;
    std::vector<Index> places_;
    Index step_ = 0;  // from row to row
};

}  // namespace genmod::kernels::detail
