// Products over samples: their chunks, and bits that depend on the operands alone.
#include "genmod/kernels/impl/gemm_chunks.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "genmod/core/context.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/naive_gemm.hpp"
#include "tests/support/random_numbers.hpp"

namespace gemm_chunks_test {

using namespace genmod;
using genmod::test::numbers;
using genmod::test::pick;
using genmod::test::Random;
using kernels::Matrix;

namespace {

// Gradients dy [samples, m] of a layer whose inputs were x [samples, n], and what has been collected before.
template <class T>
struct Problem {
    Index samples, m, n;
    std::vector<T> dy, x, before;

    Problem(Random& random, Index count, Index rows, Index cols)
        : samples(count),
          m(rows),
          n(cols),
          dy(numbers<T>(random, samples * m)),
          x(numbers<T>(random, samples * n)),
          before(numbers<T>(random, m * n)) {}

    // The factors of samples first..first+count-1.
    Matrix<T> a(Index first, Index count) const {
        return kernels::transposed(kernels::row_major(dy.data() + first * m, count, m));
    }
    Matrix<T> b(Index first, Index count) const { return kernels::row_major(x.data() + first * n, count, n); }

    std::vector<T> run(Accumulate mode) const {
        std::vector<T> c = before;
        kernels::gemm_over_samples(a(0, samples), b(0, samples), c.data(), mode);
        return c;
    }

    std::vector<T> by_chunks(Accumulate mode) const {
        const Index chunks = kernels::detail::sample_chunks(samples, m * n);
        std::vector<T> c(before.size());
        for (Index chunk = 0; chunk < chunks; ++chunk) {
            const Index first = samples * chunk / chunks, count = samples * (chunk + 1) / chunks - first;
            std::vector<T> part(before.size());
            kernels::gemm(a(first, count), b(first, count), part.data(), n);
            for (std::size_t i = 0; i < c.size(); ++i) c[i] = chunk == 0 ? part[i] : c[i] + part[i];
        }
        if (mode == Accumulate::add)
            for (std::size_t i = 0; i < c.size(); ++i) c[i] = before[i] + c[i];
        return c;
    }
};

template <class T>
Problem<T> any_problem(Random& random) {
    const Index samples = pick(random, {1, 3, 255, 256, 511, 512, 513, 700, 1024, 3000});
    const Index m = pick(random, {1, 2, 7, 14, 33, 64, 128}), n = pick(random, {1, 2, 16, 31, 32, 65, 128, 200});
    return {random, samples, m, n};
}

}  // namespace

TEMPLATE_TEST_CASE("products over samples are the sums of their chunks", "", float, double) {
    Random random(41);
    for (int round = 0; round < 60; ++round) {
        const Problem<TestType> problem = any_problem<TestType>(random);
        INFO("samples " << problem.samples << ", m " << problem.m << ", n " << problem.n);
        for (const Accumulate mode : {Accumulate::write, Accumulate::add})
            CHECK(problem.run(mode) == problem.by_chunks(mode));
    }
}

TEMPLATE_TEST_CASE("products over samples agree with the definition", "", float, double) {
    Random random(42);
    for (int round = 0; round < 30; ++round) {
        const Problem<TestType> problem = any_problem<TestType>(random);
        INFO("samples " << problem.samples << ", m " << problem.m << ", n " << problem.n);
        const std::vector<TestType> found = problem.run(Accumulate::write);
        double worst = 0;
        for (Index i = 0; i < problem.m; ++i)
            for (Index j = 0; j < problem.n; ++j) {
                const naive::Sum sum =
                    naive::product(problem.a(0, problem.samples), problem.b(0, problem.samples), i, j);
                const double unit =
                    static_cast<double>(std::numeric_limits<TestType>::epsilon()) * (sum.magnitude + 1e-30);
                const double value = static_cast<double>(found[static_cast<std::size_t>(i * problem.n + j)]);
                worst = std::max(worst, std::abs(value - sum.value) / unit);
            }
        CHECK(worst <= 4);
    }
}

TEST_CASE("products over samples give equal bits for any threads") {
    Random random(43);
    for (int round = 0; round < 20; ++round) {
        const Problem<float> problem = any_problem<float>(random);
        INFO("samples " << problem.samples << ", m " << problem.m << ", n " << problem.n);
        std::vector<float> expected;
        {
            const Threads one(1);
            expected = problem.run(Accumulate::add);
        }
        for (const int count : {2, 3, 7}) {
            const Threads threads(count);
            CHECK(problem.run(Accumulate::add) == expected);
        }
    }
}

}  // namespace gemm_chunks_test
