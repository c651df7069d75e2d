// Blocks of a matrix product that sums over the pixels of an image, its columns being what their taps see: the gradient
// of a convolution's weights. The part of the image that a stretch of pixels sees is copied once, where panels would
// hold a copy for each tap, and sums stay in registers from one row of pixels to the next. Measured with AVX-512, one
// thread, against panels: 28 x 28 x 16 to 32 channels (4 x 4, stride 2) 26 % less time, 14 x 14 x 32 to 64 13 %,
// 14 x 14 x 64 to 128 6 %; 14 x 14 x 32 to 32 (5 x 5) 27 %.
#pragma once

#include <algorithm>
#include <optional>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_kernel.hpp"
#include "genmod/kernels/impl/gemm_pack.hpp"
#include "genmod/kernels/impl/gemm_panels.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"
#include "genmod/kernels/impl/padded_part.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace genmod::kernels::detail {

inline constexpr Index near_sums = 1 << 17;  // numbers of c that stay near from one stretch of pixels to the next

// Whether columns are read from the image: those of a panel must lie side by side, taps see the same pixels often
// enough, and all sums stay in the cache.
template <class T>
bool reads_pixels(const Product<T>& product) {
    const Patches& grid = product.b.patches;
    const Index seen =
        ((grid.out_height - 1) * grid.stride + grid.taps_h) * ((grid.out_width - 1) * grid.stride + grid.taps_w);
    return product.b.kind == OperandKind::pixel_columns && grid.taps_w * grid.channels % tile_cols<T> == 0 &&
           std::min(product.m, m_block) * product.n <= near_sums &&
           2 * grid.out_height * grid.out_width * grid.taps_h * grid.taps_w >= 3 * seen;
}

// A stretch of pixels, and where a panel of columns lies.
template <class T>
struct PixelPanel {
    const PaddedPart<T>& part;
    Index first, count;  // pixels
    Index width;         // of a row of them
    Index step;          // numbers from one pixel to the next
    Index taps;          // from a pixel's patch to the columns
};

// Rows x tile_cols outputs: sums over the pixels of a panel, for each of which a has `Rows` numbers.
template <class T, int Rows>
void multiply_pixels(const T* a, const PixelPanel<T>& b, const TileTarget<T>& to) {
    constexpr Fixed<Rows> a_step;
    simd::Batch<T> sum[Rows][2];
    start_tile<T, Rows, 2>(sum, to);
    const T* patch = b.part.patch(b.first);
    Index run = std::min(b.count, b.width - b.first % b.width);
    for (Index row = 1, left = b.count; left > 0; ++row) {
        const TileSource<T> from{.a = a, .b = patch + b.taps, .depth = run};
        add_steps<T, Rows, 2, FusedStep<T>, 1>(from, Fixed<1>{}, a_step, b.step, sum);
        a += run * a_step;
        left -= run;
        if (left > 0) patch = b.part.row(row);
        run = std::min(left, b.width);
    }
    finish_tile<T, Rows, 2>(sum, to);
}

// Packed rows of a, and columns of b read from the image.
template <class T>
class PixelOperands {
public:
    PixelOperands(const Product<T>& product, const BlockRange& range)
        : product_(product), range_(range), a_(range.rows * std::min(k_block, range.depth) + pack_slack<T>) {}

    void begin(Index k, Index depth) {
        k_ = k;
        depth_ = depth;
        part_.emplace(product_.b, k, depth);
        pack_block(product_.a, range_, k, depth, a_.data());
    }

    void multiply(Index column, Index, const TileTarget<T>& target) const {
        const Patches& grid = product_.b.patches;
        const Index run = grid.taps_w * grid.channels;
        const PixelPanel<T> panel{.part = *part_,
                                  .first = k_,
                                  .count = depth_,
                                  .width = grid.out_width,
                                  .step = grid.stride * grid.channels,
                                  .taps = column / run * part_->pitch() + column % run};
        TileTarget<T> to = target;
        for (Index i = 0; i < range_.rows;) {
            const Index height = tile_height<T>(range_.rows - i);
            with_height<T>(height, [&](auto rows) { multiply_pixels<T, rows()>(a_.data() + i * depth_, panel, to); });
            i += height;
            to.row_offset += height;
            to.start_offset += height;
        }
    }

private:
    const Product<T>& product_;
    const BlockRange& range_;
    Scratch<T> a_;
    std::optional<PaddedPart<T>> part_;
    Index k_ = 0, depth_ = 0;
};

// One block of c but for the activation.
template <class T>
void multiply_pixel_block(const Product<T>& product, const BlockRange& range) {
    PixelOperands<T> operands(product, range);
    multiply_by_panels(product, range, operands);
}

}  // namespace genmod::kernels::detail
