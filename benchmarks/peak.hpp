// The peak of this machine: what all others' GFLOP/s are measured by.
#pragma once

#include <algorithm>

#include "benchmarks/timing.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/kernels/impl/simd.hpp"

namespace benchmarks {

namespace detail {

inline constexpr int chains = 12;  // so many independent sums hide the latency of a multiply-add

// `rounds` multiply-adds on each of the chains, in registers alone. The sum is returned so that they are done.
inline float multiply_adds(int rounds) {
    using Batch = genmod::simd::Batch<float>;
    const Batch factor(0.999f), term(0.001f);
    Batch sum[chains], total(0.0f);  // all different: of equal ones the compiler keeps one
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) sum[i] = Batch(0.1f * static_cast<float>(i));
    for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) sum[i] = genmod::simd::fma<float>(sum[i], factor, term);
    }
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) total = total + sum[i];
    float kept[genmod::simd::lanes<float>];
    genmod::simd::store<float>(kept, total);
    return kept[0];
}

}  // namespace detail

// GFLOP/s of single-precision multiply-adds on all threads: the best of ten runs of some milliseconds.
inline double peak_gflops() {
    constexpr int rounds = 2000000;
    const int threads = genmod::thread_count();
    volatile float kept = 0;
    double best = 1e30;
    for (int run = 0; run < 10; ++run) {
        const double start = seconds();
        genmod::parallel_for(threads, [&](genmod::Index thread) {
            const float sum = detail::multiply_adds(rounds);
            if (thread == 0) kept = sum;
        });
        best = std::min(best, seconds() - start);
    }
    return 2e-9 * detail::chains * rounds * static_cast<double>(genmod::simd::lanes<float>) * threads / best;
}

}  // namespace benchmarks
