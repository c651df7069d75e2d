#include "genmod/diffusion/loss.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "genmod/core/rng.hpp"
#include "tests/support/catch.hpp"

namespace loss_test {

using namespace genmod;
using namespace genmod::diffusion;

namespace {

using List = std::vector<Index>;

TrainingInputs<double> inputs_at(const Schedule& schedule, const List& t) {
    Rng rng(21);
    const Shape shape{static_cast<Index>(t.size()), 3, 2, 2};
    TrainingInputs<double> inputs{.x0 = rng.uniforms<double>(shape, -1, 1),
                                  .noise = rng.normals<double>(shape),
                                  .noisy = {},
                                  .t = t,
                                  .labels = {}};
    inputs.x0[0] = -1;
    inputs.x0[1] = 1;
    inputs.noisy = add_noise(schedule, inputs.x0, inputs.noise, t);
    return inputs;
}

// A network that says `noise` with an error, and for the variance something within range.
Tensor<double> nearly_right(const TrainingInputs<double>& inputs, Index channels) {
    Rng rng(22);
    auto output = rng.uniforms<double>(inputs.x0.shape().with(-1, channels), -0.9, 0.9);
    const Index c = inputs.x0.dim(-1);
    for (Index k = 0; k < output.size(); ++k)
        if (k % channels < c) output[k] = inputs.noise[k / channels * c + k % channels] + 0.1 * output[k];
    return output;
}

void require_gradient_of(const LossOptions& options, Index channels) {
    const Schedule schedule({.beta_schedule = BetaSchedule::squaredcos_cap_v2});
    const auto inputs = inputs_at(schedule, {0, 1, 2, 500, 998});
    const auto loss = [&](const std::vector<Var<double>>& in) {
        return mean_loss(in[0], loss_terms(schedule, inputs, in[0].value(), options));
    };
    const GradCheck result = check_grad(loss, {nearly_right(inputs, channels)});
    INFO(result.where << ", error " << result.error);
    REQUIRE(result.ok());
}

}  // namespace

TEST_CASE("the losses have the gradients of their values") {
    for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
        INFO(to_string(type));
        require_gradient_of({.prediction_type = type}, 2);
        require_gradient_of({.prediction_type = type, .min_snr_gamma = 5}, 2);
    }
    require_gradient_of({.kind = LossKind::vlb, .variance_type = VarianceType::fixed_small}, 2);
    require_gradient_of({.kind = LossKind::vlb, .variance_type = VarianceType::fixed_large}, 2);
    require_gradient_of({.kind = LossKind::vlb}, 4);
    require_gradient_of({.prediction_type = PredictionType::sample, .kind = LossKind::vlb}, 4);
    require_gradient_of({.prediction_type = PredictionType::v_prediction, .kind = LossKind::vlb}, 4);
}

TEST_CASE("the hybrid loss is the simple one plus T/1000 of the bound, and the bound trains only the variance") {
    const Schedule schedule({.num_train_timesteps = 400});
    const auto inputs = inputs_at(schedule, {0, 7, 399});
    const auto output = nearly_right(inputs, 4);
    const auto simple = loss_terms(schedule, inputs, output, {});
    const auto bound = loss_terms(schedule, inputs, output, {.kind = LossKind::vlb});
    const auto hybrid = loss_terms(schedule, inputs, output, {.kind = LossKind::hybrid});
    for (std::size_t k = 0; k < 3; ++k)
        REQUIRE(hybrid.values[k] == Approx(simple.values[k] + 0.4 * bound.values[k]).epsilon(1e-12));
    for (Index k = 0; k < output.size(); ++k)
        REQUIRE(hybrid.slopes[k] == Approx(k % 4 < 2 ? simple.slopes[k] : 0.4 * bound.slopes[k]).margin(1e-15));
}

