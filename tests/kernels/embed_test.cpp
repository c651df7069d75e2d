// Table look-up and its gradient against plain loops.
#include "genmod/kernels/embed.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace embed_test {

using namespace genmod;

TEST_CASE("look-up and its gradient agree with plain loops") {
    Rng rng(1);
    for (int trial = 0; trial < 110; ++trial) {
        const Index entries = 1 + trial % 9, width = 1 + trial * 7 % 70, count = trial % 23;
        const auto u = rng.uniforms<double>({count});
        std::vector<Index> indices;
        for (Index i = 0; i < count; ++i) indices.push_back(static_cast<Index>(u[i] * static_cast<double>(entries)));
        const auto table = rng.normals<float>({entries, width}), dy = rng.normals<float>({count, width});
        Tensor<float> y({count, width}), written({entries, width});
        kernels::embed(count, width, indices.data(), table.data(), y.data());
        Tensor<float> added = table.clone();
        kernels::embed_backward(count, width, entries, indices.data(), dy.data(), written.data(), Accumulate::write);
        kernels::embed_backward(count, width, entries, indices.data(), dy.data(), added.data(), Accumulate::add);
        for (Index at = 0; at < entries * width; ++at) {
            double sum = 0, bound = std::fabs(static_cast<double>(table[at]));
            for (Index i = 0; i < count; ++i) {
                const Index entry = indices[static_cast<std::size_t>(i)];
                if (entry == at / width) {
                    sum += static_cast<double>(dy[i * width + at % width]);
                    bound += std::fabs(static_cast<double>(dy[i * width + at % width]));
                }
            }
            const double allowed = 16 * std::numeric_limits<float>::epsilon() * bound;
            REQUIRE(std::fabs(static_cast<double>(written[at]) - sum) <= allowed);
            REQUIRE(std::fabs(static_cast<double>(added[at] - table[at]) - sum) <= 2 * allowed);
        }
        for (Index i = 0; i < count; ++i)
            REQUIRE(std::equal(y.begin() + i * width, y.begin() + (i + 1) * width,
                               table.begin() + indices[static_cast<std::size_t>(i)] * width));
    }
}

TEST_CASE("the gradient of a wide table is the same on any number of threads") {
    const Index width = 1000, count = 300;
    std::vector<Index> indices;
    for (Index i = 0; i < count; ++i) indices.push_back(i * i % 7);
    const auto dy = Rng(2).normals<float>({count, width});
    Tensor<float> one({7, width}), three({7, width});
    {
        const Threads threads(1);
        kernels::embed_backward(count, width, 7, indices.data(), dy.data(), one.data(), Accumulate::write);
    }
    const Threads threads(3);
    kernels::embed_backward(count, width, 7, indices.data(), dy.data(), three.data(), Accumulate::write);
    CHECK(std::equal(one.begin(), one.end(), three.begin()));
}

}  // namespace embed_test
