// The passes of optimisers against their formulas in double.
#include "genmod/kernels/update.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace update_test {

using namespace genmod;

namespace {

template <class T>
inline constexpr double epsilon = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-53;

// Sizes around vectors and around a tile, then any.
Index some_size(Rng& rng, int round) {
    const std::vector<Index> edges{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 16383, 16384, 16385, 40001};
    return round < static_cast<int>(edges.size()) ? edges[static_cast<std::size_t>(round)] : 1 + rng.below(300);
}

// A sum in double with the size of its terms.
struct Sum {
    double value = 0, magnitude = 0;
    Sum& add(double term) {
        value += term;
        magnitude += std::fabs(term);
        return *this;
    }
};

template <class T>
void require_close(T found, const Sum& expected) {
    const double error = std::fabs(static_cast<double>(found) - expected.value);
    if (!(error <= 16 * epsilon<T> * expected.magnitude)) {
        INFO("found " << found << ", expected " << expected.value << ", magnitude " << expected.magnitude);
        FAIL("too far");
    }
}

}  // namespace

TEMPLATE_TEST_CASE("SGD's pass follows its formula", "", float, double) {
    using T = TestType;
    Rng rng(1);
    for (int round = 0; round < 120; ++round) {
        const Index n = some_size(rng, round);
        const kernels::SgdStep<T> step{.lr = T(0.1),
                                       .momentum = T(0.9),
                                       .weight_decay = round % 2 == 0 ? T(0) : T(0.3),
                                       .nesterov = round % 3 == 0,
                                       .first = round % 5 == 0};
        const bool with_momentum = round % 4 != 0;
        const auto g = rng.normals<T>({n}), w = rng.normals<T>({n}), b = rng.normals<T>({n});
        Tensor<T> weight = w.clone(), buffer = b.clone();
        kernels::sgd_update(n, step, g.data(), weight.data(), with_momentum ? buffer.data() : nullptr);
        for (Index k = 0; k < n; ++k) {
            const double lr = step.lr, momentum = step.momentum, decay = step.weight_decay;
            const Sum gradient = Sum().add(g[k]).add(decay * w[k]);
            Sum velocity = gradient;
            if (with_momentum && !step.first) velocity.add(momentum * b[k]);
            if (with_momentum) require_close(buffer[k], velocity);
            Sum result;
            result.add(w[k]);
            const bool ahead = with_momentum && step.nesterov;
            result.value -= lr * (ahead ? gradient.value + momentum * velocity.value : velocity.value);
            result.magnitude += lr * (ahead ? gradient.magnitude + momentum * velocity.magnitude : velocity.magnitude);
            require_close(weight[k], result);
        }
        if (!with_momentum) REQUIRE(std::equal(b.begin(), b.end(), buffer.begin()));
    }
}

TEMPLATE_TEST_CASE("Adam's pass follows its formula", "", float, double) {
    using T = TestType;
    Rng rng(2);
    for (int round = 0; round < 120; ++round) {
        const Index n = some_size(rng, round);
        const kernels::AdamStep<T> step{.rate1 = T(0.1),
                                        .beta2 = T(0.99),
                                        .rate2 = T(0.01),
                                        .eps = T(1e-3),
                                        .step_size = T(0.02),
                                        .root_scale = T(1.5),
                                        .weight_decay = round % 2 == 0 ? T(0) : T(0.3),
                                        .keep = round % 3 == 0 ? T(0.9) : T(1)};
        const auto g = rng.normals<T>({n}), w = rng.normals<T>({n}), m = rng.normals<T>({n});
        const auto v = rng.uniforms<T>({n});
        Tensor<T> weight = w.clone(), exp_avg = m.clone(), exp_avg_sq = v.clone();
        kernels::adam_update(n, step, g.data(), weight.data(), exp_avg.data(), exp_avg_sq.data());
        for (Index k = 0; k < n; ++k) {
            const Sum gradient = Sum().add(g[k]).add(static_cast<double>(step.weight_decay) * w[k]);
            Sum first;
            first.value = m[k] + static_cast<double>(step.rate1) * (gradient.value - m[k]);
            first.magnitude = std::fabs(m[k]) + gradient.magnitude * step.rate1 + std::fabs(m[k]) * step.rate1;
            require_close(exp_avg[k], first);
            Sum second;
            second.value = static_cast<double>(step.beta2) * v[k] + step.rate2 * gradient.value * gradient.value;
            second.magnitude = static_cast<double>(step.beta2) * v[k] + step.rate2 * std::pow(gradient.magnitude, 2);
            require_close(exp_avg_sq[k], second);
            // From the moments as they were stored, so that only this line's own rounding counts.
            const double root = static_cast<double>(step.root_scale) * std::sqrt(exp_avg_sq[k]) + step.eps;
            require_close(weight[k], Sum()
                                         .add(static_cast<double>(step.keep) * w[k])
                                         .add(-static_cast<double>(step.step_size) * exp_avg[k] / root));
        }
    }
}

TEMPLATE_TEST_CASE("the averaging pass follows its formula", "", float, double) {
    using T = TestType;
    Rng rng(3);
    for (int round = 0; round < 120; ++round) {
        const Index n = some_size(rng, round);
        const auto w = rng.normals<T>({n}), a = rng.normals<T>({n});
        const T rate = static_cast<T>(rng.uniform());
        Tensor<T> average = a.clone();
        kernels::average_update(n, rate, w.data(), average.data());
        for (Index k = 0; k < n; ++k) {
            const double share = rate;
            require_close(average[k], Sum().add(a[k]).add(share * w[k]).add(-share * a[k]));
        }
    }
}

TEST_CASE("passes give the same bits for any number of threads and any place in memory") {
    Rng rng(4);
    const Index n = 100'003;
    const auto g = rng.normals<float>({n}), w = rng.normals<float>({n}), m = rng.normals<float>({n});
    const auto v = rng.uniforms<float>({n});
    const auto run = [&](Index first, Index last) {
        Tensor<float> weight = w.clone(), exp_avg = m.clone(), exp_avg_sq = v.clone();
        kernels::adam_update<float>(last - first,
                                    {.rate1 = 0.1f,
                                     .beta2 = 0.99f,
                                     .rate2 = 0.01f,
                                     .eps = 1e-8f,
                                     .step_size = 0.1f,
                                     .root_scale = 1.1f,
                                     .weight_decay = 0.1f,
                                     .keep = 0.99f},
                                    g.data() + first, weight.data() + first, exp_avg.data() + first,
                                    exp_avg_sq.data() + first);
        return weight;
    };
    const auto expected = run(0, n);
    for (const int count : {1, 2, 3, 7}) {
        const Threads threads(count);
        const auto found = run(0, n);
        REQUIRE(std::equal(found.begin(), found.end(), expected.begin()));
    }
    const auto part = run(5, 16'391);
    REQUIRE(std::equal(part.begin() + 5, part.begin() + 16'391, expected.begin() + 5));
}

}  // namespace update_test
