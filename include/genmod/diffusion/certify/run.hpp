// A run of any sampler behind one type, so that what measures it is compiled once.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sample.hpp"

namespace genmod::diffusion {

// What run_sampler() takes for a network.
using CertifyNetwork = std::function<Prediction<double>(const Tensor<double>& x, const NoiseLevel& level)>;

// A source of noise for run_sampler(), of any kind.
struct CertifyNoise {
    std::function<Tensor<double>(const Shape&, std::uint64_t step, std::uint32_t draw)> plain;
    std::function<Tensor<double>(const Shape&, double from, double to, std::uint64_t step, std::uint32_t draw)> way;

    template <class T>
    Tensor<T> normals(const Shape& shape, std::uint64_t step, std::uint32_t draw) const {
        return plain(shape, step, draw);
    }
    template <class T>
    Tensor<T> brownian(const Shape& shape, double from, double to, std::uint64_t step, std::uint32_t draw) const {
        return way(shape, from, to, step, draw);
    }
};

// Takes x through the levels with a fresh state; `after` is called after each step.
using CertifyRun =
    std::function<Tensor<double>(const CertifyNetwork& network, const Levels& levels, const Tensor<double>& x,
                                 const CertifyNoise& noise, const std::function<void(SampleStep<double>&)>& after)>;

// The runs of this sampler, a CertifyRun (what takes one is a template, so that only who certifies compiles it), of
// which the result keeps a copy.
template <class Sampler>
CertifyRun runs_of(Sampler sampler) {
    return [sampler = std::move(sampler)](const CertifyNetwork& network, const Levels& levels, const Tensor<double>& x,
                                          const CertifyNoise& noise,
                                          const std::function<void(SampleStep<double>&)>& after) {
        typename Sampler::template State<double> state;
        return run_sampler(network, sampler, levels, x, noise, state, 0, [&](SampleStep<double>& step) {
            if (after) after(step);
        });
    };
}

}  // namespace genmod::diffusion
