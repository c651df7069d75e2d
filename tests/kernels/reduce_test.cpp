// Reductions against plain sums in double; bits that depend on shapes alone.
#include "genmod/kernels/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace reduce_test {

using namespace genmod;

namespace {

constexpr double eps = std::numeric_limits<float>::epsilon();

Index pick(Rng& rng, Index low, Index high) {
    return low + static_cast<Index>(rng.uniforms<double>({1})[0] * static_cast<double>(high - low + 1));
}

// The largest error of y [outer, inner] in units of eps times the sum of absolute terms.
double error_of(Index outer, Index reduced, Index inner, const Tensor<float>& x, const Tensor<float>& y, float scale,
                const Tensor<float>& before) {
    double worst = 0;
    for (Index o = 0; o < outer; ++o)
        for (Index i = 0; i < inner; ++i) {
            double sum = static_cast<double>(before[o * inner + i]), bound = std::fabs(sum);
            for (Index r = 0; r < reduced; ++r) {
                const double term = static_cast<double>(scale) * static_cast<double>(x[(o * reduced + r) * inner + i]);
                sum += term;
                bound += std::fabs(term);
            }
            worst = std::max(worst, std::fabs(static_cast<double>(y[o * inner + i]) - sum) / (eps * bound + 1e-30));
        }
    return worst;
}

}  // namespace

TEST_CASE("sums over the middle axis agree with plain sums") {
    Rng rng(1);
    for (int trial = 0; trial < 150; ++trial) {
        const bool tall = trial % 10 == 0;
        const Index outer = pick(rng, 1, 4), inner = pick(rng, 1, trial % 3 == 0 && !tall ? 150 : 18);
        const Index reduced = tall ? pick(rng, 4000, 10000) : pick(rng, 0, 600);
        const auto x = rng.normals<float>({outer, reduced, inner});
        const auto start = rng.normals<float>({outer, inner});
        Tensor<float> y({outer, inner}), added = start.clone();
        kernels::reduce_sum(outer, reduced, inner, x.data(), y.data());
        INFO(outer << " x " << reduced << " x " << inner);
        REQUIRE(error_of(outer, reduced, inner, x, y, 1, Tensor<float>::zeros(y.shape())) <= 16);
        kernels::reduce_sum(outer, reduced, inner, x.data(), added.data(), Accumulate::add, 0.3f);
        REQUIRE(error_of(outer, reduced, inner, x, added, 0.3f, start) <= 16);
        if (reduced == 0) continue;
        kernels::reduce_max(outer, reduced, inner, x.data(), y.data());
        for (Index at = 0; at < outer * inner; ++at) {
            float largest = -HUGE_VALF;
            for (Index r = 0; r < reduced; ++r)
                largest = std::max(largest, x[(at / inner * reduced + r) * inner + at % inner]);
            REQUIRE(y[at] == largest);
        }
    }
}

TEST_CASE("a maximum over NaN is NaN") {
    for (const Index inner : {1, 3, 20}) {
        Tensor<float> x = Rng(2).normals<float>({40, inner}), y({inner});
        x[17 * inner] = NAN;
        kernels::reduce_max(1, 40, inner, x.data(), y.data());
        CHECK(std::isnan(y[0]));
        if (inner > 1) CHECK(!std::isnan(y[1]));
    }
}

TEST_CASE("long sums keep their accuracy") {
    const Index n = 2'000'000;
    const auto x = Rng(3).uniforms<float>({n});
    double expected = 0, squares = 0;
    for (const float value : x) {
        expected += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
    }
    CHECK(std::fabs(static_cast<double>(kernels::sum(n, x.data())) - expected) <= 4 * eps * expected);
    CHECK(std::fabs(static_cast<double>(kernels::sum_of_squares(n, x.data())) - squares) <= 4 * eps * squares);
}

TEST_CASE("sum_to undoes broadcasting for random shapes") {
    Rng rng(4);
    for (int trial = 0; trial < 120; ++trial) {
        const Index rank = pick(rng, 0, 5), cut = pick(rng, 0, rank);
        Index from[5], to[5];
        for (Index k = 0; k < rank; ++k) {
            from[k] = pick(rng, 1, 7);
            to[k] = pick(rng, 0, 1) == 0 ? 1 : from[k];
        }
        const Shape source(from, rank), target(to + cut, rank - cut);
        const auto x = rng.normals<float>(source);
        Tensor<float> y = Tensor<float>::full(target, 1);
        kernels::sum_to(source, target, x.data(), y.data(), Accumulate::add, 2.0f);
        Tensor<double> sums = Tensor<double>::full(target, 1), bounds = Tensor<double>::full(target, 1);
        for (Index at = 0; at < x.size(); ++at) {
            Index rest = at, position = 0, step = 1;
            for (Index k = 1; k <= target.rank(); ++k) {
                position += target.dim(-k) == 1 ? 0 : rest % source.dim(-k) * step;
                step *= target.dim(-k);
                rest /= source.dim(-k);
            }
            sums[position] += 2 * static_cast<double>(x[at]);
            bounds[position] += 2 * std::fabs(static_cast<double>(x[at]));
        }
        INFO(to_string(source) << " to " << to_string(target));
        for (Index k = 0; k < y.size(); ++k)
            REQUIRE(std::fabs(static_cast<double>(y[k]) - sums[k]) <= 16 * eps * bounds[k]);
    }
}

TEST_CASE("sums have the same bits on any number of threads, alone and in a batch") {
    struct Case {
        Index outer, reduced, inner;
    };
    for (const Case& c : {Case{5, 30000, 1}, Case{3, 9000, 7}, Case{4, 3000, 65}, Case{64, 49, 32}}) {
        const auto x = Rng(5).normals<float>({c.outer, c.reduced, c.inner});
        Tensor<float> one({c.outer, c.inner}), many({c.outer, c.inner}), alone({1, c.inner});
        {
            const Threads threads(1);
            kernels::reduce_sum(c.outer, c.reduced, c.inner, x.data(), one.data());
        }
        const Threads threads(4);
        kernels::reduce_sum(c.outer, c.reduced, c.inner, x.data(), many.data());
        CHECK(std::equal(one.begin(), one.end(), many.begin()));
        const Index last = c.outer - 1;
        kernels::reduce_sum(1, c.reduced, c.inner, x.data() + last * c.reduced * c.inner, alone.data());
        CHECK(std::equal(alone.begin(), alone.end(), one.begin() + last * c.inner));
    }
}

}  // namespace reduce_test
