#include "genmod/kernels/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace softmax_test {

using namespace genmod;

namespace {

using Real = long double;

// Error of `found` in units of eps * size.
template <class T>
void note(Real found, Real expected, Real size, Real& worst) {
    const Real error = std::fabs(found - expected) / (std::numeric_limits<T>::epsilon() * size + 1e-40L);
    worst = error >= 0 ? std::max(worst, error) : 1e9L;
}

template <class T>
void check_row(const T* x, const T* dy, const T* y, const T* log_y, const T* dx, const T* log_dx, Index columns,
               Real before, Real& worst) {
    Real most = x[0], sum = 0, product = 0, product_size = 0, total = 0, total_size = 0;
    for (Index k = 0; k < columns; ++k) most = std::max<Real>(most, x[k]);
    for (Index k = 0; k < columns; ++k) sum += std::exp(x[k] - most);
    for (Index k = 0; k < columns; ++k) {
        const Real share = std::exp(x[k] - most) / sum, slope = dy[k];
        const Real size = 1 + std::fabs(x[k] - most);  // of the exponent: an error there is a relative one of e^x
        note<T>(y[k], share, share * size, worst);
        note<T>(log_y[k], x[k] - most - std::log(sum), size + std::log(sum), worst);
        product += slope * share, product_size += std::fabs(slope) * share * size;
        total += slope, total_size += std::fabs(slope);
    }
    for (Index k = 0; k < columns; ++k) {
        const Real share = std::exp(x[k] - most) / sum, slope = dy[k];
        const Real size = share * (1 + std::fabs(x[k] - most) + std::log(sum));
        note<T>(dx[k] - before, share * (slope - product), size * (std::fabs(slope) + product_size) + before, worst);
        note<T>(log_dx[k] - before, slope - share * total, std::fabs(slope) + size * total_size + before, worst);
    }
}

template <class T>
void check_random_rows(int cases, std::uint64_t seed) {
    Rng rng(seed);
    for (int k = 0; k < cases; ++k) {
        const Index rows = 1 + rng.below(20), columns = k % 10 == 0 ? 1 + rng.below(3000) : 1 + rng.below(50);
        INFO(rows << " rows of " << columns);
        Tensor<T> x = rng.normals<T>({rows, columns});
        for (T& number : x) number *= T(3);
        const Tensor<T> dy = rng.normals<T>(x.shape());
        const auto mode = k % 2 == 0 ? Accumulate::write : Accumulate::add;
        const T before = k % 2 == 0 ? T(0) : T(2);
        Tensor<T> y(x.shape()), log_y(x.shape());
        Tensor<T> dx = Tensor<T>::full(x.shape(), T(2)), log_dx = Tensor<T>::full(x.shape(), T(2));
        kernels::softmax(rows, columns, x.data(), y.data());
        kernels::log_softmax(rows, columns, x.data(), log_y.data());
        kernels::softmax_backward(rows, columns, y.data(), dy.data(), dx.data(), mode);
        kernels::log_softmax_backward(rows, columns, log_y.data(), dy.data(), log_dx.data(), mode);
        Real worst = 0;
        for (Index row = 0; row < rows; ++row) {
            const Index at = row * columns;
            check_row<T>(x.data() + at, dy.data() + at, y.data() + at, log_y.data() + at, dx.data() + at,
                         log_dx.data() + at, columns, before, worst);
        }
        INFO(static_cast<double>(worst) << " eps");
        REQUIRE(worst <= 16);
    }
}

}  // namespace

TEST_CASE("softmax and its gradients agree with the definition on random shapes") {
    check_random_rows<float>(120, 1);
    check_random_rows<double>(120, 2);
}

TEST_CASE("softmax neither overflows nor underflows to nothing") {
    const Tensor<float> x = Tensor<float>::from({2, 3}, {1000, 999, -1000, -2000, -2000, -2000});
    Tensor<float> y(x.shape()), log_y(x.shape());
    kernels::softmax<float>(2, 3, x.data(), y.data());
    kernels::log_softmax<float>(2, 3, x.data(), log_y.data());
    REQUIRE(y[0] == Approx(1 / (1 + std::exp(-1.0))));
    REQUIRE(y[2] == 0.0f);
    REQUIRE(y[5] == Approx(1.0 / 3));
    REQUIRE(log_y[2] == Approx(-2000 - std::log(1 + std::exp(-1.0))));
    REQUIRE(log_y[3] == Approx(-std::log(3.0)));
}

TEST_CASE("an entry of minus infinity has no share") {
    constexpr float never = -std::numeric_limits<float>::infinity();
    const Tensor<float> x = Tensor<float>::from({1, 4}, {0, never, 0, never});
    Tensor<float> y(x.shape());
    kernels::softmax<float>(1, 4, x.data(), y.data());
    REQUIRE(y[0] == 0.5f);
    REQUIRE(y[1] == 0.0f);
}

}  // namespace softmax_test
