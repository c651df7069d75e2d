// Rows of the matrix product.
#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/packed.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

Work prepare(const std::string& sizes, bool b_transposed) {
    const Product s(sizes);
    const auto run = [=, a = random({s.m, s.k}, 1), b = random({s.k, s.n}, 2),
                      c = Tensor<float>({s.m, s.n})]() mutable {
        const auto a_view = kernels::row_major(a.data(), s.m, s.k);
        const auto b_view = b_transposed ? kernels::transposed(kernels::row_major(b.data(), s.n, s.k))
                                         : kernels::row_major(b.data(), s.k, s.n);
        kernels::gemm(a_view, b_view, c.data(), s.n);
    };
    return {.run = run, .gflop = s.gflop()};
}

// With weights [n, k] that were packed beforehand; a and c hold such numbers.
template <class Number = float>
Work prepare_packed(const std::string& sizes, Precision precision) {
    const Product s(sizes);
    const Tensor<float> weight = random({s.n, s.k}, 2);
    const auto run = [=, a = random_as<Number>({s.m, s.k}, 1),
                      packed = kernels::pack_weights(weight.data(), s.n, s.k, precision),
                      c = Tensor<Number>({s.m, s.n})]() mutable {
        kernels::gemm_packed(kernels::row_major(a.data(), s.m, s.k), packed, c.data(), s.n);
    };
    return {.run = run, .gflop = s.gflop()};
}

Work prepare_full(const std::string& sizes) { return prepare_packed(sizes, Precision::full); }
Work prepare_bf16(const std::string& sizes) { return prepare_packed(sizes, kernels::fastest_bf16()); }
Work prepare_rounded(const std::string& sizes) { return prepare_packed<bf16>(sizes, Precision::bf16_tiles); }
Work prepare_pairs(const std::string& sizes) { return prepare_packed(sizes, Precision::bf16); }

Work prepare_product(const std::string& sizes) { return prepare(sizes, false); }
Work prepare_linear(const std::string& sizes) { return prepare(sizes, true); }

}  // namespace

std::vector<Family> product_families() {
    const std::vector<std::string> packed_sizes{"1024x1024x1024", "2048x2048x2048", "4096x320x2880",
                                                "1024x640x5760",  "256x1280x11520", "4096x320x320",
                                                "64x1280x1280",   "77x768x768",     "1x1280x1280"};
    return {{"product",
             {"64x64x64", "256x256x256", "512x512x512", "1024x1024x1024", "2048x2048x2048", "4096x320x2880",
              "1024x640x5760", "256x1280x11520", "4096x320x320", "4096x2560x320", "64x1280x1280", "256x128x1152",
              "1x1280x1280"},
             prepare_product},
            {"linear",  // b lies transposed, [n, k], as the weights of layers do
             {"4096x320x2880", "1024x640x5760", "256x1280x11520", "4096x320x320", "64x1280x1280", "256x128x1152",
              "1x1280x1280", "2x1280x1280", "8x1280x1280", "64x256x128", "512x128x2", "512x4x128"},
             prepare_linear},
            {"packed", packed_sizes, prepare_full},
            {"bf16_packed", packed_sizes, prepare_bf16},
            {"bf16_rounded", packed_sizes, prepare_rounded},
            {"bf16_pairs", packed_sizes, prepare_pairs}};
}

}  // namespace benchmarks
