// Fused losses against plain loops in double; bits that do not depend on threads or on the other samples.
#include "genmod/kernels/loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace loss_test {

using namespace genmod;
using kernels::Loss;

namespace {

constexpr double eps = std::numeric_limits<float>::epsilon();

struct Term {
    double value, by_x, by_y;
};

Term plain_term(Loss loss, double x, double y, double delta) {
    const double d = x - y, sign = d > 0 ? 1 : d < 0 ? -1 : 0;
    switch (loss) {
        case Loss::squared: return {d * d, 2 * d, -2 * d};
        case Loss::absolute: return {std::fabs(d), sign, -sign};
        case Loss::huber: {
            const double slope = std::fabs(d) <= delta ? d : sign * delta;
            return {std::fabs(d) <= delta ? d * d / 2 : delta * (std::fabs(d) - delta / 2), slope, -slope};
        }
        case Loss::bce_with_logits: return {std::log1p(std::exp(x)) - x * y, 1 / (1 + std::exp(-x)) - y, -x};
    }
    return {};
}

}  // namespace

TEST_CASE("losses and their gradients agree with plain loops") {
    Rng rng(1);
    for (int trial = 0; trial < 120; ++trial) {
        const Loss loss = static_cast<Loss>(trial % 4);
        const auto u = rng.uniforms<double>({2});
        const Index rows = 1 + static_cast<Index>(u[0] * 5);
        const Index n = trial % 12 == 0 ? 9000 + trial : 1 + static_cast<Index>(u[1] * 90);
        const auto x = rng.normals<float>({rows, n}), y = rng.normals<float>({rows, n});
        const auto weights = rng.normals<float>({rows});
        Tensor<float> sums({rows}), dx({rows, n}), dy = x.clone();
        kernels::loss_sums(loss, rows, n, x.data(), y.data(), sums.data(), 0.5f, 0.75f);
        kernels::loss_backward(loss, rows, n, x.data(), y.data(), weights.data(), 0.5f, dx.data(), Accumulate::write,
                               false, 0.75f);
        kernels::loss_backward(loss, rows, n, x.data(), y.data(), weights.data(), 0.5f, dy.data(), Accumulate::add,
                               true, 0.75f);
        for (Index row = 0; row < rows; ++row) {
            double sum = 0, bound = 0;
            const double weight = 0.5 * static_cast<double>(weights[row]);
            for (Index k = row * n; k < (row + 1) * n; ++k) {
                const double a = static_cast<double>(x[k]), b = static_cast<double>(y[k]);
                const Term term = plain_term(loss, a, b, 0.75);
                sum += 0.5 * term.value;
                bound += 0.5 * (std::fabs(term.value) + std::fabs(a * b) + std::fabs(a));
                const double allowed = 16 * eps * (std::fabs(weight) * (1 + std::fabs(a) + std::fabs(b)));
                REQUIRE(std::fabs(static_cast<double>(dx[k]) - weight * term.by_x) <= allowed);
                REQUIRE(std::fabs(static_cast<double>(dy[k]) - a - weight * term.by_y) <= allowed + eps * std::fabs(a));
            }
            REQUIRE(std::fabs(static_cast<double>(sums[row]) - sum) <= 16 * eps * bound);
        }
    }
}

TEST_CASE("cross entropy agrees with plain loops") {
    Rng rng(2);
    for (int trial = 0; trial < 110; ++trial) {
        const Index rows = 1 + trial % 4, classes = 1 + trial * 3 % 70;
        const auto x = rng.normals<float>({rows, classes}), weights = rng.normals<float>({rows});
        const float smoothing = trial % 2 == 0 ? 0.0f : 0.2f;
        std::vector<Index> labels;
        for (Index row = 0; row < rows; ++row) labels.push_back((row * 17 + trial) % classes);
        Tensor<float> loss({rows}), dx({rows, classes});
        kernels::cross_entropy(rows, classes, x.data(), labels.data(), loss.data(), smoothing);
        kernels::cross_entropy_backward(rows, classes, x.data(), labels.data(), weights.data(), dx.data(),
                                        Accumulate::write, smoothing);
        for (Index row = 0; row < rows; ++row) {
            double sum = 0, expected = 0, bound = 1;
            for (Index k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(x[row * classes + k]));
            for (Index k = 0; k < classes; ++k) {
                const double log_p = static_cast<double>(x[row * classes + k]) - std::log(sum);
                const double smooth = static_cast<double>(smoothing);
                const double target = smooth / static_cast<double>(classes) +
                                      (k == labels[static_cast<std::size_t>(row)] ? 1 - smooth : 0);
                const double weight = static_cast<double>(weights[row]);
                expected -= target * log_p;
                bound += target * std::fabs(log_p);
                REQUIRE(std::fabs(static_cast<double>(dx[row * classes + k]) - weight * (std::exp(log_p) - target)) <=
                        16 * eps * std::fabs(weight) * (target + std::exp(log_p)));
            }
            REQUIRE(std::fabs(static_cast<double>(loss[row]) - expected) <= 16 * eps * bound);
        }
    }
}

TEST_CASE("a sample's loss has the same bits alone and in a batch, on any number of threads") {
    const Index n = 20000;
    const auto x = Rng(3).normals<float>({5, n}), y = Rng(4).normals<float>({5, n});
    Tensor<float> all({5}), alone({1}), dx({5, n}), one({5, n});
    const auto weights = Rng(5).normals<float>({5});
    for (const Loss loss : {Loss::squared, Loss::absolute, Loss::huber, Loss::bce_with_logits}) {
        {
            const Threads threads(4);
            kernels::loss_sums(loss, 5, n, x.data(), y.data(), all.data(), 1.0f);
            kernels::loss_backward(loss, 5, n, x.data(), y.data(), weights.data(), 1.0f, dx.data(), Accumulate::write);
        }
        const Threads threads(1);
        kernels::loss_sums(loss, 1, n, x.data() + 3 * n, y.data() + 3 * n, alone.data(), 1.0f);
        kernels::loss_backward(loss, 5, n, x.data(), y.data(), weights.data(), 1.0f, one.data(), Accumulate::write);
        CHECK(alone[0] == all[3]);
        CHECK(std::equal(dx.begin(), dx.end(), one.begin()));
    }
}

}  // namespace loss_test
