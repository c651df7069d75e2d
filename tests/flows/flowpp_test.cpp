// Flow++ against its formulas in PyTorch; its maps against their inverses and Jacobians.
#include "genmod/flows/flowpp.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/flows/audit.hpp"
#include "genmod/nn/mlp.hpp"
#include "tests/support/golden_module.hpp"
#include "tests/support/gradient.hpp"

namespace flowpp_test {

using namespace genmod;
using flows::GatedAttentionOptions;
using flows::LogisticMixture;
using flows::Mask;
using test::Golden;

namespace {

constexpr GatedAttentionOptions golden_net{.filters = 8, .blocks = 2, .heads = 2, .dropout = 0, .context = 3};

template <class T>
Tensor<T> scaled_normals(Rng& rng, const Shape& shape, double scale) {
    Tensor<T> x = rng.normals<T>(shape);
    for (T& value : x) value *= static_cast<T>(scale);
    return x;
}

// The largest |inverse(forward(x)) - x| over single numbers under random mixtures, in parts of 1 + |x|.
template <class T>
double worst_inverse(Rng& rng, Index components, double spread) {
    const LogisticMixture<T> element({.components = components});
    const Var<T> x(scaled_normals<T>(rng, {40, 1}, 3));
    const Var<T> numbers(scaled_normals<T>(rng, {40, element.parameters()}, spread));
    const auto there = element.forward(x, numbers), back = element.inverse(there.y, numbers);
    double worst = 0;
    for (Index k = 0; k < x.size(); ++k) {
        // What a change of y in its last digit does to x is not the solver's fault.
        const double y = std::abs(static_cast<double>(there.y.value()[k])) + 1;
        const double slope = std::min(1.0, std::exp(static_cast<double>(there.log_det.value()[k])) / y);
        const double error = std::abs(static_cast<double>(back.y.value()[k] - x.value()[k]));
        worst = std::max(worst, error * slope / (1 + std::abs(static_cast<double>(x.value()[k]))));
    }
    return worst;
}

}  // namespace

TEST_CASE("the mixture of logistics is Flow++'s, far out too") {
    const Golden golden("flowpp.safetensors");
    const LogisticMixture<double> element({.components = 4});
    test::check_layer<double>(golden, "mixture", {"x", "numbers"}, [&](const auto& in) {
        const auto found = element.forward(in[0], in[1]);
        return ops::concat({found.y, found.log_det}, -1);
    });
}

TEST_CASE("gated attention and the coupling beside it are Flow++'s") {
    const Golden golden("flowpp.safetensors");
    Rng rng(1);
    flows::GatedAttentionNet<double> net({4, 3, 2}, 5, rng, golden_net);
    test::check_module<double>(golden, "net", net, {"x", "context"}, [&](const auto& in) { return net(in[0], in[1]); });
    flows::GatedAttentionNet<double> beside({4, 3, 2}, 2 * 14, rng, golden_net);
    const LogisticMixture<double> element({.components = 4});
    test::check_module<double>(golden, "coupling", beside, {"x", "context"}, [&](const auto& in) {
        const auto seen = flows::kept(Mask::second_half, in[0]);
        const auto moved = element.forward(flows::moved(Mask::second_half, in[0]), beside(seen, in[1]));
        const auto y = flows::joined(Mask::second_half, seen, moved.y);
        const auto log_det = flows::per_sample(moved.log_det);
        return ops::concat({ops::flatten(y), ops::reshape(log_det, {2, 1})}, 1);
    });
    REQUIRE_THROWS_AS(net(Var<double>(Tensor<double>::zeros({1, 4, 3, 2}))), Error);
    REQUIRE_THROWS_AS(flows::GatedAttentionNet<double>({4, 3, 2}, 5, rng, {.filters = 9}), Error);
}

TEST_CASE("mixtures of logistics invert, and both ways have gradients") {
    Rng rng(2);
    for (int k = 0; k < 40; ++k) {
        const Index components = 1 + k % 9;
        const double spread = k % 3 == 0 ? 2.5 : 1;
        INFO("case " << k);
        REQUIRE(worst_inverse<double>(rng, components, spread) < 1e-11);
        REQUIRE(worst_inverse<float>(rng, components, spread) < 4e-6);
    }
    const LogisticMixture<double> element({.components = 3});
    const auto x = scaled_normals<double>(rng, {2, 2}, 1), numbers = scaled_normals<double>(rng, {2, 22}, 0.7);
    for (const bool forward : {true, false}) {
        const GradCheck result = check_grad(
            [&](const auto& in) {
                const auto found = forward ? element.forward(in[0], in[1]) : element.inverse(in[0], in[1]);
                return ops::concat({found.y, found.log_det}, -1);
            },
            {x, numbers});
        INFO((forward ? "forward: " : "inverse: ") << result.where);
        REQUIRE(result.ok());
    }
    // A number's solution does not depend on the others.
    const Var<double> all(x), some(x.slice(1, 2)), own(numbers.slice(1, 2));
    const auto together = element.inverse(all, Var<double>(numbers)).y.value();
    const auto alone = element.inverse(some, own).y.value();
    REQUIRE((together[2] == alone[0] && together[3] == alone[1]));
    REQUIRE_THROWS_AS(LogisticMixture<double>({.components = 0}), Error);
    REQUIRE_THROWS_AS(element.forward(all, own), Error);
}

TEST_CASE("every layer of Flow++ keeps its promises") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Rng rng(seed);
        auto flow = flows::flowpp<double>({2, 4, 1}, rng,
                                          {.column_couplings = 2,
                                           .last_couplings = 1,
                                           .mixture = {.components = 3},
                                           .network = {.filters = 6, .blocks = 1, .heads = 2, .dropout = 0}});
        nn::for_each_leaf(flow, [&](const std::string&, auto& leaf) {
            if constexpr (requires { leaf.requires_grad(); })
                for (double& number : leaf.value()) number += 0.1 * rng.normal();
        });
        const auto x = rng.uniforms<double>({3, 2, 4, 1}, -1, 1);
        flow.initialize(x);
        const auto found = flows::audit<double>(flow.transform, x);
        INFO(found.text(true));
        REQUIRE(found.layers.size() == 1 + 5 * 3 + 5);
        REQUIRE(found.ok());
        const auto there = flow.transform.forward(Var<double>(x));
        REQUIRE(there.y.shape() == Shape{3, 1, 2, 4});
        const auto back = flow.transform.inverse(there.y).y.value();
        for (Index k = 0; k < x.size(); ++k) REQUIRE(back[k] == Approx(x[k]).margin(1e-9));
    }
    Rng rng(4);
    REQUIRE_THROWS_AS(flows::flowpp<float>({4, 6, 1}, rng), Error);
}

TEST_CASE("mixture couplings move points too") {
    Rng rng(5);
    const LogisticMixture<float> element({.components = 4});
    const flows::Coupling<float, nn::Mlp<float>, LogisticMixture<float>> coupling(
        nn::Mlp<float>(1, element.parameters(), rng, {.hidden = {16}}), LogisticMixture<float>({.components = 4}),
        Mask::odd);
    const auto x = rng.normals<float>({50, 2});
    const auto back = coupling.inverse(coupling.forward(Var<float>(x)).y).y.value();
    for (Index k = 0; k < x.size(); ++k) REQUIRE(back[k] == Approx(x[k]).margin(1e-5));
}

}  // namespace flowpp_test
