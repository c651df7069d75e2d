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
        return fill<T>(shape, {.purpose = Purpose::latent});
    }

    // The draw-th noise of a step.
    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t step, std::uint32_t draw) const {
        return fill<T>(shape, {.purpose = Purpose::noise, .step = step, .draw = draw});
    }

private:
    template <class T>
    Tensor<T> fill(const Shape& shape, const Stream& stream) const {
        check(shape.rank() >= 1 && shape.dim(0) == static_cast<Index>(seeds_.size()), "noise: ", seeds_.size(),
              " seeds for pictures ", shape);
        Tensor<T> result(shape);
        const Index size = shape.product(1, shape.rank());
        parallel_for(shape.dim(0), [&](Index k) {
            Stream own = stream;
            own.seed = seeds_[static_cast<std::size_t>(k)];
            fill_normal(own, result.data() + k * size, size);
        });
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
};

// The noise of one step, draw by draw, as samplers see it.
template <class Source>
class StepNoise {
public:
    StepNoise(const Source& source, std::uint64_t step) : source_(source), step_(step) {}

    // The next independent standard normals of this step.
    template <class T>
    Tensor<T> normals(const Shape& shape) {
        return source_.template normals<T>(shape, step_, draw_++);
    }

private:
    const Source& source_;
    std::uint64_t step_;
    std::uint32_t draw_ = 0;
};

}  // namespace genmod::diffusion
