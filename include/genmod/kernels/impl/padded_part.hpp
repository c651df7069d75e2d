// The part of an image that a stretch of pixels sees, with zeros around, so that a row of taps is one run of numbers.
#pragma once

#include <algorithm>

#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/gemm_product.hpp"

namespace genmod::kernels::detail {

// What the output pixels first .. first + count - 1 of a grid see, with zeros outside of the image, as `Stored`.
template <class T, class Stored = T>
class PaddedPart {
public:
    // `step`: numbers from one pixel to the next, of which those behind the channels are never set; 0: no others.
    PaddedPart(const Operand<T>& image, Index first, Index count, Index step = 0)
        : image_(image),
          grid_(image.patches),
          step_(std::max(step, grid_.channels)),
          top_row_(first / grid_.out_width),
          rows_((first + count - 1) / grid_.out_width - top_row_ + 1),
          left_(rows_ == 1 ? first % grid_.out_width : 0),
          pitch_((((rows_ == 1 ? count : grid_.out_width) - 1) * grid_.stride + grid_.taps_w) * step_),
          data_(image_rows() * pitch_) {
        Stored* to = data_.data();
        each_sample([&](Index row, Index rows) {
            const Index sample = row / grid_.out_height, top = row % grid_.out_height * grid_.stride - grid_.pad_top;
            const Index pixels = sample * grid_.height * grid_.width * grid_.channels;
            for (Index r = 0; r < rows; ++r) row_[row - top_row_ + r] = to + r * grid_.stride * pitch_;
            for (Index y = top; y < top + rows_seen(rows); ++y, to += pitch_) copy_row(pixels, y, to);
        });
    }

    // Numbers from a pixel of the image to the next one.
    Index step() const { return step_; }
    // Numbers from a row of the image to the next one.
    Index pitch() const { return pitch_; }
    // Where the patch of the first pixel begins that it sees of the part's row number `row`.
    const Stored* row(Index row) const { return row_[row]; }
    // Where the patch of a pixel begins.
    const Stored* patch(Index pixel) const {
        return row_[pixel / grid_.out_width - top_row_] + (pixel % grid_.out_width - left_) * grid_.stride * step_;
    }

private:
    Index rows_seen(Index rows) const { return (rows - 1) * grid_.stride + grid_.taps_h; }

    // f(its first row of outputs, how many) for each sample.
    template <class F>
    void each_sample(F f) const {
        for (Index row = top_row_, rows = 0; row < top_row_ + rows_; row += rows) {
            rows = std::min(top_row_ + rows_ - row, grid_.out_height - row % grid_.out_height);
            f(row, rows);
        }
    }
    Index image_rows() const {
        Index sum = 0;
        each_sample([&](Index, Index rows) { sum += rows_seen(rows); });
        return sum;
    }
    void copy_row(Index pixels, Index y, Stored* to) const {
        const Index channels = grid_.channels, across = pitch_ / step_, first = left_ * grid_.stride - grid_.pad_left;
        const Index width = y < 0 || y >= grid_.height ? 0 : grid_.width;
        const Index begin = std::clamp<Index>(-first, 0, across), end = std::clamp(width - first, begin, across);
        std::fill_n(to, begin * step_, Stored{});
        std::fill(to + end * step_, to + pitch_, Stored{});
        if (begin == end) return;
        Index from = pixels + (y * width + first + begin) * channels;
        if (step_ == channels) return image_.put(from, (end - begin) * channels, to + begin * channels);
        for (Index x = begin; x < end; ++x, from += channels) image_.put(from, channels, to + x * step_);
    }

    const Operand<T>& image_;
    const Patches& grid_;
    Index step_, top_row_, rows_, left_, pitch_;
    Scratch<Stored> data_;
    const Stored* row_[most_rows];  // what each row of outputs sees
};

}  // namespace genmod::kernels::detail
