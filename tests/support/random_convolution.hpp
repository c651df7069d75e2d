// Shapes of convolutions to be tried: odd ones, and those whose tiles can be read from the picture.
#pragma once

#include "genmod/kernels/conv2d.hpp"

#include "tests/support/random_numbers.hpp"

namespace genmod::test {

inline kernels::ConvShape any_convolution(Random& random) {
    kernels::ConvShape s;
    s.n = pick(random, {1, 3});
    s.kernel_h = s.kernel_w = pick(random, {1, 2, 3, 3, 5});
    s.stride = pick(random, {1, 1, 2});
    s.pad_top = s.pad_left = s.kernel_h / 2;
    s.height = pick(random, {4, 7, 9});
    s.width = pick(random, {4, 8, 16, 32, 48});
    s.in = pick(random, {3, 20, 32, 64, 96, 130, 192});
    s.out = pick(random, {8, 33, 70});
    s.out_height = (s.height + 2 * s.pad_top - s.kernel_h) / s.stride + 1;
    s.out_width = (s.width + 2 * s.pad_left - s.kernel_w) / s.stride + 1;
    return s;
}

}  // namespace genmod::test