TEST_CASE("the simple loss is the mean squared error of what is predicted") {
    const Schedule schedule;
    const auto inputs = inputs_at(schedule, {10, 700});
    const auto zero = Tensor<double>::zeros(inputs.x0.shape());
    const auto mean_square = [](const Tensor<double>& x) {
        double sum = 0;
        for (const double value : x) sum += value * value;
        return sum / static_cast<double>(x.size());
    };
    const auto loss = [&](PredictionType type) {
        return mean_loss(Var<double>(zero), loss_terms(schedule, inputs, zero, {.prediction_type = type})).item();
    };
    REQUIRE(loss(PredictionType::epsilon) == Approx(mean_square(inputs.noise)).epsilon(1e-13));
    REQUIRE(loss(PredictionType::sample) == Approx(mean_square(inputs.x0)).epsilon(1e-13));
    const auto v = velocity(schedule, inputs.x0, inputs.noise, inputs.t);
    REQUIRE(loss(PredictionType::v_prediction) == Approx(mean_square(v)).epsilon(1e-13));
}

TEST_CASE("min-SNR weights are those of the paper") {
    const Schedule schedule({.trained_betas = {0.05, 0.5}});  // SNR 19 and 0.475 / 0.525
    const double low = 0.475 / 0.525;
    REQUIRE(snr_weight(schedule, 0, PredictionType::epsilon, 5) == Approx(5.0 / 19));
    REQUIRE(snr_weight(schedule, 0, PredictionType::sample, 5) == Approx(5.0));
    REQUIRE(snr_weight(schedule, 0, PredictionType::v_prediction, 5) == Approx(5.0 / 20));
    REQUIRE(snr_weight(schedule, 1, PredictionType::epsilon, 5) == Approx(1.0));
    REQUIRE(snr_weight(schedule, 1, PredictionType::sample, 5) == Approx(low));
    REQUIRE(snr_weight(schedule, 1, PredictionType::v_prediction, 5) == Approx(low / (low + 1)));
    REQUIRE(snr_weight(schedule, 0, PredictionType::epsilon, 0) == 1);
}

TEST_CASE("the bound of the true posterior is nothing, and of a wrong one something") {
    const Schedule schedule;
    const auto inputs = inputs_at(schedule, {1, 40, 999});
    const auto exact = bound_terms(schedule, inputs.x0, inputs.noisy, inputs.t, inputs.noise,
                                   {.variance_type = VarianceType::fixed_small});
    const auto wide = bound_terms(schedule, inputs.x0, inputs.noisy, inputs.t, inputs.noise,
                                  {.variance_type = VarianceType::fixed_large});
    for (std::size_t k = 0; k < 3; ++k) {
        REQUIRE(std::fabs(exact.values[k]) < 1e-9);
        // KL of two centred normals: (log(large / small) - 1 + small / large) / 2 nats.
        const Posterior posterior(level(schedule, inputs.t[k]), level(schedule, inputs.t[k] - 1));
        const double ratio = posterior.small / posterior.large;
        REQUIRE(wide.values[k] ==
                Approx((-std::log(ratio) - 1 + ratio) / 2 / std::log(2.0)).epsilon(1e-6).margin(1e-12));
    }
}

TEST_CASE("the likelihood of bytes sums to one over all bytes") {
    for (const double mean : {-1.3, -1.0, -0.2, 0.7, 1.0}) {
        double sum = 0;
        for (int byte = 0; byte < 256; ++byte)
            sum += std::exp(-diffusion::detail::byte_likelihood(byte / 127.5 - 1, mean, -3.0).value);
        REQUIRE(sum == Approx(1).epsilon(1e-9));
    }
}

TEST_CASE("the prior term is small where the end is noise, and right where it is not") {
    const Tensor<double> x0 = Tensor<double>::full({1, 2}, 0.5);
    REQUIRE(prior_bits(Schedule(), x0)[0] < 1e-4);
    const Schedule half({.trained_betas = {0.5}});
    REQUIRE(prior_bits(half, x0)[0] == Approx(0.5 * (-1 - std::log(0.5) + 0.5 + 0.125) / std::log(2.0)).epsilon(1e-12));
}

