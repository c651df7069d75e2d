// Resampling kernels against plain loops in double.
#include "genmod/kernels/resample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace resample_test {

using namespace genmod;

namespace {

// Weight of input `source` in output `i` of an axis.
double weight_of(const kernels::Taps<float>& taps, Index i, Index source) {
    double weight = 0;
    for (Index k = taps.begin[static_cast<std::size_t>(i)]; k < taps.begin[static_cast<std::size_t>(i) + 1]; ++k)
        if (taps.source[static_cast<std::size_t>(k)] == source)
            weight += static_cast<double>(taps.weight[static_cast<std::size_t>(k)]);
    return weight;
}

// The largest error in units of eps times the sum of absolute products.
double error_of(const kernels::Taps<float>& rows, const kernels::Taps<float>& cols, Index n, Index c,
                const Tensor<float>& x, const Tensor<float>& y, const Tensor<float>& before) {
    double worst = 0;
    for (Index at = 0; at < y.size(); ++at) {
        const Index channel = at % c, col = at / c % cols.out, row = at / c / cols.out % rows.out;
        const Index image = at / c / cols.out / rows.out;
        double sum = static_cast<double>(before[at]), bound = std::fabs(sum);
        for (Index i = 0; i < rows.in; ++i)
            for (Index j = 0; j < cols.in; ++j) {
                const double product = weight_of(rows, row, i) * weight_of(cols, col, j) *
                                       static_cast<double>(x[((image * rows.in + i) * cols.in + j) * c + channel]);
                sum += product;
                bound += std::fabs(product);
            }
        const double error = std::fabs(static_cast<double>(y[at]) - sum);
        worst = std::max(worst, error / (std::numeric_limits<float>::epsilon() * bound + 1e-30));
    }
    REQUIRE(n * rows.out * cols.out * c == y.size());
    return worst;
}

kernels::Taps<float> taps_of(int kind, Index in, Index number) {
    switch (kind) {
        case 0: return kernels::nearest_taps<float>(in, number);
        case 1: return kernels::linear_taps<float>(in, number + 2);
        case 2: return kernels::mean_taps<float>(in, std::min(in, number), number);
        default: return kernels::stride_taps<float>(in, number);
    }
}

}  // namespace

TEST_CASE("resampling and its gradient agree with plain loops") {
    Rng rng(1);
    const auto pick = [&](Index low, Index high) {
        return low + static_cast<Index>(rng.uniforms<double>({1})[0] * static_cast<double>(high - low + 1));
    };
    for (int trial = 0; trial < 120; ++trial) {
        const Index n = pick(1, 2), c = pick(1, 35);
        const auto rows = taps_of(trial % 4, pick(1, 6), pick(1, 3)), cols = taps_of(trial % 4, pick(1, 6), pick(1, 3));
        const auto x = rng.normals<float>({n, rows.in, cols.in, c});
        Tensor<float> y({n, rows.out, cols.out, c});
        kernels::resample(rows, cols, n, c, x.data(), y.data());
        REQUIRE(error_of(rows, cols, n, c, x, y, Tensor<float>::zeros(y.shape())) <= 16);
        const auto back_rows = kernels::transposed(rows), back_cols = kernels::transposed(cols);
        const auto start = rng.normals<float>(x.shape());
        Tensor<float> dx = start.clone();
        kernels::resample(back_rows, back_cols, n, c, y.data(), dx.data(), Accumulate::add);
        REQUIRE(error_of(back_rows, back_cols, n, c, y, dx, start) <= 16);
    }
}

TEST_CASE("the weights of every way of resampling but skipping add up to one") {
    for (const Index in : {1, 2, 3, 8, 13})
        for (const Index out : {1, 2, 5, 13, 26}) {
            const auto taps = kernels::linear_taps<double>(in, out);
            for (Index i = 0; i < out; ++i) {
                double sum = 0;
                for (Index k = taps.begin[static_cast<std::size_t>(i)]; k < taps.begin[static_cast<std::size_t>(i) + 1];
                     ++k)
                    sum += taps.weight[static_cast<std::size_t>(k)];
                CHECK(sum == 1);
            }
        }
}

TEST_CASE("one picture is resampled alike alone and in a batch, on any number of threads") {
    const auto rows = kernels::linear_taps<float>(31, 62), cols = kernels::linear_taps<float>(29, 58);
    const auto x = Rng(2).normals<float>({3, 31, 29, 19});
    Tensor<float> all({3, 62, 58, 19}), alone({1, 62, 58, 19});
    {
        const Threads threads(3);
        kernels::resample(rows, cols, 3, 19, x.data(), all.data());
    }
    const Threads threads(1);
    kernels::resample(rows, cols, 1, 19, x.data() + 2 * 31 * 29 * 19, alone.data());
    CHECK(std::equal(alone.begin(), alone.end(), all.begin() + 2 * alone.size()));
}

}  // namespace resample_test
