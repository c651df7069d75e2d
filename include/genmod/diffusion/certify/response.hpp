// What a sampler does to the mean and the variance of Gaussian data, to rounding and without a single random number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/certify/probe_noise.hpp"
#include "genmod/diffusion/certify/run.hpp"
#include "genmod/diffusion/level.hpp"

namespace genmod::diffusion {

// A run on Gaussian data is x_k = offset_k + gain_k x_first + sum_j (gain of normal j) z_j after k + 1 steps, since
// exact predictions are then affine in x.
struct Response {
    std::vector<double> offset, gain;  // [steps]
    std::vector<double> renewed;       // [steps]: the variance that the run's noise brings
    double defect = 0;                 // how far a run with everything at once is from this sum: rounding, if affine
    Index normals = 0;                 // how many were drawn
    Index calls = 0;                   // questions to the network

    // Of the law after step k, from a start of this mean and variance.
    double mean(std::size_t k, double start) const { return offset[k] + gain[k] * start; }
    double variance(std::size_t k, double start) const { return gain[k] * gain[k] * start + renewed[k]; }
};

// Runs a batch in which each picture gets one part of what comes in, and one picture all of it. x is [pictures, 1].
Response response_of(const auto& run, const CertifyNetwork& network, const Levels& levels) {
    ProbeNoise noise;
    Response result;
    const auto counted = [&](const Tensor<double>& x, const NoiseLevel& level) {
        ++result.calls;
        return network(x, level);
    };
    run(counted, levels, Tensor<double>::zeros({1, 1}), noise.listen(), {});
    const Index normals = result.normals = noise.count(), pictures = normals + 3;
    // Picture 0: nothing; 1: the start; 2..normals + 1: one normal each; the last: some of everything.
    Rng rng(1);
    Tensor<double> start = Tensor<double>::zeros({pictures, 1});
    Tensor<double> parts = Tensor<double>::zeros({pictures, std::max<Index>(1, normals)});
    start[1] = 1;
    start[pictures - 1] = rng.normal();
    for (Index j = 0; j < normals; ++j) {
        parts[(j + 2) * normals + j] = 1;
        parts[(pictures - 1) * normals + j] = rng.normal();
    }
    run(network, levels, start, noise.play(parts), [&](SampleStep<double>& step) {
        const Tensor<double>& x = step.x;
        double sum = x[0] + start[pictures - 1] * (x[1] - x[0]), renewed = 0, scale = std::fabs(x[1] - x[0]);
        for (Index j = 0; j < normals; ++j) {
            const double gain = x[j + 2] - x[0];
            sum += parts[(pictures - 1) * normals + j] * gain;
            renewed += gain * gain;
        }
        scale += std::sqrt(renewed) + std::fabs(x[0]);
        result.offset.push_back(x[0]);
        result.gain.push_back(x[1] - x[0]);
        result.renewed.push_back(renewed);
        result.defect = std::max(result.defect, std::fabs(sum - x[pictures - 1]) / std::max(scale, 1e-300));
    });
    return result;
}

}  // namespace genmod::diffusion