TEST_CASE("training data are drawn by seed, step and sample") {
    const Schedule schedule;
    const auto x0 = Rng(1).normals<float>({64, 4, 4, 1});
    const LossOptions options{
        .offset_noise = 0.1, .input_perturbation = 0.1, .condition_dropout = 0.5, .null_class = 10};
    const List labels(64, 3);
    const auto all = draw_training_inputs(schedule, x0, labels, options, {.seed = 5, .step = 9});
    const auto part = draw_training_inputs(schedule, x0.slice(16, 32), List(16, 3), options,
                                           {.seed = 5, .step = 9, .first_sample = 16});
    REQUIRE(std::equal(part.noisy.begin(), part.noisy.end(), all.noisy.data() + 16 * 16));
    REQUIRE(List(all.t.begin() + 16, all.t.begin() + 32) == part.t);
    REQUIRE(List(all.labels.begin() + 16, all.labels.begin() + 32) == part.labels);
    const auto other = draw_training_inputs(schedule, x0, labels, options, {.seed = 5, .step = 10});
    REQUIRE(other.t != all.t);
    const auto dropped = std::count(all.labels.begin(), all.labels.end(), Index{10});
    REQUIRE(dropped > 16);
    REQUIRE(dropped < 48);
    const auto twice = draw_training_inputs(schedule, x0, labels, options, {.seed = 5, .step = 9});
    REQUIRE(std::equal(twice.noisy.begin(), twice.noisy.end(), all.noisy.begin()));
}

TEST_CASE("steps are drawn evenly from all of 0..T-1") {
    const Schedule schedule({.num_train_timesteps = 10});
    std::vector<int> counts(10);
    const auto x0 = Tensor<float>::zeros({10000, 1});
    for (const Index t : draw_training_inputs(schedule, x0, {}, {}, {.seed = 2}).t)
        ++counts.at(static_cast<std::size_t>(t));
    for (const int count : counts) REQUIRE(std::abs(count - 1000) < 150);  // five standard deviations
}

TEST_CASE("offset noise is shared by the pixels of a channel, input perturbation leaves the target alone") {
    const Schedule schedule;
    const auto x0 = Tensor<double>::zeros({2, 5, 5, 3});
    const auto plain = draw_training_inputs(schedule, x0, {}, {}, {.seed = 1});
    const auto offset = draw_training_inputs(schedule, x0, {}, {.offset_noise = 0.3}, {.seed = 1});
    const auto perturbed = draw_training_inputs(schedule, x0, {}, {.input_perturbation = 0.3}, {.seed = 1});
    bool differs = false;
    for (Index k = 3; k < plain.noise.size(); ++k) {
        const Index first = k / 75 * 75 + k % 3;  // the first pixel of this sample and channel
        REQUIRE(offset.noise[k] - plain.noise[k] == Approx(offset.noise[first] - plain.noise[first]).epsilon(1e-9));
        REQUIRE(perturbed.noise[k] == plain.noise[k]);
        differs = differs || perturbed.noisy[k] != plain.noisy[k];
    }
    REQUIRE(differs);
    REQUIRE(std::fabs(offset.noise[0] - plain.noise[0]) > 1e-3);
    REQUIRE(offset.noise[0] - plain.noise[0] != offset.noise[1] - plain.noise[1]);
}

TEST_CASE("a loss that is not finite names the step, and options that do not fit are refused") {
    const Schedule schedule;
    const auto x0 = Tensor<float>::zeros({2, 3});
    const auto bad = [](const Var<float>& x, const Tensor<float>&) {
        Tensor<float> y = x.value().clone();
        y[1] = std::numeric_limits<float>::quiet_NaN();
        return Var<float>(y);
    };
    try {
        training_loss(bad, schedule, x0, {}, {}, {.step = 17});
        FAIL("no error");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::non_finite);
        REQUIRE(std::string(error.what()).find("step 17") != std::string::npos);
    }
    const auto good = [](const Var<float>& x, const Tensor<float>&) { return x; };
    REQUIRE(is_finite(training_loss(good, schedule, x0, {}, {}, {}).item()));
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {1, 2}, {}, {}), Error);
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {1}, {}, {}), Error);
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {}, {.kind = LossKind::hybrid}, {}), Error);
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {}, {.condition_dropout = 0.1}, {}), Error);
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {}, {.condition_dropout = 2, .null_class = 1}, {}), Error);
    REQUIRE_THROWS_AS(training_loss(good, schedule, x0, {}, {.kind = LossKind::vlb, .min_snr_gamma = 5}, {}), Error);
}

}  // namespace loss_test
