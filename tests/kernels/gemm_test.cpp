// The matrix product against its definition, and its promise that bits depend on the operands alone.
#include "genmod/kernels/gemm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "genmod/core/context.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/naive_gemm.hpp"
#include "tests/support/random_numbers.hpp"

namespace gemm_test {

using namespace genmod;
using genmod::test::numbers;
using genmod::test::pick;
using genmod::test::Random;
using kernels::Epilogue;
using kernels::Matrix;

namespace {

// A matrix in memory of its own: row-major, transposed, with gaps, or with both steps larger than one.
template <class T>
struct Stored {
    std::vector<T> memory;
    Matrix<T> view;

    Stored(Random& random, Index rows, Index cols, int layout) {
        const Index gap = layout >= 2 ? static_cast<Index>(random() % 5) : 0;
        const Index inner = layout >= 4 ? 3 : 1;
        const bool flipped = layout % 2 == 1;
        const Index outer = (flipped ? rows : cols) * inner + gap;
        memory = numbers<T>(random, outer * (flipped ? cols : rows) + 1);
        view = flipped ? Matrix<T>{memory.data(), rows, cols, inner, outer}
                       : Matrix<T>{memory.data(), rows, cols, outer, inner};
    }
};

// A product with every part of the epilogue that `parts` names.
template <class T>
struct Problem {
    Stored<T> a, b;
    Index c_step;
    std::vector<T> c, bias, residual;
    Epilogue<T> epilogue;

    Problem(Random& random, Index m, Index n, Index k, unsigned parts)
        : a(random, m, k, static_cast<int>(random() % 6)),
          b(random, k, n, static_cast<int>(random() % 6)),
          c_step(n + static_cast<Index>(random() % 4)),
          c(numbers<T>(random, m * c_step)),
          bias(numbers<T>(random, n)),
          residual(numbers<T>(random, m * c_step)) {
        if ((parts & 1) != 0) epilogue.bias = bias.data();
        if ((parts & 2) != 0) epilogue.residual = residual.data();
        if ((parts & 4) != 0) epilogue.scale = T(0.37);
        if ((parts & 8) != 0) epilogue.mode = Accumulate::add;
    }

