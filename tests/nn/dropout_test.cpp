#include "genmod/nn/dropout.hpp"

#include <cmath>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/checkpoint.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/ops/activation.hpp"
#include "tests/support/catch.hpp"

namespace dropout_test {

using namespace genmod;

namespace {

const Tensor<float>& ones() {
    static const auto x = Tensor<float>::full({4, 20000}, 1.0f);
    return x;
}

bool equal(const Tensor<float>& a, const Tensor<float>& b) {
    return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
}

Tensor<float> drop(const Tensor<float>& x, std::uint64_t seed, std::uint64_t step, double probability = 0.3) {
    const nn::Dropout layer(probability);
    const Training scope(seed, step);
    return layer(Var<float>(x)).value();
}

// Two layers with dropout between them, used twice.
struct Net : nn::Module {
    nn::Linear<double> first, second;
    nn::Dropout dropout;
    explicit Net(Rng& rng) : first(6, 8, rng), second(8, 6, rng), dropout(0.4) {}
    Var<double> operator()(const Var<double>& x) const { return dropout(second(dropout(ops::tanh(first(x))))); }
    static void visit(auto& self, auto&& f) {
        f("first", self.first);
        f("second", self.second);
    }
};

}  // namespace

TEST_CASE("outside of training dropout does nothing") {
    const nn::Dropout layer(0.5);
    const Var<float> x(ones());
    REQUIRE(layer(x).data() == x.data());
    const Training scope(1, 1);
    REQUIRE(nn::Dropout(0)(x).data() == x.data());
    REQUIRE(layer(x).data() != x.data());
}

TEST_CASE("dropout keeps the asked share and the mean") {
    const auto y = drop(ones(), 1, 1);
    Index kept = 0;
    for (const float value : y) {
        REQUIRE((value == 0.0f || value == static_cast<float>(1 / 0.7)));
        kept += value != 0.0f ? 1 : 0;
    }
    const double share = static_cast<double>(kept) / static_cast<double>(y.size());
    REQUIRE(std::fabs(share - 0.7) < 4 * std::sqrt(0.21 / static_cast<double>(y.size())));
}

TEST_CASE("masks depend on seed, step, place and sample, and on nothing else") {
    const auto y = drop(ones(), 1, 1);
    REQUIRE(equal(drop(ones(), 1, 1), y));
    REQUIRE_FALSE(equal(drop(ones(), 2, 1), y));
    REQUIRE_FALSE(equal(drop(ones(), 1, 2), y));
    REQUIRE(equal(drop(ones().slice(0, 1), 1, 1), y.slice(0, 1)));
    REQUIRE_FALSE(equal(y.slice(0, 1), y.slice(1, 2)));
    const nn::Dropout layer(0.3);
    const Training scope(1, 1);
    const auto first = layer(Var<float>(ones())).value(), second = layer(Var<float>(ones())).value();
    REQUIRE(equal(first, y));
    REQUIRE_FALSE(equal(second, y));
    for (const int count : {1, 2, 3}) {
        const Threads threads(count);
        REQUIRE(equal(drop(ones(), 1, 1), y));
    }
}

TEST_CASE("the gradient and the tangent pass where the value does") {
    const nn::Dropout layer(0.5);
    const Training scope(3, 4);
    const auto x = Var<float>::parameter(Tensor<float>::full({1, 50}, 2.0f));
    const Var<float> y = layer(x);
    const auto dx = grad(y, {x}, Tensor<float>::full({1, 50}, 1.0f))[0];
    for (Index k = 0; k < 50; ++k) REQUIRE(dx[k] == y.value()[k] / 2);
    const auto moved = layer(Dual<float>(x, Tensor<float>::full({1, 50}, 1.0f)));
    for (Index k = 0; k < 50; ++k) REQUIRE(moved.tangent.value()[k] == moved.value.value()[k] / 2);
}

TEST_CASE("a checkpointed module has the same value and gradients, with the same masks") {
    Rng rng(5);
    const Net net(rng);
    const auto x = Var<double>::parameter(rng.normals<double>({3, 6}));
    const auto dy = rng.normals<double>({3, 6});
    std::vector<Var<double>> asked = nn::parameters<double>(net);
    asked.push_back(x);
    const auto run = [&](bool checkpointed, bool training) {
        std::optional<Training> scope;
        if (training) scope.emplace(9, 1);
        const Var<double> h = net(x);  // moves the place on
        const Var<double> y = checkpointed ? nn::checkpoint(net, h) : net(h);
        const Var<double> z = nn::Dropout(0.5)(y);  // what follows is not disturbed
        auto results = grad(z, asked, dy);
        results.push_back(z.value());
        return results;
    };
    for (const bool training : {false, true}) {
        const auto plain = run(false, training), saved = run(true, training);
        for (std::size_t k = 0; k < plain.size(); ++k)
            for (Index i = 0; i < plain[k].size(); ++i) REQUIRE(saved[k][i] == Approx(plain[k][i]).epsilon(1e-13));
    }
    REQUIRE(run(true, true).back()[0] != run(true, false).back()[0]);
}

TEST_CASE("a probability that is none is an error") {
    REQUIRE_THROWS_AS(nn::Dropout(1.0), Error);
    REQUIRE_THROWS_AS(nn::Dropout(-0.1), Error);
    REQUIRE_THROWS_AS(nn::Dropout(std::nan("")), Error);
}

}  // namespace dropout_test
