#include "genmod/kernels/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace linalg_test {

using namespace genmod;

namespace {

struct Eigen {
    Tensor<double> values, vectors;
};

Eigen eigen(const Tensor<double>& a) {
    const Index n = a.dim(0);
    Eigen result{Tensor<double>({n}), Tensor<double>({n, n})};
    Tensor<double> copy = a.clone();
    REQUIRE(kernels::symmetric_eigen(n, copy.data(), result.values.data(), result.vectors.data()));
    return result;
}

double largest(const Tensor<double>& a) {
    double most = 0;
    for (const double value : a) most = std::max(most, std::fabs(value));
    return most;
}

// Checks a = V^T diag V, V V^T = 1 and the order.
void require_decomposition(const Tensor<double>& a) {
    const Index n = a.dim(0);
    const Eigen e = eigen(a);
    const double tolerance = 1e-14 * static_cast<double>(n) * std::max(largest(a), 1e-300);
    REQUIRE(std::is_sorted(e.values.begin(), e.values.end()));
    double worst = 0, skew = 0;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
            double sum = 0, product = 0;
            for (Index k = 0; k < n; ++k) {
                sum += e.vectors[k * n + i] * e.values[k] * e.vectors[k * n + j];
                product += e.vectors[i * n + k] * e.vectors[j * n + k];
            }
            worst = std::max(worst, std::fabs(sum - a[i * n + j]));
            skew = std::max(skew, std::fabs(product - (i == j ? 1 : 0)));
        }
    INFO("size " << n);
    REQUIRE(worst <= tolerance);
    REQUIRE(skew <= 1e-14 * static_cast<double>(n));
}

Tensor<double> symmetric(Index n, Rng& rng) {
    auto a = rng.normals<double>({n, n});
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < i; ++j) a[i * n + j] = a[j * n + i];
    return a;
}

}  // namespace

TEST_CASE("random symmetric matrices fall into their eigenvalues and vectors") {
    Rng rng(1);
    for (int round = 0; round < 100; ++round) require_decomposition(symmetric(1 + rng.below(24), rng));
    require_decomposition(symmetric(70, rng));
}

TEST_CASE("matrices of special form do too") {
    Rng rng(2);
    require_decomposition(Tensor<double>::zeros({5, 5}));
    require_decomposition(Tensor<double>::full({6, 6}, 2));  // rank 1
    auto diagonal = Tensor<double>::zeros({4, 4});
    for (Index k = 0; k < 4; ++k) diagonal[k * 5] = static_cast<double>(3 - k);
    require_decomposition(diagonal);
    auto low_rank = Tensor<double>::zeros({20, 20});
    const auto x = rng.normals<double>({20, 3});
    for (Index i = 0; i < 20; ++i)
        for (Index j = 0; j < 20; ++j)
            for (Index k = 0; k < 3; ++k) low_rank[i * 20 + j] += x[i * 3 + k] * x[j * 3 + k];
    require_decomposition(low_rank);
    auto tiny = symmetric(7, rng);
    for (double& value : tiny) value *= 1e-150;
    require_decomposition(tiny);
}

TEST_CASE("known eigenvalues come out, with and without vectors") {
    const auto a = Tensor<double>::from({3, 3}, {2, -1, 0, -1, 2, -1, 0, -1, 2});
    const Eigen e = eigen(a);
    for (Index k = 0; k < 3; ++k)
        REQUIRE(e.values[k] ==
                Approx(2 - 2 * std::cos(static_cast<double>(k + 1) * std::acos(-1.0) / 4)).epsilon(1e-14));
    Tensor<double> copy = a.clone(), values({3});
    REQUIRE(kernels::symmetric_eigen<double>(3, copy.data(), values.data(), nullptr));
    for (Index k = 0; k < 3; ++k) REQUIRE(values[k] == e.values[k]);
}

TEST_CASE("NaN is told, not looped over") {
    auto a = Tensor<double>::full({4, 4}, 1);
    a[5] = std::numeric_limits<double>::quiet_NaN();
    Tensor<double> values({4});
    REQUIRE_FALSE(kernels::symmetric_eigen<double>(4, a.data(), values.data(), nullptr));
}

}  // namespace linalg_test
