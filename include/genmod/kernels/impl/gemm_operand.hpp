// Operands of the matrix product. Patches of an image (implicit im2col) are read where they lie; no matrix of patches
// ever exists in memory.
#pragma once

#include <algorithm>

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/bf16_round.hpp"

namespace genmod::kernels::detail {

// A grid of pixels [n, out_height, out_width] that look at an image [n, height, width, channels] through taps_h x
// taps_w taps: pixel (y, x), tap (u, v) sees (y * stride - pad_top + u, x * stride - pad_left + v), zero outside.
struct Patches {
    Index height = 0, width = 0, channels = 0;
    Index out_height = 0, out_width = 0;
    Index stride = 1, pad_top = 0, pad_left = 0;
    Index taps_h = 1, taps_w = 1;
};

enum class OperandKind {
    strided,        // element (i, k) lies i * i_step + tap offset + channel * k_step behind data
    pixel_rows,     // i counts pixels, k taps and channels
    pixel_columns,  // i counts taps and channels, k pixels
};

// Element (i, k) of an operand: i counts rows of a or columns of b; k = (tap_h, tap_w, channel), channel fastest.
template <class T>
struct Operand {
    OperandKind kind = OperandKind::strided;
    const T* data = nullptr;
    const bf16* rounded = nullptr;  // instead of data: the numbers are in bf16 already (panels for AMX's order alone)
    Index i_step = 0, k_step = 0;
    Index depth = 0;  // channels of a tap
    Index taps_w = 1;
    Index tap_h_step = 0, tap_w_step = 0;
    Patches patches;

    bool plain() const { return kind == OperandKind::strided && tap_h_step == 0 && tap_w_step == 0; }

    void read(const T* from) { data = from; }
    void read(const bf16* from) { rounded = from; }
    void advance(Index numbers) { rounded == nullptr ? void(data += numbers) : void(rounded += numbers); }
    // Numbers side by side, as they are, or rounded.
    void put(Index at, Index count, T* to) const { std::copy_n(data + at, count, to); }
    void put(Index at, Index count, bf16* to) const {
        rounded == nullptr ? round_all(data + at, count, to) : void(std::copy_n(rounded + at, count, to));
    }
};

template <class Number, class T = Number>
Operand<T> strided(const Number* data, Index i_step, Index k_step, Index depth) {
    Operand<T> operand;
    operand.read(data);
    operand.i_step = i_step;
    operand.k_step = k_step;
    operand.depth = depth;
    return operand;
}

template <class Number, class T = Number>
Operand<T> image_patches(OperandKind kind, const Number* image, const Patches& patches) {
    Operand<T> operand;
    operand.kind = kind;
    operand.read(image);
    operand.depth = patches.channels;
    operand.taps_w = patches.taps_w;
    operand.patches = patches;
    return operand;
}

}  // namespace genmod::kernels::detail
