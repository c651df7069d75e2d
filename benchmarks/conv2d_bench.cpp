// Speed of convolution and its gradients, as GFLOP/s of direct convolution: Winograd passes the peak of the machine.
// Run as: OMP_PROC_BIND=true OMP_PLACES=cores conv2d_bench [threads]
#include <cstdio>
#include <cstdlib>

#include "benchmarks/timing.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/conv2d.hpp"

using namespace genmod;
using namespace benchmarks;

namespace {

kernels::ConvShape square(Index n, Index side, Index in, Index out, Index kernel = 3, Index stride = 1) {
    kernels::ConvShape shape{.n = n,
                             .height = side,
                             .width = side,
                             .in = in,
                             .out = out,
                             .kernel_h = kernel,
                             .kernel_w = kernel,
                             .stride = stride,
                             .pad_top = (kernel - 1) / 2,
                             .pad_left = (kernel - 1) / 2};
    shape.out_height = shape.out_width = (side + 2 * shape.pad_top - kernel) / stride + 1;
    return shape;
}

void measure(const kernels::ConvShape& s, Rng& rng) {
    Tensor<float> x = rng.uniforms<float>({s.n, s.height, s.width, s.in}, -1, 1);
    Tensor<float> y = rng.uniforms<float>({s.n, s.out_height, s.out_width, s.out}, -1, 1);
    Tensor<float> weight = rng.uniforms<float>({s.out, s.kernel_h, s.kernel_w, s.in}, -1, 1);
    const double flop = 2.0 * static_cast<double>(y.size() * s.kernel_h * s.kernel_w * s.in);
    const double times[] = {
        best([&] { kernels::conv2d(s, x.data(), weight.data(), y.data()); }),
        best([&] { kernels::conv2d_backward_input(s, y.data(), weight.data(), x.data()); }),
        best([&] { kernels::conv2d_backward_weight(s, x.data(), y.data(), weight.data(), Accumulate::write); })};
    std::printf("%3lld x %3lld^2 x %4lld -> %4lld, kernel %lld stride %lld:", static_cast<long long>(s.n),
                static_cast<long long>(s.height), static_cast<long long>(s.in), static_cast<long long>(s.out),
                static_cast<long long>(s.kernel_h), static_cast<long long>(s.stride));
    const char* const names[] = {"forward", "to input", "to weight"};
    for (int i = 0; i < 3; ++i) std::printf("  %s %8.3f ms (%4.0f)", names[i], times[i] * 1e3, flop / times[i] / 1e9);
    std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
    Rng rng(1);
    const Threads scope(argc > 1 ? std::atoi(argv[1]) : thread_count());
    std::printf("%d threads, ms and GFLOP/s of direct convolution\n", thread_count());
    const kernels::ConvShape shapes[] = {
        square(64, 28, 32, 32),        square(64, 14, 64, 64),    square(64, 7, 128, 128),
        square(64, 7, 256, 128),       square(64, 7, 192, 128),   square(64, 14, 192, 64),
        square(64, 14, 96, 64),        square(64, 28, 96, 32),    square(64, 28, 64, 32),
        square(64, 28, 1, 32),         square(64, 28, 32, 1),     square(64, 28, 32, 64, 3, 2),
        square(64, 14, 64, 64, 3, 2),  square(64, 28, 64, 32, 1), square(64, 7, 256, 128, 1),
        square(128, 28, 32, 64, 4, 2), square(1, 64, 320, 320),   square(2, 32, 640, 640),
        square(2, 16, 1280, 1280),     square(1, 8, 1280, 1280),  square(1, 64, 960, 320),
        square(1, 128, 256, 256),      square(1, 64, 320, 4),     square(1, 64, 4, 320)};
    for (const kernels::ConvShape& shape : shapes) measure(shape, rng);
}
