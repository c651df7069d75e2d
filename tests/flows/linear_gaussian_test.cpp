// x = A z + mean + noise: every family's likelihood, set to the exact model, is the closed form.
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <variant>
#include <vector>

#include "genmod/core/rng.hpp"
#include "genmod/diffusion/exact_score.hpp"
#include "genmod/diffusion/flow_levels.hpp"
#include "genmod/diffusion/likelihood.hpp"
#include "genmod/flows/actnorm.hpp"
#include "genmod/flows/ffjord.hpp"
#include "genmod/flows/flow.hpp"
#include "genmod/flows/inv_conv1x1.hpp"
#include "genmod/metrics/bits_per_dim.hpp"
#include "genmod/ops/linear.hpp"
#include "genmod/vae/likelihood.hpp"
#include "tests/support/catch.hpp"

namespace linear_gaussian_test {

using namespace genmod;

namespace {

constexpr Index dims = 3, latent = 2;
constexpr double deviation = 0.6;                                    // of the noise
const std::array<double, 6> factors{0.9, 0.5, 0.4, 0.8, -0.2, 0.5};  // A [3, 2]
const std::vector<double> mean{0.3, -0.2, 0.1};

double factor(Index row, Index column) { return factors[static_cast<std::size_t>(row * latent + column)]; }

// The law of x.
diffusion::GaussianComponent component() {
    std::vector<double> covariance(9, 0.0);
    for (Index i = 0; i < dims; ++i)
        for (Index j = 0; j < dims; ++j) {
            double sum = i == j ? deviation * deviation : 0;
            for (Index k = 0; k < latent; ++k) sum += factor(i, k) * factor(j, k);
            covariance[static_cast<std::size_t>(i * dims + j)] = sum;
        }
    return {.mean = mean, .covariance = covariance};
}

const diffusion::detail::GaussianAxes& axes() {
    static const diffusion::detail::GaussianAxes result(component());
    return result;
}

// The matrix [3, 3] with the covariance's axes, and f(variance) along each.
Tensor<double> along_axes(const std::function<double(double)>& f) {
    auto result = Tensor<double>::zeros({dims, dims});
    for (Index row = 0; row < dims; ++row)
        for (Index axis = 0; axis < dims; ++axis)
            for (Index column = 0; column < dims; ++column)
                result[row * dims + column] += axes().vectors[static_cast<std::size_t>(axis * dims + row)] *
                                               f(axes().values[static_cast<std::size_t>(axis)]) *
                                               axes().vectors[static_cast<std::size_t>(axis * dims + column)];
    return result;
}

// matrix * mean * factor, [3]
Tensor<double> times_mean(const Tensor<double>& matrix, double by) {
    auto result = Tensor<double>::zeros({dims});
    for (Index k = 0; k < dims * dims; ++k)
        result[k / dims] += by * matrix[k] * mean[static_cast<std::size_t>(k % dims)];
    return result;
}

struct Problem {
    Tensor<double> x;
    std::vector<double> nats;

    explicit Problem(Index n) {
        const diffusion::GaussianMixture law({component()});
        Rng rng(2);
        x = law.draw(n, rng);
        const auto exact = law.log_density(x);
        nats.assign(exact.begin(), exact.end());
    }
};

void require_close(const std::vector<double>& found, const std::vector<double>& exact, double tolerance) {
    REQUIRE(found.size() == exact.size());
    for (std::size_t k = 0; k < exact.size(); ++k) REQUIRE(found[k] == Approx(exact[k]).margin(tolerance));
}

template <class Model>
std::vector<double> log_probs(const Model& model, const Tensor<double>& x) {
    const NoGrad off;
    const Var<double> found = model.log_prob(Var<double>(x));
    return {found.value().begin(), found.value().end()};
}

// dz/dt = rate z + push.
struct LinearField : nn::Module {
    Var<double> rate, push;

