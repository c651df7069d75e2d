// Convolution and its gradients as their definitions say, in double, with the size of the rounding errors to expect.
#pragma once

#include <vector>

#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "tests/support/naive_gemm.hpp"

namespace naive {

// Calls term(x position, weight position, y position) for every product of a convolution.
template <class Term>
void each_product(const genmod::kernels::ConvShape& s, Term&& term) {
    for (Index n = 0; n < s.n; ++n)
        for (Index oy = 0; oy < s.out_height; ++oy)
            for (Index ox = 0; ox < s.out_width; ++ox)
                for (Index u = 0; u < s.kernel_h; ++u)
                    for (Index v = 0; v < s.kernel_w; ++v) {
                        const Index y = oy * s.stride - s.pad_top + u, x = ox * s.stride - s.pad_left + v;
                        if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
                        const Index in = ((n * s.height + y) * s.width + x) * s.in;
                        const Index out = ((n * s.out_height + oy) * s.out_width + ox) * s.out;
                        for (Index o = 0; o < s.out; ++o)
                            for (Index c = 0; c < s.in; ++c)
                                term(in + c, ((o * s.kernel_h + u) * s.kernel_w + v) * s.in + c, out + o);
                    }
}

inline std::vector<Sum> sums(Index count) { return std::vector<Sum>(static_cast<std::size_t>(count)); }

template <class T>
std::vector<Sum> conv2d(const genmod::kernels::ConvShape& s, const T* x, const T* weight) {
    auto y = sums(s.n * s.out_height * s.out_width * s.out);
    each_product(s, [&](Index i, Index w, Index o) {
        y[static_cast<std::size_t>(o)].add(static_cast<double>(x[i]) * static_cast<double>(weight[w]));
    });
    return y;
}

template <class T>
std::vector<Sum> conv2d_backward_input(const genmod::kernels::ConvShape& s, const T* dy, const T* weight) {
    auto dx = sums(s.n * s.height * s.width * s.in);
    each_product(s, [&](Index i, Index w, Index o) {
        dx[static_cast<std::size_t>(i)].add(static_cast<double>(dy[o]) * static_cast<double>(weight[w]));
    });
    return dx;
}

template <class T>
std::vector<Sum> conv2d_backward_weight(const genmod::kernels::ConvShape& s, const T* x, const T* dy) {
    auto dweight = sums(s.out * s.kernel_h * s.kernel_w * s.in);
    each_product(s, [&](Index i, Index w, Index o) {
        dweight[static_cast<std::size_t>(w)].add(static_cast<double>(dy[o]) * static_cast<double>(x[i]));
    });
    return dweight;
}

}  // namespace naive
