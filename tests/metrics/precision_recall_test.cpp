#include "genmod/metrics/precision_recall.hpp"

#include <algorithm>
#include <vector>

#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace precision_recall_test {

using namespace genmod;
using namespace genmod::metrics;

namespace {

// As the definition says it, one pair at a time.
double covered_naively(const Tensor<double>& x, const Tensor<double>& y, Index k) {
    const Index d = x.dim(1);
    const auto square = [d](const double* a, const double* b) {
        double sum = 0;
        for (Index i = 0; i < d; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
        return sum;
    };
    Index inside = 0;
    for (Index i = 0; i < x.dim(0); ++i) {
        bool found = false;
        for (Index j = 0; j < y.dim(0); ++j) {
            std::vector<double> others;
            for (Index o = 0; o < y.dim(0); ++o)
                if (o != j) others.push_back(square(y.data() + j * d, y.data() + o * d));
            std::sort(others.begin(), others.end());
            found = found || square(x.data() + i * d, y.data() + j * d) <= others[static_cast<std::size_t>(k - 1)];
        }
        inside += found ? 1 : 0;
    }
    return static_cast<double>(inside) / static_cast<double>(x.dim(0));
}

}  // namespace

TEST_CASE("precision and recall agree with the definition") {
    Rng rng(1);
    for (int round = 0; round < 10; ++round) {
        const auto real = rng.normals<double>({10 + rng.below(30), 3});
        auto made = rng.normals<double>({10 + rng.below(30), 3});
        for (double& value : made) value = 0.7 * value + 0.5;
        const Index k = 1 + rng.below(4);
        const PrecisionRecall found = precision_recall(real, made, k);
        REQUIRE(found.precision == covered_naively(made, real, k));
        REQUIRE(found.recall == covered_naively(real, made, k));
    }
}

TEST_CASE("many samples pass through in blocks") {
    Rng rng(2);
    const auto real = rng.normals<double>({150, 2}), made = rng.normals<double>({80, 2});
    const PrecisionRecall found = precision_recall(real, made);
    REQUIRE(found.precision == covered_naively(made, real, 3));
    REQUIRE(found.recall == covered_naively(real, made, 3));
    REQUIRE(found.precision > 0.9);
}

TEST_CASE("a collapsed generator has precision without recall, a scattered one recall without precision") {
    Rng rng(3);
    const auto real = rng.normals<float>({400, 4});
    auto narrow = rng.normals<float>({400, 4}), wide = rng.normals<float>({400, 4}), far = rng.normals<float>({400, 4});
    for (float& value : narrow) value *= 0.05f;
    for (float& value : wide) value *= 20.0f;
    for (float& value : far) value += 100.0f;
    REQUIRE(precision_recall(real, narrow).precision > 0.95);
    REQUIRE(precision_recall(real, narrow).recall < 0.05);
    REQUIRE(precision_recall(real, wide).precision < 0.05);
    REQUIRE(precision_recall(real, wide).recall > 0.9);
    REQUIRE(precision_recall(real, far).precision == 0);
    REQUIRE(precision_recall(real, far).recall == 0);
    REQUIRE(precision_recall(real, real).precision == 1);
}

TEST_CASE("sets that are too small or do not fit are refused") {
    Rng rng(4);
    const auto a = rng.normals<float>({10, 4});
    REQUIRE_THROWS_AS(precision_recall(a, rng.normals<float>({10, 5})), Error);
    REQUIRE_THROWS_AS(precision_recall(a, rng.normals<float>({3, 4})), Error);
    REQUIRE_THROWS_AS(precision_recall(a, a, 0), Error);
}

}  // namespace precision_recall_test
