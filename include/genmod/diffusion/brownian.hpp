// Brownian motion over the noise levels, for samplers that solve the stochastic differential equation: the same path
// whatever steps ask for it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/types.hpp"

namespace genmod::diffusion {

// The time of the motion is the noise's share sigma / (1 + sigma) of a level with signal 1: 0 without noise, 1 at pure
// noise, and flow matching's own time. So the interval is [0, 1] for every schedule, and no run needs to say where it
// begins. Times are rounded to a grid of 2^-20, on which the motion is exact.
inline constexpr int brownian_depth = 20;

// The grid point of a sigma, in 0..2^20. Throws Error when sigma is negative or NaN.
inline Index brownian_time(double sigma) {
    check(sigma >= 0, "brownian: sigma ", sigma, " is not a noise level");
    const double share = sigma <= 1 ? sigma / (1 + sigma) : 1 / (1 + 1 / sigma);
    return static_cast<Index>(share * static_cast<double>(Index{1} << brownian_depth) + 0.5);
}

namespace detail {

struct BrownianTerm {
    std::uint32_t node = 0;
    double weight = 0;
};

// How much of node `node`'s normal W holds at `time`, in Levy's construction: node 0 is W(1), and node 2^d + k is the
// deviation of the middle of the k-th interval of length 2^-d from the mean of its ends.
inline double brownian_weight(std::uint32_t node, Index time) {
    const auto whole = static_cast<double>(Index{1} << brownian_depth);
    if (node == 0) return static_cast<double>(time) / whole;
    int level = 0;
    while ((node >> (level + 1)) != 0) ++level;
    const double length = whole / static_cast<double>(Index{1} << level);
    const double start = static_cast<double>(node - (std::uint32_t{1} << level)) * length;
    const double from_middle = std::abs(static_cast<double>(time) - start - length / 2);
    return std::max(0.0, length / 2 - from_middle) / std::sqrt(length * whole);
}

// (W(to) - W(from)) / sqrt(|to - from|) as a sum of independent normals: two for each level of the tree at most.
inline std::vector<BrownianTerm> brownian_terms(Index from, Index to) {
    std::vector<std::uint32_t> nodes{0};
    for (int level = 0; level < brownian_depth; ++level)
        for (const Index time : {std::min(from, to), std::max(from, to)}) {
            if ((time >> brownian_depth) != 0) continue;  // W(1) is node 0 alone
            const auto node = static_cast<std::uint32_t>((Index{1} << level) + (time >> (brownian_depth - level)));
            if (nodes.back() != node) nodes.push_back(node);
        }
    const double length = std::abs(static_cast<double>(to - from)) / static_cast<double>(Index{1} << brownian_depth);
    std::vector<BrownianTerm> terms;
    for (const std::uint32_t node : nodes) {
        const double weight = (brownian_weight(node, to) - brownian_weight(node, from)) / std::sqrt(length);
        if (weight != 0) terms.push_back({node, weight});
    }
    return terms;
}

}  // namespace detail

// Fills with (W(sigma_to) - W(sigma_from)) / sqrt(|difference of their times|): standard normals, independent for
// steps that do not overlap, whose unnormalised sum over the parts of a step is that of the step. Each number is a path
// of its own, and the path depends on the seed alone. Throws Error when the two sigmas share a time of the grid.
template <class T>
void fill_brownian(std::uint64_t seed, double sigma_from, double sigma_to, T* out, Index count) {
    const Index from = brownian_time(sigma_from), to = brownian_time(sigma_to);
    check(from != to, "brownian: sigma ", sigma_from, " and ", sigma_to, " are too close for the tree's grid");
    const auto terms = detail::brownian_terms(from, to);
    for (Index first = 0; first < count; first += 4) {
        std::array<double, 4> sum{};
        for (const detail::BrownianTerm& term : terms) {
            const Stream stream{.seed = seed, .purpose = Purpose::brownian, .step = term.node};
            const auto normals = genmod::detail::normal_block(stream, static_cast<std::uint32_t>(first / 4));
            for (std::size_t k = 0; k < 4; ++k) sum[k] += term.weight * normals[k];
        }
        for (Index k = 0; k < 4 && first + k < count; ++k)
            out[first + k] = static_cast<T>(sum[static_cast<std::size_t>(k)]);
    }
}

}  // namespace genmod::diffusion
