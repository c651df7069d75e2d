// Where a sampling run takes its noise from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/brownian.hpp"

namespace genmod::diffusion {

// Noise that depends on nothing but (seed of the picture, step, draw): picture k of a batch gets what it would get
// alone.
class SeededNoise {
public:
    // One seed for each picture of the batch.
    explicit SeededNoise(std::vector<std::uint64_t> seeds) : seeds_(std::move(seeds)) {}

    // The noise that the run starts from.
    template <class T>
    Tensor<T> start(const Shape& shape) const {
        return normals_of<T>(shape, {.purpose = Purpose::latent});
    }

    // The draw-th noise of a step.
    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t step, std::uint32_t draw) const {
        return normals_of<T>(shape, {.purpose = Purpose::noise, .step = step, .draw = draw});
    }

    // The increment of each picture's own Brownian motion between two levels, see fill_brownian(): whatever the step.
    template <class T>
    Tensor<T> brownian(const Shape& shape, double sigma_from, double sigma_to, std::uint64_t /*step*/,
                       std::uint32_t /*draw*/) const {
        return each<T>(shape, [&](std::uint64_t seed, T* out, Index size) {
            fill_brownian(seed, sigma_from, sigma_to, out, size);
        });
    }

    // The seeds are all that a saved run needs.
    static void visit(auto& self, auto&& f) { f("seeds", self.seeds_); }

private:
    template <class T>
    Tensor<T> normals_of(const Shape& shape, const Stream& stream) const {
        return each<T>(shape, [&](std::uint64_t seed, T* out, Index size) {
            Stream own = stream;
            own.seed = seed;
            fill_normal(own, out, size);
        });
    }

    // fill(seed, numbers, size) for each picture.
    template <class T, class Fill>
    Tensor<T> each(const Shape& shape, Fill fill) const {
        check(shape.rank() >= 1 && shape.dim(0) == static_cast<Index>(seeds_.size()), "noise: ", seeds_.size(),
              " seeds for pictures ", shape);
        Tensor<T> result(shape);
        const Index size = shape.product(1, shape.rank());
        parallel_for(shape.dim(0),
                     [&](Index k) { fill(seeds_[static_cast<std::size_t>(k)], result.data() + k * size, size); });
        return result;
    }

    std::vector<std::uint64_t> seeds_;
};

// Noise that the caller has, for comparison with other programs: draw d of step k is number k * draws + d.
template <class Number>
struct GivenNoise {
    std::vector<Tensor<Number>> steps;
    std::uint32_t draws = 1;  // in each step

    // Throws Error when there is none of that step, or of another shape.
    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t step, std::uint32_t draw) const {
        const std::uint64_t k = step * draws + draw;
        check(draw < draws && k < steps.size() && steps[k].shape() == shape, "noise: none given for step ", step,
              ", draw ", draw, ", shape ", shape);
        return steps[k];
    }

    // The same draw, whatever the levels.
    template <class T>
    Tensor<T> brownian(const Shape& shape, double /*sigma_from*/, double /*sigma_to*/, std::uint64_t step,
                       std::uint32_t draw) const {
        return normals<T>(shape, step, draw);
    }
};

// The noise of one step, draw by draw, as samplers see it. The source may be const, or draw in the order of the calls.
template <class Source>
class StepNoise {
public:
    StepNoise(Source& source, std::uint64_t step) : source_(source), step_(step) {}

    // The next independent standard normals of this step.
    template <class T>
    Tensor<T> normals(const Shape& shape) {
        return source_.template normals<T>(shape, step_, draw_++);
    }

    // Standard normals that belong to the way from one level to another, each given by its noise at signal 1
    // (sigma_ve): what a Brownian motion gains there, over the root of its variance.
    template <class T>
    Tensor<T> brownian(const Shape& shape, double sigma_from, double sigma_to) {
        return source_.template brownian<T>(shape, sigma_from, sigma_to, step_, draw_++);
    }

private:
    Source& source_;
    std::uint64_t step_;
    std::uint32_t draw_ = 0;
};

}  // namespace genmod::diffusion
