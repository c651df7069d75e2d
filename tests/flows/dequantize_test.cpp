// Dequantization against probabilities of a grid that are known, and its densities against Jacobians.
#include "genmod/flows/dequantize.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/flows/audit.hpp"
#include "genmod/flows/flowpp.hpp"
#include "genmod/metrics/bits_per_dim.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/optim/adam.hpp"
#include "tests/support/gradient.hpp"

namespace dequantize_test {

using namespace genmod;

namespace {

constexpr double per_unit = 2;  // the grid's points are k / 2

// Points [n, 2] that are standard normal.
struct Identity : nn::Module {
    flows::Transformed<double> forward(const Var<double>& x) const { return {x, flows::no_log_det(x)}; }
    flows::Transformed<double> inverse(const Var<double>& y) const { return {y, flows::no_log_det(y)}; }
    static void visit(auto&, auto&&) {}
};
using Model = flows::Flow<double, Identity>;

// eps exp(s) + t with s and t from the context [n, 4].
struct ConditionalAffine : nn::Module {
    flows::Transformed<double> forward(const Var<double>& x, const Var<double>& context) const {
        const auto halves = ops::chunk(context, 2, 1);
        return {ops::add(ops::mul(x, ops::exp(halves[0])), halves[1]), flows::per_sample(halves[0])};
    }
    flows::Transformed<double> inverse(const Var<double>& y, const Var<double>& context) const {
        const auto halves = ops::chunk(context, 2, 1);
        const Var<double> x = ops::mul(ops::sub(y, halves[1]), ops::exp(ops::negate(halves[0])));
        return {x, ops::negate(flows::per_sample(halves[0]))};
    }
    static void visit(auto&, auto&&) {}
};
using Learned = flows::VariationalDequantizer<double, nn::Linear<double>, ConditionalAffine>;

double below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// Normal points rounded to the grid, and log (probability per_unit^2) of each.
struct Grid {
    Tensor<double> x;
    std::vector<double> nats;

