// Losses against their formulas, gradients against differences.
#include "genmod/ops/loss.hpp"

#include <cmath>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradient.hpp"

namespace loss_test {

using namespace genmod;
using test::require_gradient;

namespace {

// Predictions and targets whose differences keep away from 0 and from +-1, the kinks.
std::vector<Tensor<double>> inputs(const Shape& shape) {
    const auto x = Rng(1).normals<double>(shape);
    const auto u = Rng(2).uniforms<double>(shape);
    Tensor<double> y(shape);
    for (Index k = 0; k < x.size(); ++k)
        y[k] = x[k] + (k % 2 == 0 ? 1 : -1) * (k % 3 == 0 ? 1.2 + u[k] : 0.2 + 0.6 * u[k]);
    return {x, y};
}

// The mean of term(x, y), whole and by samples, and the gradients of both.
template <class Mean, class PerSample, class Term>
void require_loss(const char* name, const char* per_sample_name, Mean loss, PerSample per_sample, Term term) {
    const auto in = inputs({3, 4, 5});
    const auto means = per_sample(Var<double>(in[0]), Var<double>(in[1]));
    REQUIRE(means.shape() == Shape{3});
    double total = 0;
    for (Index n = 0; n < 3; ++n) {
        double sum = 0;
        for (Index k = 20 * n; k < 20 * (n + 1); ++k) sum += term(in[0][k], in[1][k]);
        CHECK(means.value()[n] == Approx(sum / 20).epsilon(1e-13));
        total += sum;
    }
    const auto mean = loss(Var<double>(in[0]), Var<double>(in[1]));
    CHECK(mean.shape() == Shape{});
    CHECK(mean.item() == Approx(total / 60).epsilon(1e-13));
    require_gradient(
        name, [&](const auto& v) { return loss(v[0], v[1]); }, in);
    require_gradient(
        per_sample_name, [&](const auto& v) { return per_sample(v[0], v[1]); }, in);
    CHECK_THROWS_AS(loss(Var<double>(in[0]), Var<double>(inputs({3, 20})[0])), Error);
}

}  // namespace

TEST_CASE("losses of numbers") {
    require_loss(
        "mse_loss", "mse_per_sample", [](const auto& x, const auto& y) { return ops::mse_loss(x, y); },
        [](const auto& x, const auto& y) { return ops::mse_per_sample(x, y); },
        [](double x, double y) { return (x - y) * (x - y); });
    require_loss(
        "l1_loss", "l1_per_sample", [](const auto& x, const auto& y) { return ops::l1_loss(x, y); },
        [](const auto& x, const auto& y) { return ops::l1_per_sample(x, y); },
        [](double x, double y) { return std::fabs(x - y); });
    require_loss(
        "huber_loss", "huber_per_sample", [](const auto& x, const auto& y) { return ops::huber_loss(x, y, 1); },
        [](const auto& x, const auto& y) { return ops::huber_per_sample(x, y, 1); },
        [](double x, double y) {
            const double d = std::fabs(x - y);
            return d <= 1 ? d * d / 2 : d - 0.5;
        });
    CHECK(ops::huber_loss(Var<float>(Tensor<float>::full({2}, 3)), Var<float>(Tensor<float>::full({2}, 0)), 2).item() ==
          4);
    CHECK_THROWS_AS(ops::huber_loss(Var<double>(inputs({2})[0]), Var<double>(inputs({2})[1]), 0), Error);
    require_loss(
        "bce_with_logits_loss", "bce_with_logits_per_sample",
        [](const auto& x, const auto& y) { return ops::bce_with_logits_loss(x, y); },
        [](const auto& x, const auto& y) { return ops::bce_with_logits_per_sample(x, y); },
        [](double x, double y) {
            const double p = 1 / (1 + std::exp(-x));
            return -y * std::log(p) - (1 - y) * std::log(1 - p);
        });
}

TEST_CASE("binary cross entropy of sure logits neither overflows nor vanishes") {
    const auto x = Var<float>(Tensor<float>::from({2}, {100, -200})), y = Var<float>(Tensor<float>::from({2}, {1, 1}));
    const auto loss = ops::bce_with_logits_per_sample(x, y);
    CHECK(loss.value()[0] > 0);
    CHECK(loss.value()[0] < 1e-40f);
    CHECK(loss.value()[1] == 200);
}

TEST_CASE("cross entropy of labels") {
    const Index rows = 4, classes = 21;
    const Tensor<double> x = Rng(3).normals<double>({2, 2, classes});
    const std::vector<Index> labels{0, 20, 7, 7};
    for (const double smoothing : {0.0, 0.1}) {
        const auto losses = ops::cross_entropy_per_sample(Var<double>(x), labels, {.label_smoothing = smoothing});
        REQUIRE(losses.shape() == Shape{2, 2});
        double total = 0;
        for (Index row = 0; row < rows; ++row) {
            double sum = 0, expected = 0;
            for (Index k = 0; k < classes; ++k) sum += std::exp(x[row * classes + k]);
            for (Index k = 0; k < classes; ++k) {
                const double target = smoothing / static_cast<double>(classes) +
                                      (k == labels[static_cast<std::size_t>(row)] ? 1 - smoothing : 0);
                expected -= target * (x[row * classes + k] - std::log(sum));
            }
            CHECK(losses.value()[row] == Approx(expected).epsilon(1e-12));
            total += expected;
        }
        const auto loss = ops::cross_entropy_loss(Var<double>(x), labels, {.label_smoothing = smoothing});
        CHECK(loss.item() == Approx(total / 4).epsilon(1e-12));
        require_gradient(
            "cross_entropy_loss",
            [&](const auto& in) { return ops::cross_entropy_loss(in[0], labels, {.label_smoothing = smoothing}); },
            {x});
        require_gradient("cross_entropy_per_sample",
                         [&](const auto& in) {
                             return ops::cross_entropy_per_sample(in[0], labels, {.label_smoothing = smoothing});
                         },
                         {x});
    }
    CHECK_THROWS_AS(ops::cross_entropy_loss(Var<double>(x), {0, 1, 2}), Error);
    CHECK_THROWS_AS(ops::cross_entropy_loss(Var<double>(x), {0, 1, 2, 21}), Error);
    CHECK_THROWS_AS(ops::cross_entropy_loss(Var<double>(x), labels, {.label_smoothing = 2}), Error);
}

TEST_CASE("cross entropy of huge logits stays finite") {
    const auto x = Var<float>(Tensor<float>::from({1, 3}, {1e4f, -1e4f, 0}));
    CHECK(ops::cross_entropy_loss(x, {0}).item() == 0);
    CHECK(ops::cross_entropy_loss(x, {1}).item() == 2e4f);
}

TEST_CASE("a weighted loss is the mean of weighted samples") {
    const auto in = inputs({4, 6});
    const Var<double> weights(Tensor<double>::from({4}, {1, 0, 2, 0.5}));
    require_gradient(
        "weighted loss", [&](const auto& v) { return ops::mean(ops::mse_per_sample(v[0], v[1]) * weights); }, in);
}

}  // namespace loss_test
