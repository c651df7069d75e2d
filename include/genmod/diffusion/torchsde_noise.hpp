// The Brownian trees of torchsde, from which k-diffusion, diffusers and the web UIs take the noise of their SDE
// samplers.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng_torch.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/drawn_noise.hpp"

namespace genmod::diffusion {

namespace detail {

// NumPy's SeedSequence (O'Neill 2015, "Developing a seed_seq alternative"), with a pool of 24 words: the first word of
// its state. Without a `key` it is that of the entropy alone.
inline std::uint32_t seed_sequence(std::uint64_t entropy, const std::vector<std::uint64_t>& key) {
    constexpr std::size_t size = 24;
    std::vector<std::uint32_t> words;
    const auto add = [&words](std::uint64_t number) {
        do {
            words.push_back(static_cast<std::uint32_t>(number));
            number >>= 32;
        } while (number != 0);
    };
    add(entropy);
    words.resize(size);
    for (const std::uint64_t number : key) add(number);
    std::uint32_t constant = 0x43b0d7e5u;
    const auto hash = [&constant](std::uint32_t value) {
        value ^= constant;
        constant *= 0x931e8875u;
        value *= constant;
        return value ^ (value >> 16);
    };
    const auto mix = [](std::uint32_t a, std::uint32_t b) {
        const std::uint32_t mixed = 0xca01f9ddu * a - 0x4973f715u * b;
        return mixed ^ (mixed >> 16);
    };
    std::array<std::uint32_t, size> pool{};
    for (std::size_t k = 0; k < size; ++k) pool[k] = hash(words[k]);
    for (std::size_t from = 0; from < words.size(); ++from)
        for (std::size_t to = 0; to < size; ++to)
            if (from != to) pool[to] = mix(pool[to], hash(from < size ? pool[from] : words[from]));
    const std::uint32_t first = (pool[0] ^ 0x8b51f9ddu) * (0x8b51f9ddu * 0x58f38dedu);
    return first ^ (first >> 16);
}

// Rounded to six decimals, as Python rounds.
inline double six_decimals(double value) {
    std::array<char, 400> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, 6);
    std::from_chars(digits.data(), end.ptr, value);
    return value;
}

// The increments of torchsde.BrownianTree(t0, w0, t1, entropy) with the default tolerance: halves of intervals, down to
// the millionth that is asked for.
class TorchsdeTree {
public:
    TorchsdeTree(std::uint64_t entropy, double t0, double t1, const Shape& shape)
        : entropy_(entropy), shape_(shape), root_{six_decimals(t0), six_decimals(t1), 0, 0} {
        check(is_finite(t0) && is_finite(t1) && root_.start < root_.end, "torchsde tree: no times between ", t0,
              " and ", t1);
        whole_ = draw(seed_sequence(entropy, {}));
        const auto scale = static_cast<float>(std::sqrt(t1 - t0));
        for (float& value : whole_) value *= scale;
    }

    // W(tb) - W(ta), for ta < tb; what lies outside of t0..t1 counts as an end. Throws Error when nothing is between.
    Tensor<float> operator()(double ta, double tb) const {
        const double from = std::max(six_decimals(ta), root_.start), to = std::min(six_decimals(tb), root_.end);
        check(from < to, "torchsde tree: no time between ", ta, " and ", tb);
        Tensor<float> sum = Tensor<float>::zeros(shape_);
        add(root_, whole_, from, to, sum);
        return sum;
    }

private:
    struct Interval {
        double start, end;
        std::uint64_t key, depth;
    };

    Tensor<float> draw(std::uint32_t seed) const { return TorchGenerator(seed).randn<float>(shape_); }

    // Adds what the motion gains in from..to, where it gains `gain` in the whole interval.
    void add(const Interval& interval, const Tensor<float>& gain, double from, double to, Tensor<float>& sum) const {
        if (from == interval.start && to == interval.end) {
            for (Index k = 0; k < sum.size(); ++k) sum[k] += gain[k];
            return;
        }
        const double middle = six_decimals(0.5 * (interval.end + interval.start));
        const double left = middle - interval.start, right = interval.end - middle;
        const double whole = 1 / (interval.end - interval.start);
        Tensor<float> first = draw(seed_sequence(entropy_, {interval.key, interval.depth})), second(shape_);
        const auto std = static_cast<float>(std::sqrt(left * right * whole));
        for (Index k = 0; k < first.size(); ++k) {
            const float mean = static_cast<float>(left) * gain[k] * static_cast<float>(whole);
            first[k] = mean + std * first[k];
            second[k] = gain[k] - first[k];
        }
        const Interval before{interval.start, middle, 2 * interval.key, interval.depth + 1};
        const Interval after{middle, interval.end, 2 * interval.key + 1, interval.depth + 1};
        if (from < middle) add(before, first, from, std::min(to, middle), sum);
        if (to > middle) add(after, second, std::max(from, middle), to, sum);
    }

    std::uint64_t entropy_;
    Shape shape_;
    Interval root_;
    Tensor<float> whole_;
};

}  // namespace detail

// A source of noise that takes the Brownian part from torchsde's trees over sigma_min..sigma_max of a run (its smallest
// sigma that is not 0, and its largest), and the rest from `source`. One seed makes one tree for the batch, as
// k-diffusion and diffusers do by default; one for each picture is the web UIs' way. The trees round sigma to a
// millionth: where another program's float32 sigma rounds otherwise, the noise differs by some thousandth.
template <class Source>
class TorchsdeNoise {
public:
    TorchsdeNoise(Source source, std::vector<std::uint64_t> seeds, double sigma_min, double sigma_max)
        : source_(std::move(source)), seeds_(std::move(seeds)), sigma_min_(sigma_min), sigma_max_(sigma_max) {
        check(!seeds_.empty(), "noise: no seeds for the trees");
    }

    template <class T>
    Tensor<T> start(const Shape& shape) {
        return source_.template start<T>(shape);
    }
    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t step, std::uint32_t draw) {
        return source_.template normals<T>(shape, step, draw);
    }

    // Throws Error when the sigmas are the same, outside of the run's, or there is not one seed for each picture.
    template <class T>
    Tensor<T> brownian(const Shape& shape, double sigma_from, double sigma_to, std::uint64_t /*step*/,
                       std::uint32_t /*draw*/) const {
        const auto trees = static_cast<Index>(seeds_.size());
        check(shape.rank() >= 2 && (trees == 1 || shape.dim(0) == trees), "noise: ", trees, " trees for pictures ",
              shape);
        const double from = held(sigma_from), to = held(sigma_to);
        const Shape part = shape.with(0, shape.dim(0) / trees);
        Tensor<T> result(shape);
        for (Index k = 0; k < trees; ++k) {
            const detail::TorchsdeTree tree(seeds_[static_cast<std::size_t>(k)], held(sigma_min_), held(sigma_max_),
                                            part);
            Tensor<float> gain = tree(std::min(from, to), std::max(from, to));
            const auto scale = static_cast<float>((from < to ? 1 : -1) * std::sqrt(std::abs(to - from)));
            for (float& value : gain) value /= scale;
            Tensor<T> out = result.slice(k * part.dim(0), (k + 1) * part.dim(0));
            detail::channels_last(gain, out);
        }
        return result;
    }

    static void visit(auto& self, auto&& f) { f("source", self.source_); }

private:
    // Those programs hold sigmas in float.
    static double held(double sigma) { return static_cast<double>(static_cast<float>(sigma)); }

    Source source_;
    std::vector<std::uint64_t> seeds_;
    double sigma_min_;
    double sigma_max_;
};

}  // namespace genmod::diffusion
