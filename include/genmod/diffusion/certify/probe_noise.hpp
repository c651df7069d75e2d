// Noise of which each picture of a batch gets a known part, to measure what a sampler makes of each of its draws.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/brownian.hpp"
#include "genmod/diffusion/certify/run.hpp"

namespace genmod::diffusion {

// The independent normals that a run's noise is made of: one for each plain draw, and one for each piece of Brownian
// time that no draw of the run divides further.
class ProbeNoise {
public:
    // Silence that notes what is drawn. The ProbeNoise must outlive it, as it must the ones of play().
    CertifyNoise listen() {
        return {[this](const Shape& shape, std::uint64_t step, std::uint32_t draw) {
                    if (place_of(step, draw) == plain_.size()) plain_.push_back({step, draw});
                    return Tensor<double>::zeros(shape);
                },
                [this](const Shape& shape, double from, double to, std::uint64_t, std::uint32_t) {
                    times_.insert({brownian_time(from), brownian_time(to)});
                    return Tensor<double>::zeros(shape);
                }};
    }

    // How many normals there are.
    Index count() const {
        return static_cast<Index>(plain_.size()) + std::max<Index>(0, static_cast<Index>(times_.size()) - 1);
    }

    // Picture k of the batch gets parts[k, j] of normal j, in each of its numbers; all get none in step `muted`. Throws
    // Error, in the run, when something is drawn that listen() has not heard.
    CertifyNoise play(const Tensor<double>& parts, std::int64_t muted = -1) const {
        const auto is_muted = [muted](std::uint64_t step) { return static_cast<std::int64_t>(step) == muted; };
        return {[this, parts, is_muted](const Shape& shape, std::uint64_t step, std::uint32_t draw) {
                    const std::size_t normal = place_of(step, draw);
                    check(normal < plain_.size(), "certify: the sampler draws other noise in another run (step ", step,
                          ", draw ", draw, ")");
                    return spread(shape, parts, {{static_cast<Index>(normal), is_muted(step) ? 0.0 : 1.0}});
                },
                [this, parts, is_muted](const Shape& shape, double from, double to, std::uint64_t step, std::uint32_t) {
                    return spread(shape, parts, is_muted(step) ? Terms{} : pieces(from, to));
                }};
    }

private:
    using Terms = std::vector<std::pair<Index, double>>;  // normal, weight

    struct Draw {
        std::uint64_t step;
        std::uint32_t draw;
    };

    // Which plain draw it is; their number where it is none of them.
    std::size_t place_of(std::uint64_t step, std::uint32_t draw) const {
        std::size_t place = 0;
        while (place < plain_.size() && (plain_[place].step != step || plain_[place].draw != draw)) ++place;
        return place;
    }

    // The sum of the terms for each picture, in all of its numbers.
    static Tensor<double> spread(const Shape& shape, const Tensor<double>& parts, const Terms& terms) {
        check(shape.rank() >= 1 && shape.dim(0) == parts.dim(0), "certify: the sampler draws noise of shape ", shape,
              " for ", parts.dim(0), " pictures");
        Tensor<double> noise = Tensor<double>::zeros(shape);
        const Index size = shape.product(1, shape.rank());
        for (Index k = 0; k < noise.size(); ++k)
            for (const auto& [normal, weight] : terms) noise[k] += weight * parts[k / size * parts.dim(1) + normal];
        return noise;
    }

    // (W(to) - W(from)) / sqrt(|to - from|) from the pieces between.
    Terms pieces(double from, double to) const {
        const Index a = brownian_time(from), b = brownian_time(to);
        check(times_.count(a) == 1 && times_.count(b) == 1, "certify: the sampler asks for other noise in another run");
        const double sign = a < b ? 1 : -1, whole = std::abs(static_cast<double>(b - a));
        Terms terms;
        Index normal = static_cast<Index>(plain_.size());
        for (auto time = times_.begin(); std::next(time) != times_.end(); ++time, ++normal)
            if (*time >= std::min(a, b) && *time < std::max(a, b))
                terms.push_back({normal, sign * std::sqrt(static_cast<double>(*std::next(time) - *time) / whole)});
        return terms;
    }

    std::vector<Draw> plain_;
    std::set<Index> times_;
};

}  // namespace genmod::diffusion
