// Accuracy of the elementary functions against long double, and their special values.
#include "genmod/kernels/impl/vector_math.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace vector_math_test {

using namespace genmod;

namespace {

// Distance of `found` from `expected` in units in the last place of T at `expected`.
template <class T>
double ulps(T found, long double expected) {
    if (std::isnan(expected)) return std::isnan(found) ? 0 : HUGE_VAL;
    const T nearest = static_cast<T>(expected);
    if (std::isinf(nearest) || std::isinf(found)) return found == nearest ? 0 : HUGE_VAL;
    int exponent = 0;
    std::frexp(expected, &exponent);
    exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
    const long double unit = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
    return static_cast<double>(std::fabs(static_cast<long double>(found) - expected) / unit);
}

// Normal numbers over many magnitudes and evenly spread ones over [-bound, bound].
template <class T>
std::vector<T> inputs(double bound) {
    std::vector<T> x;
    Rng rng(5);
    const auto u = rng.uniforms<double>({80000});
    for (Index k = 0; k < 40000; ++k) x.push_back(static_cast<T>((2 * u[k] - 1) * bound));
    for (Index k = 40000; k < 80000; ++k) {
        const double magnitude = std::exp2(std::log2(bound) - 40 * u[k]);
        x.push_back(static_cast<T>(k % 2 == 0 ? magnitude : -magnitude));
    }
    return x;
}

struct Worst {
    double error = 0;
    double where = 0;
    std::uint64_t hash = 1469598103934665603u;
};

template <class T, class Function, class Reference>
Worst measure(const std::vector<T>& x, Function function, Reference reference) {
    Worst worst;
    const Index lanes = simd::lanes<T>;
    for (std::size_t k = 0; k + static_cast<std::size_t>(lanes) <= x.size(); k += static_cast<std::size_t>(lanes)) {
        T y[64];
        simd::store(y, function(simd::load(&x[k])));
        for (Index lane = 0; lane < lanes; ++lane) {
            const T at = x[k + static_cast<std::size_t>(lane)];
            const double error = ulps(y[lane], reference(static_cast<long double>(at)));
            if (!(error <= worst.error)) {
                worst.error = error;
                worst.where = static_cast<double>(at);
            }
            std::uint64_t bits = 0;
            std::memcpy(&bits, &y[lane], sizeof(T));
            worst.hash = (worst.hash ^ bits) * 1099511628211u;
        }
    }
    return worst;
}

template <class T, class Function, class Reference>
void require_accurate(const char* name, double bound, double allowed, Function function, Reference reference) {
    const Worst worst = measure<T>(inputs<T>(bound), function, reference);
    std::printf("%-8s %-6s bound %-8g worst %.3f ulp at %.9g hash %016llx\n", name, sizeof(T) == 4 ? "float" : "double",
                bound, worst.error, worst.where, static_cast<unsigned long long>(worst.hash));
    INFO(name << " at " << worst.where);
    CHECK(worst.error <= allowed);
}

long double sigmoid_reference(long double x) { return 1 / (1 + std::exp(-x)); }
long double softplus_reference(long double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

template <class T>
using Batch = simd::Batch<T>;

}  // namespace

TEMPLATE_TEST_CASE("elementary functions are accurate to 2.5 units in the last place", "", float, double) {
    using T = TestType;
    const double exp_end = sizeof(T) == 4 ? 88.7 : 709.7;
    for (const double bound : {1.0, 20.0, exp_end}) {
        require_accurate<T>(
            "exp", bound, 1.0, [](auto x) { return simd::exp(x); }, [](auto x) { return std::exp(x); });
        require_accurate<T>(
            "expm1", bound, 2.5, [](auto x) { return simd::expm1(x); }, [](auto x) { return std::expm1(x); });
        require_accurate<T>(
            "sigmoid", bound, 2.5, [](auto x) { return simd::sigmoid(x); }, sigmoid_reference);
        require_accurate<T>(
            "softplus", bound, 2.5, [](auto x) { return simd::softplus(x); }, softplus_reference);
        require_accurate<T>(
            "tanh", bound, 2.5, [](auto x) { return simd::tanh(x); }, [](auto x) { return std::tanh(x); });
        require_accurate<T>(
            "erf", bound, 2.5, [](auto x) { return simd::erf(x); }, [](auto x) { return std::erf(x); });
    }
    for (const double bound : {1.0, 20.0, sizeof(T) == 4 ? 88.0 : 709.0})
        require_accurate<T>(
            "x sigmoid", bound, 2.5, [](auto x) { return simd::sigmoid_times(x, x); },
            [](auto x) { return x * sigmoid_reference(x); });
    for (const double bound : {2.0, 1e6, sizeof(T) == 4 ? 1e38 : 1e308}) {
        require_accurate<T>(
            "log", bound, 1.0, [](auto x) { return simd::log(xsimd::abs(x)); },
            [](auto x) { return std::log(std::fabs(x)); });
        require_accurate<T>(
            "log1p", bound, 2.5, [](auto x) { return simd::log1p(xsimd::abs(x)); },
            [](auto x) { return std::log1p(std::fabs(x)); });
    }
    require_accurate<T>(
        "log1p", 0.9999, 2.5, [](auto x) { return simd::log1p(x); }, [](auto x) { return std::log1p(x); });
    for (const double bound : {0.8, 7.0, 1000.0, 1e6}) {
        require_accurate<T>(
            "sin", bound, 2.5, [](auto x) { return simd::sin(x); }, [](auto x) { return std::sin(x); });
        require_accurate<T>(
            "cos", bound, 2.5, [](auto x) { return simd::cos(x); }, [](auto x) { return std::cos(x); });
    }
}

TEMPLATE_TEST_CASE("exp_share is accurate for moderate numbers, 0 beyond", "", float, double) {
    using T = TestType;
    const bool single = sizeof(T) == 4;
    for (const double bound : {1.0, 20.0, single ? 87.0 : 708.0}) {
        const double allowed = single ? 1e-7 + 1.5e-8 * bound : 2e-16 + 2e-17 * bound;
        require_accurate<T>(
            "share", bound, allowed / static_cast<double>(std::numeric_limits<T>::epsilon()) * 2,
            [](auto x) { return simd::exp_share(-xsimd::abs(x)); }, [](auto x) { return std::exp(-std::fabs(x)); });
    }
    const auto of = [](T x) { return simd::exp_share(Batch<T>(x)).get(0); };
    CHECK(of(0) == T(1));
    CHECK(of(64) == Approx(std::exp(64.0)));
    CHECK(of(single ? -88 : -709) == T(0));
    CHECK(of(-std::numeric_limits<T>::infinity()) == T(0));
    CHECK(std::isnan(of(std::numeric_limits<T>::quiet_NaN())));
}

TEST_CASE("exp2_rough has three digits and a half, and is 1 at 0") {
    for (const double bound : {1.0, 20.0, 125.0})
        require_accurate<float>(
            "rough", bound, 1.02e-4 / static_cast<double>(std::numeric_limits<float>::epsilon()) * 2,
            [](auto x) { return simd::exp2_rough(-xsimd::abs(x)); }, [](auto x) { return std::exp2(-std::fabs(x)); });
    const auto of = [](float x) { return simd::exp2_rough(Batch<float>(x)).get(0); };
    CHECK(of(0) == 1.0f);
    CHECK(of(64) == Approx(std::exp2(64.0)));
    CHECK(of(-1000) == std::exp2(-126.0f));
    CHECK(of(-std::numeric_limits<float>::infinity()) == std::exp2(-126.0f));
    CHECK(std::isnan(of(std::numeric_limits<float>::quiet_NaN())));
}

TEMPLATE_TEST_CASE("several vectors side by side have the bits of one", "", float, double) {
    using T = TestType;
    constexpr Index size = simd::Several<T, 4>::size;
    T x[size], y[size];
    for (int round = 0; round < 1000; ++round) {
        for (Index k = 0; k < size; ++k) x[k] = static_cast<T>((round - 500) * 0.2 + static_cast<double>(k) * 0.01);
        const auto several = simd::load_as<simd::Several<T, 4>>(x);
        simd::store(y, simd::sigmoid_times(several, several));
        for (Index k = 0; k < size; ++k) REQUIRE(y[k] == simd::sigmoid_times(Batch<T>(x[k]), Batch<T>(x[k])).get(0));
    }
}

TEMPLATE_TEST_CASE("the larger and the smaller of two", "", float, double) {
    using T = TestType;
    const Batch<T> one(T(1)), two(T(2)), nan(std::numeric_limits<T>::quiet_NaN());
    CHECK(simd::larger(one, two).get(0) == T(2));
    CHECK(simd::larger(two, one).get(0) == T(2));
    CHECK(simd::smaller(one, two).get(0) == T(1));
    CHECK(simd::smaller(two, one).get(0) == T(1));
    CHECK(std::isnan(simd::larger(one, nan).get(0)));
    CHECK(std::isnan(simd::smaller(one, nan).get(0)));
}

TEMPLATE_TEST_CASE("exp_not_large has the bits of exp, subnormal results included", "", float, double) {
    using T = TestType;
    for (const double low : {-1.0, -80.0, sizeof(T) == 4 ? -110.0 : -760.0})
        for (int k = 0; k < 100000; ++k) {
            const T x = static_cast<T>(low + (64 - low) * k / 100000);
            REQUIRE(simd::exp_not_large(Batch<T>(x)).get(0) == simd::exp(x));
        }
    CHECK(simd::exp_not_large(Batch<T>(-std::numeric_limits<T>::infinity())).get(0) == T(0));
    CHECK(std::isnan(simd::exp_not_large(Batch<T>(std::numeric_limits<T>::quiet_NaN())).get(0)));
}

TEMPLATE_TEST_CASE("elementary functions at zero, infinity, NaN and beyond the range of results", "", float, double) {
    using T = TestType;
    using Limits = std::numeric_limits<T>;
    const T infinity = Limits::infinity(), nan = Limits::quiet_NaN(), huge = Limits::max();
    CHECK(simd::exp(T(0)) == T(1));
    CHECK(simd::exp(infinity) == infinity);
    CHECK(simd::exp(huge) == infinity);
    CHECK(simd::exp(-infinity) == T(0));
    CHECK(simd::exp(-huge) == T(0));
    CHECK(simd::expm1(-infinity) == T(-1));
    CHECK(simd::expm1(infinity) == infinity);
    CHECK(std::signbit(simd::expm1(T(-0.0))));
    CHECK(simd::log(T(1)) == T(0));
    CHECK(simd::log(T(0)) == -infinity);
    CHECK(simd::log(infinity) == infinity);
    CHECK(std::isnan(simd::log(T(-1))));
    CHECK(std::fabs(simd::log(Limits::denorm_min()) - std::log(Limits::denorm_min())) < T(1e-4));
    CHECK(simd::log1p(T(-1)) == -infinity);
    CHECK(simd::log1p(infinity) == infinity);
    CHECK(std::isnan(simd::log1p(T(-2))));
    CHECK(std::signbit(simd::log1p(T(-0.0))));
    CHECK(simd::tanh(infinity) == T(1));
    CHECK(simd::tanh(-huge) == T(-1));
    CHECK(std::signbit(simd::tanh(T(-0.0))));
    CHECK(simd::tanh(Limits::denorm_min()) == Limits::denorm_min());
    CHECK(simd::sigmoid(T(0)) == T(0.5));
    CHECK(simd::sigmoid(infinity) == T(1));
    CHECK(simd::sigmoid(-infinity) == T(0));
    CHECK(simd::sigmoid_times(Batch<T>(infinity), Batch<T>(infinity)).get(0) == infinity);
    CHECK(simd::sigmoid_times(Batch<T>(-huge), Batch<T>(-huge)).get(0) == T(0));
    CHECK(std::isnan(simd::sigmoid_times(Batch<T>(nan), Batch<T>(nan)).get(0)));
    CHECK(simd::softplus(infinity) == infinity);
    CHECK(simd::softplus(-infinity) == T(0));
    CHECK(simd::erf(infinity) == T(1));
    CHECK(simd::erf(-infinity) == T(-1));
    CHECK(std::signbit(simd::erf(T(-0.0))));
    CHECK(std::signbit(simd::sin(T(-0.0))));
    CHECK(simd::cos(T(0)) == T(1));
    CHECK(std::isnan(simd::sin(infinity)));
    CHECK(std::isnan(simd::cos(-infinity)));
    CHECK(std::isnan(simd::exp(nan)));
    CHECK(std::isnan(simd::expm1(nan)));
    CHECK(std::isnan(simd::log(nan)));
    CHECK(std::isnan(simd::log1p(nan)));
    CHECK(std::isnan(simd::tanh(nan)));
    CHECK(std::isnan(simd::sigmoid(nan)));
    CHECK(std::isnan(simd::softplus(nan)));
    CHECK(std::isnan(simd::erf(nan)));
    CHECK(std::isnan(simd::sin(nan)));
}

}  // namespace vector_math_test
