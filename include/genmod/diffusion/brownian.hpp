// Brownian motion over the noise levels, for samplers that solve the stochastic differential equation: the same path
// whatever steps ask for it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/rng_wide.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// The time of the motion is the noise's share sigma / (1 + sigma) of a level with signal 1: 0 without noise, 1 at pure
// noise, and flow matching's own time. So the interval is [0, 1] for every schedule, and no run needs to say where it
// begins. Times are rounded to a grid of 2^-16, on which the motion is exact; increments within one cell of it take one
// of 2^-30.
inline constexpr int brownian_depth = 16;

// The point of the grid of 2^-depth nearest to a sigma, in 0..2^depth. Throws Error when sigma is negative or NaN.
inline Index brownian_time(double sigma, int depth = brownian_depth) {
    check(sigma >= 0, "brownian: sigma ", sigma, " is not a noise level");
    const double share = sigma <= 1 ? sigma / (1 + sigma) : 1 / (1 + 1 / sigma);
    return static_cast<Index>(std::ldexp(share, depth) + 0.5);
}

namespace detail {

struct BrownianTerm {
    std::uint32_t node = 0;
    float weight = 0;
};

// How much of a node's normal W holds at `time`, in Levy's construction: node 2^level + k is the deviation of the
// middle of the k-th interval of length 2^-level from the mean of its ends.
inline double brownian_weight(std::uint32_t node, int level, double time) {
    const double length = std::ldexp(1.0, -level);
    const double middle = (static_cast<double>(node) + 0.5) * length - 1;
    return std::max(0.0, length / 2 - std::abs(time - middle)) / std::sqrt(length);
}

// (W(to) - W(from)) / sqrt(|to - from|) as a sum of independent normals: W(1), which is node 0, and two of each level
// of the tree at most.
inline std::vector<BrownianTerm> brownian_terms(Index from, Index to, int depth) {
    const double t0 = std::ldexp(static_cast<double>(from), -depth), t1 = std::ldexp(static_cast<double>(to), -depth);
    const double scale = 1 / std::sqrt(std::abs(t1 - t0));
    std::vector<BrownianTerm> terms{{0, static_cast<float>((t1 - t0) * scale)}};
    for (int level = 0; level < depth; ++level) {
        // The last time of all lies in no interval that begins there, and no interval has weight at its end.
        const Index last = (Index{1} << level) - 1;
        const Index low = std::min(last, std::min(from, to) >> (depth - level));
        const Index high = std::min(last, std::max(from, to) >> (depth - level));
        for (Index place = low; place <= high; place += std::max(Index{1}, high - low)) {
            const auto node = static_cast<std::uint32_t>((Index{1} << level) + place);
            const double weight = (brownian_weight(node, level, t1) - brownian_weight(node, level, t0)) * scale;
            if (weight != 0) terms.push_back({node, static_cast<float>(weight)});
        }
    }
    return terms;
}

}  // namespace detail

// Fills with (W(sigma_to) - W(sigma_from)) / sqrt(|difference of their times|): standard normals (in single precision),
// independent for steps that do not overlap, whose unnormalised sum over the parts of a step is that of the step. Each
// number is a path of its own, and the path depends on the seed alone. Throws Error when the sigmas do not differ.
template <class T>
void fill_brownian(std::uint64_t seed, double sigma_from, double sigma_to, T* out, Index count) {
    const int depth = brownian_time(sigma_from) != brownian_time(sigma_to) ? brownian_depth : 30;
    const Index from = brownian_time(sigma_from, depth), to = brownian_time(sigma_to, depth);
    check(from != to, "brownian: nothing lies between sigma ", sigma_from, " and ", sigma_to);
    const auto terms = detail::brownian_terms(from, to, depth);
    for (Index first = 0; first < count; first += 64) {
        WideNormals sum{};
        for (const detail::BrownianTerm& term : terms) {
            const Stream stream{.seed = seed, .purpose = Purpose::brownian, .step = term.node};
            const WideNormals normals = wide_normals(stream, static_cast<std::uint32_t>(first / 64));
            for (std::size_t row = 0; row < 4; ++row)
                for (std::size_t k = 0; k < 16; ++k) sum.x[row][k] += term.weight * normals.x[row][k];
        }
        for (Index k = 0; k < 64 && first + k < count; ++k) out[first + k] = static_cast<T>(sum.x[k / 16][k % 16]);
    }
}

}  // namespace genmod::diffusion
