// Batches by chunks: the same numbers in the same places, and errors that reach the caller.
#include "genmod/nn/by_chunks.hpp"

#include <algorithm>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/mlp.hpp"

#include "tests/support/catch.hpp"

namespace by_chunks_test {

using namespace genmod;

TEST_CASE("a batch by chunks is the batch at once, on any number of threads") {
    Rng rng(1);
    const nn::Mlp<float> net(3, 5, rng, {.hidden = {32}});
    const auto ask = [&](const Tensor<float>& x) { return net(Var<float>(x)).value(); };
    for (const Index n : {1, 16, 17, 100}) {
        const Tensor<float> x = rng.normals<float>({n, 3});
        const Tensor<float> expected = ask(x);
        for (const int threads : {1, 2, 3, 7}) {
            const Threads scope(threads);
            const Tensor<float> found = nn::by_chunks(x, 16, ask);
            REQUIRE(found.shape() == Shape{n, 5});
            REQUIRE(std::equal(found.begin(), found.end(), expected.begin()));
        }
    }
}

TEST_CASE("an error in a chunk reaches the caller") {
    const auto x = Tensor<float>::zeros({50, 2});
    REQUIRE_THROWS_AS(
        nn::by_chunks(x, 8, [](const Tensor<float>&) -> Tensor<float> { fail(ErrorCode::argument, "no"); }), Error);
}

}  // namespace by_chunks_test