    template <class Value>
    Value operator()(const Var<double>& /*t*/, const Value& z) const {
        return ops::linear(z, rate, push);
    }
    static void visit(auto& self, auto&& f) {
        f("rate", self.rate);
        f("push", self.push);
    }
};

// Of z given x: I + A'A / deviation^2.
std::array<double, 4> posterior_precision() {
    std::array<double, 4> result{1, 0, 0, 1};
    for (Index i = 0; i < dims; ++i)
        for (Index k = 0; k < 4; ++k)
            result[static_cast<std::size_t>(k)] += factor(i, k / 2) * factor(i, k % 2) / (deviation * deviation);
    return result;
}

// The autoencoder whose decoder is A z + mean, and whose encoder has the posterior's mean and
// the variances of the diagonal one that is closest to it.
vae::Vae<double> exact_vae() {
    Rng rng(3);
    vae::Vae<double> model({.sample = {dims},
                            .latent = latent,
                            .architecture = vae::Architecture::fully_connected,
                            .widths = {},
                            .likelihood = vae::Likelihood::gaussian,
                            .deviation = deviation},
                           rng);
    auto& decoder = std::get<vae::FullDecoder<double>>(model.decoder).mlp.layers[0];
    auto& encoder = std::get<vae::FullEncoder<double>>(model.encoder).mlp.layers[0];
    const auto precision = posterior_precision();
    for (Index k = 0; k < dims * latent; ++k) decoder.weight.value()[k] = factors[static_cast<std::size_t>(k)];
    for (Index i = 0; i < dims; ++i) decoder.bias.value()[i] = mean[static_cast<std::size_t>(i)];
    const double determinant = precision[0] * precision[3] - precision[1] * precision[2];
    encoder.weight.value().fill(0);
    encoder.bias.value().fill(0);
    for (Index row = 0; row < latent; ++row) {
        const Index other = 1 - row;
        const double own = precision[static_cast<std::size_t>(3 * other)] / determinant;
        for (Index i = 0; i < dims; ++i) {
            const double weight =
                (own * factor(i, row) - precision[1] / determinant * factor(i, other)) / (deviation * deviation);
            encoder.weight.value()[row * dims + i] = weight;
            encoder.bias.value()[row] -= weight * mean[static_cast<std::size_t>(i)];
        }
        encoder.bias.value()[latent + row] = -std::log(precision[static_cast<std::size_t>(3 * row)]);
    }
    return model;
}

}  // namespace

TEST_CASE("an affine flow has the linear Gaussian's likelihood") {
    const Problem problem(20);
    Rng rng(4);
    flows::ActNorm<double> shift(dims);
    for (Index k = 0; k < dims; ++k) shift.shift.value()[k] = -mean[static_cast<std::size_t>(k)];
    flows::InvConv1x1<double> whiten(dims, rng, flows::MatrixForm::full);
    whiten.weight.value().assign(along_axes([](double variance) { return 1 / std::sqrt(variance); }));
    using Step = std::variant<flows::ActNorm<double>, flows::InvConv1x1<double>>;
    std::vector<Step> steps;
    steps.emplace_back(std::move(shift));
    steps.emplace_back(std::move(whiten));
    const flows::Flow<double, flows::Sequence<double, Step>> flow(flows::Sequence<double, Step>(std::move(steps)),
                                                                  {dims});
    require_close(log_probs(flow, problem.x), problem.nats, 1e-12);
}

TEST_CASE("FFJORD with a linear field has the linear Gaussian's likelihood") {
    const Problem problem(20);
    constexpr double end = 0.8;
    const auto rate = [](double variance) { return -0.5 * std::log(variance) / end; };
    LinearField field;
    field.rate = Var<double>::parameter(along_axes(rate));
    // e^(rate end) (x + push / rate) - push / rate = e^(rate end) (x - mean)
    field.push = Var<double>::parameter(times_mean(
        along_axes([&](double variance) { return rate(variance) / (1 - std::exp(-rate(variance) * end)); }), -1));
    flows::FfjordOptions options{.end_time = end, .integrate = {.ode = {.atol = 1e-9, .rtol = 1e-9}}};
    flows::Flow<double, flows::Ffjord<double, LinearField>> flow(
        flows::Ffjord<double, LinearField>(std::move(field), options), {dims});
    require_close(log_probs(flow, problem.x), problem.nats, 1e-7);
    // Hutchinson's estimate is of the same trace for every sample and time: right in the mean over probes.
    flow.transform.options.trace = nn::Trace::signs;
    flow.transform.options.integrate.ode = {.atol = 1e-6, .rtol = 1e-6};
    std::vector<double> errors;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        flow.transform.options.seed = seed;
        const auto found = log_probs(flow, problem.x);
        for (std::size_t k = 0; k < found.size(); ++k) errors.push_back(found[k] - problem.nats[k]);
    }
    const auto error = metrics::mean_and_error(errors);
    REQUIRE(std::abs(error.mean) < 4 * error.standard_error);
    REQUIRE(error.standard_error > 1e-3);
}

