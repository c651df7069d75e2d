#include "genmod/autograd/grad.hpp"

#include <thread>
#include <vector>

#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/linear.hpp"
#include "tests/support/catch.hpp"

namespace grad_test {

using namespace genmod;

namespace {

Var<double> leaf(std::vector<double> values) {
    return Var<double>::parameter(Tensor<double>::from({static_cast<Index>(values.size())}, values));
}

Tensor<double> ones(Index count) { return Tensor<double>::full({count}, 1.0); }

}  // namespace

TEST_CASE("gradients of a value used several times add up") {
    const Var<double> x = leaf({2, 3});
    const Var<double> y = ops::add(ops::mul(x, x), ops::add(x, x));  // x^2 + 2x
    const auto dx = grad(y, {x}, ones(2))[0];
    REQUIRE(dx[0] == 6);
    REQUIRE(dx[1] == 8);
    backward(y, ones(2));
    REQUIRE(x.grad()[1] == 8);
}

TEST_CASE("backward adds to the leaves until they are zeroed, and leaves constants alone") {
    Var<double> x = leaf({1, 2});
    const Var<double> c(Tensor<double>::from({2}, {5, 7}));
    for (int k = 1; k <= 3; ++k) {
        backward(ops::mul(x, c), ones(2));
        REQUIRE(x.grad()[0] == 5 * k);
    }
    x.zero_grad();
    REQUIRE(x.grad().empty());
    backward(ops::mul(x, c), ones(2));
    REQUIRE(x.grad()[1] == 7);
    REQUIRE_FALSE(c.requires_grad());
}

TEST_CASE("a graph may be walked more than once") {
    const Var<double> x = leaf({3});
    const Var<double> y = ops::mul(ops::mul(x, x), x);
    REQUIRE(grad(y, {x}, ones(1))[0][0] == 27);
    REQUIRE(grad(y, {x}, ones(1))[0][0] == 27);
}

TEST_CASE("grad touches nothing but what it returns") {
    const Var<double> x = leaf({2}), w = leaf({5}), unused = leaf({1, 1});
    const Var<double> h = ops::mul(x, w);
    const Var<double> y = ops::mul(h, h);
    const auto grads = grad(y, {x, h, unused}, ones(1));
    REQUIRE(grads[0][0] == 2 * 10 * 5);
    REQUIRE(grads[1][0] == 20);  // of a value inside
    REQUIRE(grads[2].shape() == Shape{2});
    REQUIRE(grads[2][0] == 0);
    REQUIRE(x.grad().empty());
    REQUIRE(w.grad().empty());
    REQUIRE(grad(y, {y}, ones(1))[0][0] == 1);
    REQUIRE(grad(y, {Var<double>(Tensor<double>::zeros({1}))}, ones(1))[0][0] == 0);  // a constant
}

TEST_CASE("a gradient that was handed out is not changed by a later one") {
    const Var<double> x = leaf({2});
    const Var<double> y = ops::add(x, x);
    const auto dy = ones(1);
    const auto first = grad(y, {x}, dy)[0];
    backward(y, dy);
    backward(y, dy);
    REQUIRE(dy[0] == 1);
    REQUIRE(first[0] == 2);
    REQUIRE(x.grad()[0] == 4);
    const Var<double> z = ops::add(x, leaf({1}));
    Tensor<double> seed = ones(1);
    Var<double> fresh = leaf({1});
    const Var<double> alone = ops::add(fresh, Var<double>(Tensor<double>::zeros({1})));
    backward(alone, seed);
    backward(alone, seed);
    REQUIRE(fresh.grad()[0] == 2);
    REQUIRE(seed[0] == 1);
}

TEST_CASE("only products that lead to the asked inputs are computed") {
    // A node that counts how often a gradient for its first and second input was asked for.
    const Var<double> x = leaf({1}), w = leaf({1});
    int first = 0, second = 0;
    Var<double> y(Tensor<double>::zeros({1}));
    y.attach({x, w}, [&](const Tensor<double>& dy, Sinks<double>& sinks) {
        if (sinks.wanted(0)) ++first, sinks.give(0, dy);
        if (sinks.wanted(1)) ++second, sinks.give(1, dy);
    });
    grad(y, {x}, ones(1));
    REQUIRE(first == 1);
    REQUIRE(second == 0);
    backward(y, ones(1));
    REQUIRE(first == 2);
    REQUIRE(second == 1);
}

TEST_CASE("without recording there are no nodes") {
    const Var<double> x = leaf({1});
    {
        const NoGrad off;
        REQUIRE_FALSE(ops::mul(x, x).requires_grad());
        const WithGrad on;
        REQUIRE(ops::mul(x, x).requires_grad());
    }
    REQUIRE(ops::mul(x, x).requires_grad());
    REQUIRE_FALSE(ops::mul(x, x).detach().requires_grad());
    const Var<double> c(ones(1));
    REQUIRE_FALSE(ops::mul(c, c).requires_grad());
}

TEST_CASE("what cannot be differentiated is an error") {
    const Var<double> x = leaf({1, 2}), c(ones(2));
    REQUIRE_THROWS_AS(backward(ops::mul(c, c), ones(2)), Error);
    REQUIRE_THROWS_AS(backward(ops::mul(x, c)), Error);  // more than one number
    REQUIRE_THROWS_AS(backward(ops::mul(x, c), ones(3)), Error);
    REQUIRE_THROWS_AS(grad(ops::mul(x, c), {x}, ones(1)), Error);
}

TEST_CASE("threads share a constant model and find the same gradients") {
    Rng rng(1);
    const auto w = Var<double>::parameter(rng.normals<double>({20, 20}));
    const auto x = rng.normals<double>({8, 20});
    const auto find = [&] {
        const auto leaf_x = Var<double>::parameter(x);
        Var<double> h = leaf_x;
        for (int k = 0; k < 5; ++k) h = ops::linear(h, w, Var<double>{});
        return grad(h, {leaf_x, w}, Tensor<double>::full({8, 20}, 1.0));
    };
    const auto expected = find();
    std::vector<int> equal(4, 0);
    std::vector<std::thread> threads;
    for (int& result : equal)
        threads.emplace_back([&] {
            result = 1;
            for (int round = 0; round < 20; ++round) {
                const auto found = find();
                for (std::size_t k = 0; k < 2; ++k)
                    if (!std::equal(found[k].begin(), found[k].end(), expected[k].begin())) result = 0;
            }
        });
    for (std::thread& thread : threads) thread.join();
    REQUIRE(equal == std::vector<int>(4, 1));
    REQUIRE(w.grad().empty());
}

TEST_CASE("a chain of 400,000 ops is walked and released without overflowing the stack") {
    const Var<double> x = leaf({1});
    Var<double> y = x;
    for (int k = 0; k < 400'000; ++k) y = ops::add_scalar(y, 1);
    REQUIRE(y.item() == 400'001);
    REQUIRE(grad(y, {x}, ones(1))[0][0] == 1);
    backward(y);
    REQUIRE(x.grad()[0] == 1);
    y = {};
}

TEST_CASE("a graph that forks and joins many times is walked in linear time, and released") {
    const Var<double> x = leaf({1});
    Var<double> y = x;
    for (int k = 0; k < 1000; ++k) y = ops::scale(ops::add(y, y), 0.5);  // 2^1000 paths
    REQUIRE(grad(y, {x}, ones(1))[0][0] == 1);
}

TEST_CASE("the order of making, not of using, decides the walk") {
    const Var<double> x = leaf({2});
    const Var<double> early = ops::mul(x, x);
    const Var<double> middle = ops::scale(early, 3);
    const Var<double> late = ops::mul(middle, early);  // 3 x^4
    REQUIRE(grad(late, {x}, ones(1))[0][0] == 12 * 8);
}

}  // namespace grad_test
