// Which numbers of a sample a coupling layer moves, and which it keeps (Dinh et al. 2017, section 3.4).
#pragma once

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// What is moved: the even or odd positions of the last axis, its first or second half (the first is the larger of an
// odd extent), or, in images [n, h, w, c], the pixels whose row and column add up to an even or odd number.
enum class Mask { even, odd, first_half, second_half, even_pixels, odd_pixels };

// The mask that moves what the other keeps.
inline Mask opposite(Mask mask) { return static_cast<Mask>(static_cast<int>(mask) ^ 1); }

namespace detail {

inline bool moves_first(Mask mask) { return (static_cast<int>(mask) & 1) == 0; }
inline bool of_pixels(Mask mask) { return mask == Mask::even_pixels || mask == Mask::odd_pixels; }
inline bool of_halves(Mask mask) { return mask == Mask::first_half || mask == Mask::second_half; }

// x [..., d] -> its positions first, first + 2, ... of the last axis.
template <class T>
Var<T> every_second(const Var<T>& x, Index first) {
    const Index d = x.dim(-1), pairs = (d + 1) / 2;
    const Var<T> padded = d % 2 == 0 ? x : ops::pad(x, -1, 0, 1);
    const Var<T> columns = ops::reshape(padded, Shape{padded.size() / 2, 2});
    const Var<T> column = ops::reshape(ops::slice(columns, 1, first, first + 1), x.shape().with(-1, pairs));
    return first == 0 || d % 2 == 0 ? column : ops::slice(column, -1, 0, pairs - 1);
}

// The inverse: even [..., (d + 1) / 2] and odd [..., d / 2] -> [..., d].
template <class T>
Var<T> interleaved(const Var<T>& even, const Var<T>& odd) {
    const Index d = even.dim(-1) + odd.dim(-1), count = even.size();
    const Var<T> padded = d % 2 == 0 ? odd : ops::pad(odd, -1, 0, 1);
    const Var<T> left = ops::reshape(even, Shape{count, 1}), right = ops::reshape(padded, Shape{count, 1});
    const Var<T> all = ops::reshape(ops::concat({left, right}, 1), even.shape().with(-1, 2 * even.dim(-1)));
    return d % 2 == 0 ? all : ops::slice(all, -1, 0, d);
}

// 1 on the even (or odd) pixels of an image [n, h, w, c], 0 elsewhere: [h, w, 1].
template <class T>
Var<T> board(const Shape& image, bool even) {
    check(image.rank() == 4, "mask: pixels need images [n, h, w, c], found shape ", image);
    Tensor<T> result({image.dim(1), image.dim(2), 1});
    for (Index k = 0; k < result.size(); ++k)
        result[k] = ((k / image.dim(2) + k % image.dim(2)) % 2 == 0) == even ? T(1) : T(0);
    return Var<T>(result);
}

template <class T>
Var<T> half(const Var<T>& x, bool first) {
    const Index d = x.dim(-1), middle = (d + 1) / 2;
    return first ? ops::slice(x, -1, 0, middle) : ops::slice(x, -1, middle, d);
}

// The larger part of x's last axis, or the other one.
template <class T>
Var<T> part(Mask mask, const Var<T>& x, bool first) {
    check(x.rank() >= 2 && x.dim(-1) >= 2, "mask: cannot part the last axis of ", x.shape());
    return of_halves(mask) ? half(x, first) : every_second(x, first ? 0 : 1);
}

}  // namespace detail

// How many of `channels` are moved, and how many the network beside sees.
inline Index moved_channels(Mask mask, Index channels) {
    if (detail::of_pixels(mask)) return channels;
    return detail::moves_first(mask) ? (channels + 1) / 2 : channels / 2;
}
inline Index kept_channels(Mask mask, Index channels) {
    return detail::of_pixels(mask) ? channels : channels - moved_channels(mask, channels);
}

// What is kept of x [n, ..., c]: channels, or all with zeros for the moved pixels. Throws Error when the mask does not
// fit.
template <class T>
Var<T> kept(Mask mask, const Var<T>& x) {
    if (detail::of_pixels(mask)) return ops::mul(x, detail::board<T>(x.shape(), !detail::moves_first(mask)));
    return detail::part(mask, x, !detail::moves_first(mask));
}

// What is moved: channels, or all numbers, of which the moved pixels count.
template <class T>
Var<T> moved(Mask mask, const Var<T>& x) {
    return detail::of_pixels(mask) ? x : detail::part(mask, x, detail::moves_first(mask));
}

// The two parts together again, of the shape of x: `kept_part` as kept() gave it, `moved_part` as moved() shaped it.
template <class T>
Var<T> joined(Mask mask, const Var<T>& kept_part, const Var<T>& moved_part) {
    const bool first = detail::moves_first(mask);
    if (detail::of_pixels(mask)) {
        const Var<T> own = ops::mul(moved_part, detail::board<T>(moved_part.shape(), first));
        return ops::add(kept_part, own);
    }
    const Var<T>&a = first ? moved_part : kept_part, &b = first ? kept_part : moved_part;
    return detail::of_halves(mask) ? ops::concat({a, b}, -1) : detail::interleaved(a, b);
}

// Numbers of the moved part with zeros where nothing moves.
template <class T>
Var<T> counted(Mask mask, const Var<T>& numbers) {
    if (!detail::of_pixels(mask)) return numbers;
    return ops::mul(numbers, detail::board<T>(numbers.shape(), detail::moves_first(mask)));
}

}  // namespace genmod::flows
