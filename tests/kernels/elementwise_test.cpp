// Elementwise kernels against plain loops in double; bits that do not depend on place, threads or batch.
#include "genmod/kernels/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace elementwise_test {

using namespace genmod;
using kernels::Unary;

namespace {

constexpr double eps = std::numeric_limits<float>::epsilon();

Index pick(Rng& rng, Index low, Index high) {
    return low + static_cast<Index>(rng.uniforms<double>({1})[0] * static_cast<double>(high - low + 1));
}

// Every function, with a plain double version of it.
const std::vector<std::pair<Unary, std::function<double(double)>>>& functions() {
    static const std::vector<std::pair<Unary, std::function<double(double)>>> list{
        {Unary::relu, [](double x) { return x > 0 ? x : 0; }},
        {Unary::leaky_relu, [](double x) { return x > 0 ? x : 0.25 * x; }},
        {Unary::silu, [](double x) { return x / (1 + std::exp(-x)); }},
        {Unary::gelu, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
        {Unary::gelu_tanh,
         [](double x) { return x / 2 * (1 + std::tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))); }},
        {Unary::quick_gelu, [](double x) { return x / (1 + std::exp(-1.702 * x)); }},
        {Unary::tanh, [](double x) { return std::tanh(x); }},
        {Unary::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
        {Unary::softplus, [](double x) { return std::log1p(std::exp(x)); }},
        {Unary::exp, [](double x) { return std::exp(x); }},
        {Unary::log, [](double x) { return std::log(x); }},
        {Unary::sqrt, [](double x) { return std::sqrt(x); }},
        {Unary::square, [](double x) { return x * x; }},
        {Unary::reciprocal, [](double x) { return 1 / x; }},
        {Unary::sin, [](double x) { return std::sin(x); }},
        {Unary::cos, [](double x) { return std::cos(x); }},
        {Unary::absolute, [](double x) { return std::fabs(x); }},
        {Unary::clamp, [](double x) { return x < 0.25   ? 0.25
                                             : x > 0.75 ? 0.75
                                                        : x; }},
        {Unary::scale, [](double x) { return 0.25 * x; }},
        {Unary::shift, [](double x) { return x + 0.25; }},
        {Unary::elu, [](double x) { return x > 0 ? x : std::expm1(x); }}};
    return list;
}

Tensor<float> numbers(Unary f, Index n, std::uint64_t seed) {
    Tensor<float> x = Rng(seed).normals<float>({n});
    if (f == Unary::log || f == Unary::sqrt || f == Unary::reciprocal)
        for (float& value : x) value = std::fabs(value) + 0.1f;
    return x;
}

bool same_bits(const float* a, const float* b, Index n) {
    return std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("functions and their derivatives agree with plain double arithmetic at every length") {
    for (const auto& [f, plain] : functions()) {
        for (const Index n : {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1000}) {
            const Tensor<float> x = numbers(f, n, 1), dy = Rng(2).normals<float>({n});
            Tensor<float> y({n}), dx({n}), added = dy.clone();
            kernels::unary(f, x.data(), y.data(), n, 0.25f, 0.75f);
            kernels::unary_backward(f, x.data(), dy.data(), dx.data(), n, Accumulate::write, 0.25f, 0.75f);
            kernels::unary_backward(f, x.data(), dy.data(), added.data(), n, Accumulate::add, 0.25f, 0.75f);
            for (Index k = 0; k < n; ++k) {
                const double at = static_cast<double>(x[k]), value = plain(at), h = 1e-6;
                INFO(static_cast<int>(f) << " at " << at);
                // A wrong last bit of an intermediate is as large as the argument or 1, whichever is more.
                REQUIRE(std::fabs(static_cast<double>(y[k]) - value) <= 4 * eps * std::max(std::fabs(value), 0.5));
                const double slope = (plain(at + h) - plain(at - h)) / (2 * h), upstream = static_cast<double>(dy[k]);
                const bool kink = std::fabs(at) < 1e-5 || std::fabs(at - 0.25) < 1e-5 || std::fabs(at - 0.75) < 1e-5;
                if (kink) continue;
                const double allowed = 1e-5 * std::max(1.0, std::fabs(slope)) * std::fabs(upstream) + 1e-7;
                REQUIRE(std::fabs(static_cast<double>(dx[k]) - slope * upstream) <= allowed);
                REQUIRE(added[k] == dy[k] + dx[k]);
            }
        }
    }
}

TEST_CASE("a number's function does not depend on its place, nor on threads") {
    for (const auto& entry : functions()) {
        const Unary f = entry.first;
        const Index n = 100003;
        const Tensor<float> x = numbers(f, n, 3);
        Tensor<float> one({n}), many({n}), moved({n});
        {
            const Threads threads(1);
            kernels::unary(f, x.data(), one.data(), n, 0.25f, 0.75f);
        }
        const Threads threads(4);
        kernels::unary(f, x.data(), many.data(), n, 0.25f, 0.75f);
        CHECK(same_bits(one.data(), many.data(), n));
        for (const Index first : {1, 5, 18, 99990}) {
            kernels::unary(f, x.data() + first, moved.data(), n - first, 0.25f, 0.75f);
            CHECK(same_bits(moved.data(), one.data() + first, n - first));
        }
    }
}

TEST_CASE("the second derivative is the derivative of the first") {
    for (const auto& entry : functions()) {
        const Unary f = entry.first;
        const Index n = 37;
        const Tensor<float> x32 = numbers(f, n, 4);
        const Tensor<double> x = cast<double>(x32), t = Rng(5).normals<double>({n}), dy = Rng(6).normals<double>({n});
        const auto first = [&](double step) {
            Tensor<double> moved = x.clone(), y({n});
            for (double& value : moved) value += step;
            kernels::unary_backward(f, moved.data(), t.data(), y.data(), n, Accumulate::write, 0.25, 0.75);
            return y;
        };
        const double h = 1e-5;
        const auto above = first(h), below = first(-h);
        Tensor<double> dx = dy.clone();
        kernels::unary_second(f, x.data(), t.data(), dy.data(), dx.data(), n, Accumulate::add, 0.25, 0.75);
        for (Index k = 0; k < n; ++k) {
            if (!kernels::curved(f)) {
                CHECK(dx[k] == dy[k]);
                continue;
            }
            const double expected = dy[k] * (1 + (above[k] - below[k]) / (2 * h));
            INFO(static_cast<int>(f) << " at " << x[k]);
            CHECK(std::fabs(dx[k] - expected) <= 1e-6 * std::max(1.0, std::fabs(expected)));
        }
    }
}

TEST_CASE("arithmetic with broadcasting agrees with indexing by hand for random shapes") {
    Rng rng(7);
    using kernels::Binary;
    for (int trial = 0; trial < 150; ++trial) {
        const Index rank = pick(rng, 0, 5);
        Index of_a[5], of_b[5], of_y[5];
        for (Index k = 0; k < rank; ++k) {
            of_y[k] = k == rank - 1 ? pick(rng, 1, 40) : pick(rng, 1, 5);
            const Index who = pick(rng, 0, 5);
            of_a[k] = who == 0 ? 1 : of_y[k];
            of_b[k] = who == 1 ? 1 : of_y[k];
        }
        const Index cut = pick(rng, 0, rank);  // b may lack leading axes
        const Shape a(of_a, rank), b(of_b + cut, rank - cut);
        const Shape y = kernels::broadcast_shape(a, b, "test");
        const auto x1 = rng.normals<float>(a), x2 = rng.normals<float>(b);
        const Binary f = static_cast<Binary>(trial % 4);
        Tensor<float> result(y);
        kernels::binary(f, kernels::broadcast(a, b, y), x1.data(), x2.data(), result.data());
        Index wrong = 0;
        for (Index at = 0; at < y.size(); ++at) {
            Index rest = at, at_a = 0, at_b = 0, step_a = 1, step_b = 1;
            for (Index k = 1; k <= rank; ++k) {
                const Index position = rest % y.dim(-k);
                rest /= y.dim(-k);
                at_a += a.dim(-k) == 1 ? 0 : position * step_a;
                step_a *= a.dim(-k);
                if (k > b.rank()) continue;
                at_b += b.dim(-k) == 1 ? 0 : position * step_b;
                step_b *= b.dim(-k);
            }
            const float p = x1[at_a], q = x2[at_b];
            const float expected = f == Binary::add   ? p + q
                                   : f == Binary::sub ? p - q
                                   : f == Binary::mul ? p * q
                                                      : p / q;
            wrong += result[at] == expected ? 0 : 1;
        }
        INFO(to_string(a) << " and " << to_string(b));
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("arithmetic of large tensors is the same on any number of threads") {
    const Shape a{3, 211, 97, 5}, b{3, 1, 97, 1};
    const auto x1 = Rng(8).normals<float>(a), x2 = Rng(9).normals<float>(b);
    Tensor<float> one(a), many(a);
    {
        const Threads threads(1);
        kernels::binary(kernels::Binary::mul, kernels::broadcast(a, b, a), x1.data(), x2.data(), one.data());
    }
    const Threads threads(4);
    kernels::binary(kernels::Binary::mul, kernels::broadcast(a, b, a), x1.data(), x2.data(), many.data());
    CHECK(same_bits(one.data(), many.data(), a.size()));
    for (Index at = 0; at < a.size(); at += 1001) CHECK(one[at] == x1[at] * x2[at / (211 * 97 * 5) * 97 + at / 5 % 97]);
}

TEST_CASE("gated units and sums of two arrays agree with plain loops") {
    Rng rng(10);
    for (int trial = 0; trial < 110; ++trial) {
        const Index rows = pick(rng, 1, 9), c = pick(rng, 1, 50), n = rows * c;
        const auto x = rng.normals<float>({rows, 2 * c}), dy = rng.normals<float>({rows, c});
        Tensor<float> y({rows, c}), dx({rows, 2 * c}), gate({rows, c}), value({n}), slope({n});
        for (Index at = 0; at < n; ++at) gate[at] = x[at / c * 2 * c + c + at % c];
        kernels::unary(Unary::silu, gate.data(), value.data(), n);
        const Tensor<float> ones = Tensor<float>::full({n}, 1);
        kernels::unary_backward(Unary::silu, gate.data(), ones.data(), slope.data(), n, Accumulate::write);
        kernels::gated(Unary::silu, x.data(), y.data(), rows, c);
        kernels::gated_backward(Unary::silu, x.data(), dy.data(), dx.data(), rows, c, Accumulate::write);
        for (Index at = 0; at < n; ++at) {
            const Index first = at / c * 2 * c + at % c;
            REQUIRE(y[at] == x[first] * value[at]);
            REQUIRE(dx[first] == dy[at] * value[at]);
            REQUIRE(static_cast<double>(dx[first + c]) == Approx(dy[at] * x[first] * slope[at]).epsilon(1e-6));
        }
        Tensor<float> sum({n}), total = y.clone();
        kernels::combine(2.0f, dy.data(), -3.0f, y.data(), sum.data(), n);
        kernels::accumulate(dy.data(), total.data(), n);
        for (Index at = 0; at < n; ++at) {
            const double p = 2 * static_cast<double>(dy[at]), q = -3 * static_cast<double>(y[at]);
            REQUIRE(std::fabs(static_cast<double>(sum[at]) - p - q) <= 2 * eps * (std::fabs(p) + std::fabs(q)));
            REQUIRE(total[at] == y[at] + dy[at]);
        }
    }
}

}  // namespace elementwise_test
