#include "genmod/nn/resblock.hpp"

#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace resblock_test {

using namespace genmod;

namespace {

// A small block whose norms are not the identity.
nn::ResBlock<double> block(nn::ResBlockOptions options, Rng& rng) {
    options.groups = 2;
    nn::ResBlock<double> result(options, rng);
    nn::for_each_leaf(result, [&](const std::string&, auto& leaf) {
        for (double& number : leaf.value()) number += 0.3 * rng.normal();
    });
    return result;
}

}  // namespace

TEST_CASE("gradients through residual blocks") {
    Rng rng(1);
    for (const bool scale_shift : {false, true}) {
        const auto net = block({.in = 4, .out = 6, .time = 3, .scale_shift = scale_shift, .output_scale = 2}, rng);
        const auto x = rng.normals<double>({2, 3, 4, 4}), time = rng.normals<double>({2, 3});
        test::require_gradient("ResBlock", [&](const auto& in) { return net(in[0], in[1]); }, {x, time});
        test::require_tangent(
            "ResBlock", [&](const auto& in) { return net(in, Var<double>(time)); }, x);
    }
}

TEST_CASE("a residual block begins with its input, and a scale divides the sum") {
    Rng rng(2);
    auto net = block({.in = 4, .out = 4, .output_scale = 2}, rng);
    net.conv2.weight.value().fill(0);
    net.conv2.bias.value().fill(0);
    const auto x = rng.normals<double>({1, 2, 3, 4});
    const auto y = net(x).value();
    for (Index k = 0; k < x.size(); ++k) REQUIRE(y[k] == x[k] / 2);
    REQUIRE_FALSE(net.conv_shortcut.has_value());
}

TEST_CASE("dropout acts inside residual blocks while training") {
    Rng rng(3);
    const auto net = block({.in = 4, .out = 4, .dropout = 0.5}, rng);
    const auto x = rng.normals<double>({1, 4, 4, 4});
    const auto calm = net(x).value();
    const Training step(1, 2);
    REQUIRE(net(x).value()[0] != calm[0]);
}

TEST_CASE("a residual block has time where it was built with it") {
    Rng rng(4);
    const auto timeless = block({.in = 2, .out = 2}, rng);
    const auto timed = block({.in = 2, .out = 2, .time = 3}, rng);
    const auto x = rng.normals<double>({1, 2, 2, 2}), time = rng.normals<double>({1, 3});
    REQUIRE_THROWS_AS(timeless(x, time), Error);
    REQUIRE_THROWS_AS(timed(x), Error);
    REQUIRE_THROWS_AS(timed(x, rng.normals<double>({1, 4})), Error);
    REQUIRE_THROWS_AS(timed(rng.normals<double>({2, 2, 2, 2}), rng.normals<double>({3, 3})), Error);
    REQUIRE_THROWS_AS(block({.in = 2, .out = 2, .scale_shift = true}, rng), Error);
    REQUIRE_THROWS_AS(block({.in = 3, .out = 2}, rng), Error);
}

}  // namespace resblock_test