    std::vector<T> run() const {
        std::vector<T> result = c;
        kernels::gemm(a.view, b.view, result.data(), c_step, epilogue);
        return result;
    }
};

// The largest error in units of eps * sum of absolute products; infinite when a gap of c was touched.
template <class T>
double error(const Problem<T>& problem, const std::vector<T>& result) {
    double worst = 0;
    for (Index i = 0; i < problem.a.view.rows; ++i)
        for (Index j = 0; j < problem.c_step; ++j) {
            const auto at = static_cast<std::size_t>(i * problem.c_step + j);
            if (j >= problem.b.view.cols) {
                if (result[at] != problem.c[at]) return std::numeric_limits<double>::infinity();
                continue;
            }
            const naive::Sum expected = naive::finish(naive::product(problem.a.view, problem.b.view, i, j),
                                                      problem.epilogue, j, static_cast<Index>(at), problem.c[at]);
            const double unit = static_cast<double>(std::numeric_limits<T>::epsilon()) * (expected.magnitude + 1e-30);
            const double difference = std::abs(static_cast<double>(result[at]) - expected.value) / unit;
            worst = difference <= worst ? worst : difference;
        }
    return worst;
}

Index size(Random& random) {
    return pick(random,
                {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 14, 15, 16, 17, 27, 28, 29, 31, 32, 33, 48, 63, 64, 65, 70, 97});
}

}  // namespace

TEMPLATE_TEST_CASE("gemm agrees with the definition", "", float, double) {
    Random random(1);
    for (int round = 0; round < 150; ++round) {
        const Index m = size(random), n = size(random);
        const Index k = round % 10 == 0 ? pick(random, {383, 384, 385, 768, 1000}) : size(random);
        const Problem<TestType> problem(random, m, n, k, static_cast<unsigned>(random()));
        INFO("m " << m << ", n " << n << ", k " << k);
        CHECK(error(problem, problem.run()) <= 16);
    }
}

TEST_CASE("gemm of larger shapes agrees with the definition") {
    Random random(2);
    const Index shapes[][3] = {{400, 190, 300}, {1000, 33, 70},   {3, 1500, 800}, {200, 600, 1200},
                               {513, 513, 31},  {170, 640, 3300}, {1, 1600, 700}};
    for (const auto& shape : shapes)
        for (const unsigned parts : {0u, 15u}) {
            const Problem<float> problem(random, shape[0], shape[1], shape[2], parts);
            INFO("m " << shape[0] << ", n " << shape[1] << ", k " << shape[2] << ", parts " << parts);
            CHECK(error(problem, problem.run()) <= 16);
        }
}

TEST_CASE("gemm of empty operands") {
    Random random(3);
    for (const unsigned parts : {0u, 1u, 8u, 15u}) {
        const Problem<float> problem(random, 5, 40, 0, parts);
        CHECK(error(problem, problem.run()) <= 1);
    }
    const Problem<float> no_rows(random, 0, 7, 5, 0), no_columns(random, 7, 0, 5, 0);
    CHECK(no_rows.run() == no_rows.c);
    CHECK(no_columns.run() == no_columns.c);
}

TEST_CASE("the residual may be the result itself") {
    Random random(4);
    for (const Index k : {50, 800}) {
        Problem<float> problem(random, 37, 65, k, 3);
        problem.residual = problem.c;
        std::vector<float> in_place = problem.c;
        Epilogue<float> epilogue = problem.epilogue;
        const std::vector<float> apart = problem.run();
        epilogue.residual = in_place.data();
        kernels::gemm(problem.a.view, problem.b.view, in_place.data(), problem.c_step, epilogue);
        CHECK(in_place == apart);
    }
}

TEST_CASE("gemm gives equal bits for any threads and executors") {
    Random random(5);
    const Executor shuffled = [&](Index count, TileFunction tile) {
        std::vector<Index> order(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
        std::shuffle(order.begin(), order.end(), random);
        for (const Index index : order) tile(index);
    };
    const Index shapes[][3] = {{500, 300, 500}, {64, 1280, 800}, {3136, 128, 400}, {9, 2000, 900},
                               {2000, 3, 900},  {1, 2048, 900},  {1, 1000, 400},   {256, 256, 256},
                               {512, 128, 128}, {128, 128, 512}, {200, 64, 700},   {660, 96, 1030},
                               {40, 512, 600},  {160, 800, 100}, {1100, 70, 64},   {90, 1000, 60}};
    for (int round = 0; round < 3; ++round)
        for (const auto& shape : shapes) {
            const Problem<float> problem(random, shape[0], shape[1], shape[2], static_cast<unsigned>(random()));
            INFO("m " << shape[0] << ", n " << shape[1] << ", k " << shape[2]);
            std::vector<float> expected;
            {
                const Threads one(1);
                expected = problem.run();
            }
            for (const int count : {2, 3, 4, 7}) {
                const Threads threads(count);
                CHECK(problem.run() == expected);
            }
            const UseExecutor scope(shuffled);
            CHECK(problem.run() == expected);
        }
}

TEST_CASE("a row of a product does not depend on the other rows") {
    Random random(6);
    for (int round = 0; round < 60; ++round) {
        const Index m = pick(random, {7, 16, 45, 200, 400}), n = pick(random, {1, 5, 32, 100, 600});
        const Problem<float> problem(random, m, n, pick(random, {3, 64, 385, 800}), static_cast<unsigned>(random()));
        const std::vector<float> whole = problem.run();
        for (const Index row : {Index{0}, m / 2, m - 1}) {
            Matrix<float> one = problem.a.view;
            one.rows = 1;
            one.data += row * one.row_step;
            Epilogue<float> epilogue = problem.epilogue;
            const auto first = row * problem.c_step;
            if (epilogue.residual != nullptr) epilogue.residual += first;
            std::vector<float> alone(problem.c.begin() + first, problem.c.begin() + first + problem.c_step);
            kernels::gemm(one, problem.b.view, alone.data(), problem.c_step, epilogue);
            CHECK(std::equal(alone.begin(), alone.end(), whole.begin() + first));
        }
    }
}

TEST_CASE("a sum is one chain of fused multiply-adds over ascending k") {
    Random random(7);
    const Problem<float> problem(random, 31, 70, 900, 0);
    const std::vector<float> result = problem.run();
    const Matrix<float>& a = problem.a.view;
    const Matrix<float>& b = problem.b.view;
    for (Index i = 0; i < 31; ++i)
        for (Index j = 0; j < 70; ++j) {
            float sum = 0;
            for (Index k = 0; k < 900; ++k)
                sum = std::fma(a.data[i * a.row_step + k * a.col_step], b.data[k * b.row_step + j * b.col_step], sum);
            REQUIRE(result[static_cast<std::size_t>(i * problem.c_step + j)] == sum);
        }
}

TEST_CASE("gemm_batch equals its products one by one") {
    Random random(8);
    for (int round = 0; round < 40; ++round) {
        const Index m = size(random), n = size(random), k = size(random), count = pick(random, {1, 2, 5, 40});
        const bool shared = random() % 2 == 0;
        const std::vector<float> a = numbers<float>(random, count * m * k);
        const std::vector<float> b = numbers<float>(random, (shared ? 1 : count) * k * n);
        const std::vector<float> bias = numbers<float>(random, n), residual = numbers<float>(random, count * m * n);
        std::vector<float> c(static_cast<std::size_t>(count * m * n)), expected = c;
        const Epilogue<float> epilogue{.bias = bias.data(), .residual = residual.data(), .scale = 2.5f};
        const Matrix<float> a_view = kernels::row_major(a.data(), m, k), b_view = kernels::row_major(b.data(), k, n);
        kernels::gemm_batch(count, a_view, m * k, b_view, shared ? 0 : k * n, c.data(), n, m * n, epilogue);
        for (Index p = 0; p < count; ++p) {
            Epilogue<float> finish = epilogue;
            finish.residual += p * m * n;
            kernels::gemm(kernels::row_major(a.data() + p * m * k, m, k),
                          kernels::row_major(b.data() + (shared ? 0 : p * k * n), k, n), expected.data() + p * m * n, n,
                          finish);
        }
        CHECK(c == expected);
    }
}

}  // namespace gemm_test
