// Rows of attention: NxTOKENSxHEADSxDIM, self-attention of heads that lie side by side in each token.
#include <cmath>

#include "benchmarks/families.hpp"
#include "benchmarks/shapes.hpp"
#include "genmod/kernels/attention.hpp"

using namespace genmod;

namespace benchmarks {

namespace {

Work prepare(const std::string& sizes) {
    const auto all = numbers(sizes, 4);
    const Index n = all[0], tokens = all[1], heads = all[2], dim = all[3], width = heads * dim;
    const auto operand = [&](std::uint64_t seed) { return random({n, tokens, width}, seed); };
    const auto run = [=, q = operand(1), k = operand(2), v = operand(3), y = operand(4)]() mutable {
        const auto heads_of = [&](const Tensor<float>& x) {
            return kernels::Heads<const float>{x.data(), tokens * width, width};
        };
        kernels::attention<float>({n, tokens, tokens, heads, dim}, 1 / std::sqrt(static_cast<float>(dim)), heads_of(q),
                                  heads_of(k), heads_of(v), {y.data(), tokens * width, width}, nullptr);
    };
    // Two products for each pair of tokens; the exponentials are not counted.
    return {.run = run, .gflop = 4e-9 * static_cast<double>(n * tokens * tokens * width)};
}

}  // namespace

std::vector<Family> attention_families() {
    return {{"attention", {"1x4096x8x40", "1x1024x8x40", "1x1024x8x80", "1x256x8x160", "64x49x4x32"}, prepare}};
}

}  // namespace benchmarks
