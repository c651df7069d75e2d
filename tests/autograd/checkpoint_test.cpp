#include "genmod/autograd/checkpoint.hpp"

#include <algorithm>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace checkpoint_test {

using namespace genmod;
using Vars = std::vector<Var<double>>;

TEST_CASE("a checkpointed function passes the gradient check") {
    Rng rng(1);
    test::require_gradient(
        "checkpoint",
        [](const Vars& in) {
            const Var<double> w = in[2];
            return checkpoint<double>(
                [w](const Vars& x) { return ops::tanh(ops::linear(ops::mul(x[0], x[1]), w, Var<double>{})); },
                {in[0], in[1]}, {w});
        },
        {rng.normals<double>({3, 4}), rng.normals<double>({3, 4}), rng.normals<double>({2, 4})});
}

TEST_CASE("nested checkpoints and inputs that need no gradient work") {
    const auto x = Var<double>::parameter(Tensor<double>::full({1}, 3.0));
    const Var<double> c(Tensor<double>::full({1}, 2.0));
    const auto square = [](const Vars& in) { return ops::mul(in[0], in[0]); };
    const auto nested = [&](const Vars& in) { return ops::mul(checkpoint<double>(square, {in[0]}, {}), in[1]); };
    const Var<double> y = checkpoint<double>(nested, {x, c}, {});  // 2 x^2
    REQUIRE(y.item() == 18);
    REQUIRE(grad(y, {x}, Tensor<double>::full({1}, 1.0))[0].item() == 12);
    REQUIRE_FALSE(checkpoint<double>(square, {c}, {}).requires_grad());
    const NoGrad off;
    REQUIRE_FALSE(checkpoint<double>(square, {x}, {}).requires_grad());
}

TEST_CASE("a checkpoint calls the function once forward and once on the way back, with the same places") {
    const auto x = Var<double>::parameter(Tensor<double>::full({1}, 3.0));
    std::vector<std::uint32_t> places;
    int statistics = 0;
    Training step(1, 1);
    step.next_place();
    const Var<double> y = checkpoint<double>(
        [&](const Vars& in) {
            places.push_back(training()->next_place());
            training()->collect(places.back(), [&] { ++statistics; });
            return ops::mul(in[0], in[0]);
        },
        {x}, {});
    REQUIRE(step.place() == 2);
    step.next_place();
    backward(y);
    REQUIRE(places == std::vector<std::uint32_t>{1, 1});
    REQUIRE(step.place() == 3);
    step.commit();
    REQUIRE(statistics == 1);
}

TEST_CASE("an exception on the way back leaves the places as they were") {
    const auto x = Var<double>::parameter(Tensor<double>::full({1}, 3.0));
    Training step(1, 1);
    int calls = 0;
    const Var<double> y = checkpoint<double>(
        [&](const Vars& in) {
            step.next_place();
            check(++calls < 2, "the second time");
            return ops::mul(in[0], in[0]);
        },
        {x}, {});
    step.next_place();
    REQUIRE_THROWS_AS(backward(y), Error);
    REQUIRE(step.place() == 2);
}

TEST_CASE("a checkpoint of a training step cannot be walked back outside of it") {
    const auto x = Var<double>::parameter(Tensor<double>::full({1}, 3.0));
    const auto square = [](const Vars& in) { return ops::mul(in[0], in[0]); };
    Var<double> y;
    {
        const Training step(1, 1);
        y = checkpoint<double>(square, {x}, {});
    }
    REQUIRE_THROWS_AS(backward(y), Error);
}

}  // namespace checkpoint_test
