#include "genmod/ops/norm.hpp"

#include <cmath>
#include <vector>

#include "genmod/autograd/checkpoint.hpp"
#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace norm_test {

using namespace genmod;
using Vars = std::vector<Var<double>>;

namespace {

Tensor<double> normals(const Shape& shape, std::uint64_t seed) { return Rng(seed).normals<double>(shape); }

ops::RunningMoments<double> some_moments(Index channels) {
    ops::RunningMoments<double> running{normals({channels}, 8), normals({channels}, 9),
                                        Tensor<std::int64_t>::full({}, 4)};
    for (double& number : running.variance) number = 0.5 + number * number;
    return running;
}

}  // namespace

TEST_CASE("the gradient of group norm") {
    const auto norm = [](const Vars& in) { return ops::group_norm(in[0], in[1], in[2], {.groups = 2}); };
    test::require_gradient("group_norm", norm, {normals({2, 3, 2, 6}, 1), normals({6}, 2), normals({6}, 3)});
    const auto plain = [](const Vars& in) { return ops::group_norm(in[0], {}, {}, {.groups = 3, .eps = 0.1}); };
    test::require_gradient("group_norm", plain, {normals({3, 6}, 4)});
    const auto modulated = [](const Vars& in) {
        return ops::group_norm(in[0], in[1], in[2], {.groups = 2}, in[3], in[4]);
    };
    test::require_gradient(
        "group_norm", modulated,
        {normals({2, 5, 4}, 1), normals({4}, 2), normals({4}, 3), normals({2, 4}, 4), normals({2, 4}, 5)});
}

TEST_CASE("the gradient of group norm with SiLU") {
    const auto norm = [](const Vars& in) { return ops::group_norm_silu(in[0], in[1], in[2], {.groups = 2}); };
    test::require_gradient("group_norm_silu", norm, {normals({2, 3, 2, 6}, 1), normals({6}, 2), normals({6}, 3)});
    const auto modulated = [](const Vars& in) {
        return ops::group_norm_silu(in[0], in[1], in[2], {.groups = 2}, in[3], in[4]);
    };
    test::require_gradient(
        "group_norm_silu", modulated,
        {normals({2, 5, 4}, 1), normals({4}, 2), normals({4}, 3), normals({2, 1, 4}, 4), normals({2, 1, 4}, 5)});
}

TEST_CASE("group norm with SiLU is the composition") {
    const Var<double> x(normals({2, 3, 4}, 1)), weight(normals({4}, 2)), bias(normals({4}, 3)), none;
    const Var<double> scale(normals({2, 4}, 4)), shift(normals({2, 4}, 5));
    const Var<double> plain = ops::group_norm(x, weight, bias, {.groups = 2});
    const Var<double> fused = ops::group_norm_silu(x, weight, bias, {.groups = 2}, scale, shift);
    for (Index k = 0; k < x.size(); ++k) {
        const Index cell = k / 12 * 4 + k % 4;
        const double v = plain.value()[k] * (1 + scale.value()[cell]) + shift.value()[cell];
        REQUIRE(fused.value()[k] == Approx(v / (1 + std::exp(-v))).epsilon(1e-12));
    }
}

TEST_CASE("the gradient of layer norm") {
    const auto norm = [](const Vars& in) { return ops::layer_norm(in[0], in[1], in[2]); };
    test::require_gradient("layer_norm", norm, {normals({2, 3, 7}, 1), normals({7}, 2), normals({7}, 3)});
    test::require_gradient("layer_norm", [](const Vars& in) { return ops::layer_norm(in[0], {}, {}); },
                           {normals({4, 19}, 4)});
}

TEST_CASE("the gradient of batch norm, while training and in evaluation") {
    const auto norm = [](const Vars& in) { return ops::batch_norm(in[0], in[1], in[2], some_moments(5)); };
    const std::vector<Tensor<double>> inputs{normals({3, 2, 2, 5}, 1), normals({5}, 2), normals({5}, 3)};
    test::require_gradient("batch_norm", norm, inputs);
    Training step(1, 1);
    test::require_gradient("batch_norm", norm, inputs);
}

TEST_CASE("the tangents of norms") {
    const Var<double> weight(normals({6}, 2)), bias(normals({6}, 3)), none;
    const Tensor<double> x = normals({2, 3, 2, 6}, 1);
    test::require_tangent(
        "group_norm", [&](const auto& in) { return ops::group_norm(in, weight, bias, {.groups = 2}); }, x);
    test::require_tangent(
        "group_norm", [&](const auto& in) { return ops::group_norm(in, none, none, {.groups = 6}); }, x);
    test::require_tangent(
        "group_norm_silu", [&](const auto& in) { return ops::group_norm_silu(in, weight, bias, {.groups = 3}); }, x);
    test::require_tangent(
        "layer_norm", [&](const auto& in) { return ops::layer_norm(in, weight, bias); }, x);
    const auto batch = [&](const auto& in) { return ops::batch_norm(in, weight, bias, some_moments(6)); };
    test::require_tangent("batch_norm", batch, x);
    Training step(1, 1);
    test::require_tangent("batch_norm", batch, x);
}

TEST_CASE("running moments follow the batches at commit, once each") {
    const Var<double> x = Var<double>::parameter(normals({6, 2}, 1));
    const auto running = some_moments(2);
    const double mean_before = running.mean[1], variance_before = running.variance[1];
    double mean = 0, variance = 0;
    for (Index k = 0; k < 6; ++k) mean += x.value()[2 * k + 1] / 6;
    for (Index k = 0; k < 6; ++k) variance += (x.value()[2 * k + 1] - mean) * (x.value()[2 * k + 1] - mean) / 5;
    {
        Training step(1, 1);
        const auto norm = [&](const Vars& in) { return ops::batch_norm(in[0], {}, {}, running, {.momentum = 0.25}); };
        const Var<double> y = checkpoint<double>(norm, {x}, {});
        backward(y, Tensor<double>::full(y.shape(), 1.0));
        REQUIRE(running.mean[1] == mean_before);
        step.commit();
    }
    REQUIRE(running.mean[1] == Approx(0.75 * mean_before + 0.25 * mean));
    REQUIRE(running.variance[1] == Approx(0.75 * variance_before + 0.25 * variance));
    REQUIRE(running.batches[0] == 5);
    ops::batch_norm(x, {}, {}, running);
    REQUIRE(running.batches[0] == 5);
}

TEST_CASE("norms refuse what does not fit") {
    const Var<float> x(Tensor<float>::zeros({2, 3, 6})), wrong(Tensor<float>::zeros({5})), none;
    REQUIRE_THROWS_AS(ops::group_norm(x, none, none, {.groups = 4}), Error);
    REQUIRE_THROWS_AS(ops::group_norm(x, wrong, none, {.groups = 2}), Error);
    REQUIRE_THROWS_AS(ops::group_norm_silu(x, none, none, {.groups = 2}, wrong, wrong), Error);
    REQUIRE_THROWS_AS(ops::layer_norm(x, none, wrong), Error);
    REQUIRE_THROWS_AS(ops::batch_norm(x, none, none, {wrong.value(), wrong.value(), {}}), Error);
    Training step(1, 1);
    const Tensor<float> ones = Tensor<float>::full({6}, 1.0f);
    REQUIRE_THROWS_AS(ops::batch_norm(Var<float>(ones.reshape({1, 6})), none, none, {ones, ones, {}}), Error);
}

}  // namespace norm_test
