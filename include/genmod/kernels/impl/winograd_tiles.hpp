// The tiles of pictures that Winograd's convolution works on.
#pragma once

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/gemm_tile.hpp"
#include "genmod/kernels/impl/simd.hpp"
#include "genmod/kernels/impl/winograd_transform.hpp"

namespace genmod::kernels::detail {

// A tile: the output pixel of its corner, and its outputs along y and x.
struct WinogradTile {
    Index sample, y, x, high, wide;

    // Which of four kinds it is of (WinogradOrder).
    Index kind() const {
        const bool low = high < winograd_out, thin = wide < winograd_out;
        return low ? (thin ? 3 : 2) : (thin ? 0 : 1);
    }
};

// The tiles of all samples, row by row.
struct WinogradTiles {
    Index down, across, count;   // rows and columns of a sample, tiles of all
    Index last_high, last_wide;  // outputs of the last row's tiles along y, and of the last column's along x
    WinogradTiles(const Patches& grid, Index samples)
        : down(ceil_div(grid.out_height, winograd_out)),
          across(ceil_div(grid.out_width, winograd_out)),
          count(samples * down * across),
          last_high(last_outs(grid.out_height)),
          last_wide(last_outs(grid.out_width)) {}

    Index samples() const { return count / (down * across); }
    bool all_whole() const { return last_high == winograd_out && last_wide == winograd_out; }

    // f(tile) for the tiles first..last-1.
    template <class F>
    void each(Index first, Index last, const F& f) const {
        Index sample = first / (down * across), row = first / across % down, column = first % across;
        for (Index k = first; k < last; ++k) {
            f(WinogradTile{sample, row * winograd_out, column * winograd_out,
                           row == down - 1 ? last_high : winograd_out,
                           column == across - 1 ? last_wide : winograd_out});
            if (++column < across) continue;
            column = 0;
            if (++row < down) continue;
            row = 0;
            ++sample;
        }
    }

private:
    // One output goes as two, of which the second is not stored.
    static Index last_outs(Index extent) {
        const Index rest = extent % winograd_out;
        return rest == 0 ? winograd_out : std::max<Index>(rest, 2);
    }
};

// Tiles first..last-1, those of one kind side by side: the thin ones, the whole ones, the low ones, and those that are
// both. So the tiles that take part at a point follow each other.
class WinogradOrder {
public:
    WinogradOrder(const WinogradTiles& all, Index first, Index last) : tiles(all), order_(last - first) {
        if (all.all_whole())
            end_[1] = last - first;
        else
            all.each(first, last, [&](const WinogradTile& tile) { ++end_[tile.kind()]; });
        std::partial_sum(end_, end_ + 4, end_);
        Index next[4] = {0, end_[0], end_[1], end_[2]};
        all.each(first, last, [&](const WinogradTile& tile) { order_.data()[next[tile.kind()]++] = tile; });
    }

    const WinogradTiles& tiles;

    Index size() const { return end_[3]; }
    const WinogradTile& operator[](Index place) const { return order_.data()[place]; }

    struct Range {
        Index first, last;
        Index size() const { return last - first; }
    };
    // The places of the tiles that take part at a point.
    Range at(Index point) const {
        const bool low = winograd_takes(tiles.last_high, point / winograd_in);
        const bool thin = winograd_takes(tiles.last_wide, point % winograd_in);
        return {thin ? 0 : end_[0], !low ? end_[1] : thin ? end_[3] : end_[2]};
    }

private:
    Scratch<WinogradTile> order_;
    Index end_[4] = {};  // of the tiles of each kind
};

// f(outs), a constant, for a tile's outputs along an axis.
template <class F>
auto with_outs(Index outs, const F& f) {
    switch (outs) {
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        default: return f(std::integral_constant<int, winograd_out>());
    }
}

// Numbers from one tile to the next: whole vectors, and one more against rows that share a set of the cache.
template <class T>
Index winograd_row(Index channels) {
    return ceil_div(channels, tile_cols<T>) * tile_cols<T> + simd::lanes<T>;
}

}  // namespace genmod::kernels::detail
