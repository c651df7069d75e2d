// Speed of the matrix product: GFLOP/s and the share of the measured peak of one core times the threads.
// Run as: OMP_PROC_BIND=true OMP_PLACES=cores gemm_bench [threads ...]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "benchmarks/timing.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/simd.hpp"

using namespace genmod;
using namespace benchmarks;

namespace {

// GFLOP/s of one core by fused multiply-adds on registers alone.
double peak() {
    using Batch = simd::Batch<float>;
    constexpr int chains = 12, rounds = 1000000;
    Batch total(0.0f);
    const Batch factor(0.999f), term(0.001f);
    const double time = best([&] {
        Batch sum[chains];  // all different: of equal ones the compiler keeps one
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) sum[i] = Batch(0.1f * static_cast<float>(i));
        for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
            for (int i = 0; i < chains; ++i) sum[i] = simd::fma<float>(sum[i], factor, term);
        }
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) total = total + sum[i];
    });
    float kept[simd::lanes<float>];
    simd::store<float>(kept, total);
    std::printf("(%g) ", static_cast<double>(kept[0]));  // so that the loop is not thrown away
    return 2.0 * chains * rounds * static_cast<double>(simd::lanes<float>) / time / 1e9;
}

struct Sizes {
    Index m, n, k;
    bool b_transposed;
};

void measure(const Sizes& shape, int threads, double core_peak, Rng& rng) {
    const Tensor<float> a = rng.uniforms<float>({shape.m, shape.k}, -1, 1);
    const Tensor<float> b = rng.uniforms<float>({shape.k, shape.n}, -1, 1);
    Tensor<float> c({shape.m, shape.n});
    const auto a_view = kernels::row_major(a.data(), shape.m, shape.k);
    const auto b_view = shape.b_transposed ? kernels::transposed(kernels::row_major(b.data(), shape.n, shape.k))
                                           : kernels::row_major(b.data(), shape.k, shape.n);
    const Threads scope(threads);
    const double time = best([&] { kernels::gemm(a_view, b_view, c.data(), shape.n); });
    const double rate = 2.0 * static_cast<double>(shape.m * shape.n * shape.k) / time / 1e9;
    std::printf("%5lld x %5lld x %5lld %-3s %d threads %10.1f us %7.1f GFLOP/s  %3.0f %%\n",
                static_cast<long long>(shape.m), static_cast<long long>(shape.n), static_cast<long long>(shape.k),
                shape.b_transposed ? "b'" : "b", threads, time * 1e6, rate, 100 * rate / core_peak / threads);
}

}  // namespace

int main(int argc, char** argv) {
    Rng rng(1);
    std::vector<int> thread_counts;
    for (int i = 1; i < argc; ++i) thread_counts.push_back(std::atoi(argv[i]));
    if (thread_counts.empty()) thread_counts = {1, thread_count()};
    const double core_peak = peak();
    std::printf("one core: %.1f GFLOP/s of multiply-adds on registers\n", core_peak);
    const Sizes shapes[] = {{64, 64, 64, false},       {256, 256, 256, false},    {512, 512, 512, false},
                            {1024, 1024, 1024, false}, {2048, 2048, 2048, false}, {4096, 320, 320, true},
                            {4096, 320, 2880, true},   {1024, 640, 5760, true},   {256, 1280, 11520, true},
                            {64, 1280, 1280, true},    {256, 128, 1152, true},    {1, 1280, 1280, true},
                            {2, 1280, 1280, true},     {8, 1280, 1280, true},     {1, 1280, 1280, false},
                            {64, 256, 128, true},      {512, 128, 2, true},       {512, 4, 128, true}};
    for (const int threads : thread_counts)
        for (const Sizes& shape : shapes) measure(shape, threads, core_peak, rng);
}
