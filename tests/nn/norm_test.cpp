#include "genmod/nn/norm.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace norm_test {

using namespace genmod;

namespace {

template <class Model>
std::vector<std::string> keys(const Model& model) {
    std::vector<std::string> list;
    nn::for_each_leaf(model, [&](const std::string& key, const auto&) { list.push_back(key); });
    return list;
}

}  // namespace

TEST_CASE("norms carry PyTorch's names") {
    REQUIRE(keys(nn::GroupNorm<float>(8, {.groups = 4})) == std::vector<std::string>{"weight", "bias"});
    REQUIRE(keys(nn::LayerNorm<float>(8)) == std::vector<std::string>{"weight", "bias"});
    const nn::BatchNorm<float> norm(8);
    REQUIRE(keys(norm) ==
            std::vector<std::string>{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"});
    REQUIRE(nn::count(norm) == 16);
}

TEST_CASE("a fresh norm gives zero mean and unit variance") {
    const Var<double> x(Rng(1).normals<double>({4, 5, 6}));
    const nn::GroupNorm<double> group(6, {.groups = 1});
    const nn::LayerNorm<double> layer(6);
    for (const Tensor<double>& y : {group(x).value(), layer(x).value()}) {
        double sum = 0, squares = 0;
        for (const double number : y) sum += number, squares += number * number;
        REQUIRE(sum == Approx(0).margin(1e-10));
        REQUIRE(squares / 120 == Approx(1).epsilon(1e-4));
    }
    REQUIRE_THROWS_AS(nn::GroupNorm<float>(6, {.groups = 4}), Error);
}

TEST_CASE("batch norm in evaluation uses what training collected") {
    const nn::BatchNorm<double> norm(3, {.momentum = 1.0});
    const Var<double> x(Rng(2).normals<double>({50, 3}));
    Tensor<double> trained;
    {
        Training step(1, 1);
        trained = norm(x).value();
        step.commit();
    }
    const Tensor<double> evaluated = norm(x).value();
    REQUIRE(norm.running.batches[0] == 1);
    for (Index k = 0; k < x.size(); ++k)  // the running variance is the unbiased one
        REQUIRE(evaluated[k] == Approx(trained[k] * std::sqrt(49.0 / 50)).epsilon(1e-4));
    const nn::BatchNorm<double> copy = nn::clone(norm);
    REQUIRE(copy.running.batches[0] == 1);
    REQUIRE(copy.running.mean.data() != norm.running.mean.data());
}

}  // namespace norm_test