TEST_CASE("diffusion's ODE has the linear Gaussian's likelihood") {
    const Problem problem(8);
    // The exact velocity eps - x0 of x at signal 1 - s and noise s.
    const auto network = [](const Var<double>& x, const Tensor<double>& t) {
        const double s = t[0] / 1000, a = 1 - s;
        const auto slope = along_axes([&](double variance) { return (s - a * variance) / (a * a * variance + s * s); });
        Tensor<double> bias = times_mean(slope, -a);
        for (Index k = 0; k < dims; ++k) bias[k] -= mean[static_cast<std::size_t>(k)];
        return ops::linear(x, Var<double>(slope), Var<double>(bias));
    };
    diffusion::LikelihoodOptions options{.prediction_type = diffusion::PredictionType::flow_prediction,
                                         .trace = nn::Trace::exact,
                                         .sigma_min = 1e-9,
                                         .ode = {.atol = 1e-8, .rtol = 1e-8}};
    const auto exact = diffusion::log_likelihood(network, problem.x, diffusion::flow_levels(10), options);
    require_close(exact.nats, problem.nats, 1e-5);
}

TEST_CASE("a linear autoencoder's importance weights have the linear Gaussian's likelihood") {
    const Problem problem(20);
    const auto model = exact_vae();
    const auto found = vae::importance_sampled(model, problem.x, {.draws = 4000, .seed = 5});
    for (std::size_t k = 0; k < 20; ++k) {
        REQUIRE(std::abs(found.nats[k] - problem.nats[k]) < 4.5 * found.standard_errors[k]);
        REQUIRE((found.standard_errors[k] > 1e-4 && found.standard_errors[k] < 0.05));
    }
    // Bounds from below, tighter with more draws. The ELBO's gap is the divergence of the diagonal from the posterior.
    const auto precision = posterior_precision();
    const double elbo_gap = -0.5 * std::log(1 - precision[1] * precision[2] / (precision[0] * precision[3]));
    const Rng seeded(6);
    double last = 0;
    for (const Index draws : {1, 5, 50}) {
        Rng rng = seeded;
        const auto noise = rng.normals<double>({20, 40 * draws, latent});
        std::vector<double> gaps;
        for (Index k = 0; k < 20; ++k) {
            auto repeated = Tensor<double>({40, dims});
            for (Index i = 0; i < repeated.size(); ++i) repeated[i] = problem.x[k * dims + i % dims];
            const auto bound =
                vae::importance_weighted_bound(model, repeated, noise.slice(k, k + 1).reshape({40, draws, latent}));
            for (const double nats : bound.value()) gaps.push_back(problem.nats[static_cast<std::size_t>(k)] - nats);
        }
        const auto gap = metrics::mean_and_error(gaps);
        INFO(draws << " draws: gap " << gap.mean << " +- " << gap.standard_error);
        REQUIRE(gap.mean > -4 * gap.standard_error);
        if (draws == 1) REQUIRE(std::abs(gap.mean - elbo_gap) < 4 * gap.standard_error);
        if (draws > 1) REQUIRE(gap.mean < 0.5 * last);
        last = gap.mean;
    }
}

}  // namespace linear_gaussian_test