    explicit Grid(Index n) : x(Rng(3).normals<double>({n, 2})), nats(static_cast<std::size_t>(n), 0.0) {
        for (double& number : x) number = std::round(number * per_unit) / per_unit;
        for (Index k = 0; k < x.size(); ++k)
            nats[static_cast<std::size_t>(k / 2)] +=
                std::log((below(x[k] + 0.5 / per_unit) - below(x[k] - 0.5 / per_unit)) * per_unit);
    }
};

double mean(const std::vector<double>& values) { return metrics::mean_and_error(values).mean; }

// Noise of about deviation e^width before it is squashed: 0.6 fills the cells nearly evenly.
Learned learned(double width) {
    Rng rng(4);
    auto context = flows::scaled_start(nn::Linear<double>(2, 4, rng), 0.3);
    for (Index k = 0; k < 2; ++k) context.bias.value()[k] += width;
    return {std::move(context), ConditionalAffine(), per_unit};
}

}  // namespace

TEST_CASE("importance weighting leads from a bound to the probability of the grid's points") {
    const Model model(Identity(), {2});
    const Grid grid(200);
    const double exact = mean(grid.nats);
    const auto climb = [&](const auto& dequantizer, double slack) {
        double last = -HUGE_VAL;
        for (const Index samples : {1, 8, 256}) {
            const double found = mean(flows::importance_weighted_nats(model, dequantizer, grid.x, samples, 5));
            INFO(samples << " samples: " << found << ", exact " << exact);
            REQUIRE((found > last || std::abs(exact - last) < slack));
            last = found;
        }
        REQUIRE(last == Approx(exact).margin(slack));
        return last;
    };
    climb(flows::UniformDequantizer<double>(per_unit), 4e-3);
    climb(learned(0.6), 1e-2);
    const auto bits = metrics::bits_per_dim(grid.nats, 2, per_unit);
    double entropy = 0;  // of the points themselves
    for (const double nats : grid.nats) entropy -= (nats / 2 - std::log(per_unit)) / std::log(2.0) / 200;
    REQUIRE(mean(bits) == Approx(entropy));
}

TEST_CASE("a learned dequantizer closes the gap of the bound") {
    const Model model(Identity(), {2});
    const Grid grid(256);
    auto dequantizer = learned(-0.5);
    optim::Adam<double> adam(dequantizer, {.lr = 0.05});
    const auto gap = [&] {
        const NoGrad off;
        double sum = 0;
        for (std::uint64_t step = 1000; step < 1020; ++step) {
            const auto bound = flows::dequantized_bound<double>(model, dequantizer, grid.x, 6, step);
            for (const double nats : bound.value()) sum += nats;
        }
        return mean(grid.nats) - sum / 20 / 256;
    };
    const double before = gap();
    for (std::uint64_t step = 0; step < 120; ++step) {
        const Var<double> bound = flows::dequantized_bound<double>(model, dequantizer, grid.x, 6, step);
        backward(ops::negate(ops::mean(bound)));
        adam.step();
        nn::zero_grad(dequantizer);
    }
    INFO("gap before " << before << ", after " << gap());
    REQUIRE(before > 0.1);
    REQUIRE(gap() > 0);
    REQUIRE(gap() < 0.2 * before);
}

TEST_CASE("dequantized numbers stay in their cells, by seed and step, and log q is the noise's density") {
    Rng rng(7);
    auto dequantizer =
        flows::flowpp_dequantizer<double>({2, 4, 1}, rng,
                                          {.couplings = 2,
                                           .context = 4,
                                           .context_blocks = 1,
                                           .mixture = {.components = 3},
                                           .network = {.filters = 6, .blocks = 1, .heads = 2, .dropout = 0},
                                           .per_unit = per_unit});
    const auto x = Tensor<double>::full({3, 2, 4, 1}, 0.5);
    dequantizer.initialize(x, 8);
    const auto drawn = dequantizer(x, 9, 4), other = dequantizer(x, 9, 5), part = dequantizer(x.slice(1, 3), 10, 4);
    for (Index k = 0; k < x.size(); ++k) {
        REQUIRE(std::abs(drawn.x.value()[k] - 0.5) <= 0.5 / per_unit);
        REQUIRE(drawn.x.value()[k] != other.x.value()[k]);
        if (k < 16) REQUIRE(part.x.value()[k] == drawn.x.value()[8 + k]);
    }
    const auto even = flows::UniformDequantizer<double>(per_unit)(x, 9);
    for (const double number : even.x.value()) REQUIRE(std::abs(number - 0.5) <= 0.5 / per_unit);
    REQUIRE(even.log_q.value()[2] == 0);

    const auto eps = rng.normals<double>(x.shape());
    struct Noise {
        const decltype(dequantizer)& own;
        const Tensor<double>& x;
        flows::Transformed<double> forward(const Var<double>& normals) const {
            const auto found = own.at(x, normals);
            return {ops::scale(found.x, per_unit), found.log_q};  // the noise, but for a constant
        }
    };
    const auto jacobians = flows::detail::jacobians<double>(Noise{dequantizer, x}, eps);
    const auto log_q = dequantizer.at(x, Var<double>(eps)).log_q;
    const auto base = flows::standard_normal_log_prob(Var<double>(eps));
    for (Index k = 0; k < 3; ++k) {
        double log_det = 0;
        kernels::invert<double>(8, jacobians.data() + k * 64, nullptr, &log_det);
        REQUIRE(log_q.value()[k] == Approx(base.value()[k] - log_det).margin(1e-9));
    }
    REQUIRE_THROWS_AS(flows::UniformDequantizer<double>(0), Error);
    REQUIRE_THROWS_AS(flows::flowpp_dequantizer<double>({2, 3, 1}, rng), Error);
    REQUIRE_THROWS_AS(flows::importance_weighted_nats(Model(Identity(), {2}), learned(0), Grid(2).x, 0, 1), Error);
}

}  // namespace dequantize_test
