// What holds for every transform: inverses of random networks, log-determinants against numeric Jacobians, gradients.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "genmod/flows/steps.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/flow_cases.hpp"

namespace transforms_test {

using namespace genmod;
using namespace genmod::flows;

namespace {

// The largest error of the way there and back, in parts of max(1, |x|), over random networks.
template <class T>
double worst_inverse(auto&& make, const Shape& shape, int networks) {
    const NoGrad off;
    double worst = 0;
    for (int k = 0; k < networks; ++k) {
        Rng rng(static_cast<std::uint64_t>(k), Purpose::weights);
        auto transform = make(rng);
        test::randomise(transform, rng);
        const Tensor<T> x = rng.normals<T>(shape.inserted(0, 2));
        const Transformed<T> there = transform.forward(Var<T>(x)), back = transform.inverse(there.y);
        REQUIRE(back.y.shape() == x.shape());
        for (Index i = 0; i < x.size(); ++i) {
            const double error = std::abs(static_cast<double>(back.y.value()[i] - x[i]));
            worst = std::max(worst, error / std::max(1.0, std::abs(static_cast<double>(x[i]))));
        }
        for (Index i = 0; i < 2; ++i)
            worst = std::max(worst, std::abs(static_cast<double>(there.log_det.value()[i] + back.log_det.value()[i])) /
                                        std::max(10.0, std::abs(static_cast<double>(there.log_det.value()[i]))));
    }
    return worst;
}

}  // namespace

TEST_CASE("200 random networks of each transform lead back to where they came from") {
    test::for_each_transform<float>([](const std::string& name, auto&& make, const Shape& shape) {
        INFO(name << " in float");
        CHECK(worst_inverse<float>(make, shape, 200) <= 1e-5);
    });
    test::for_each_transform<double>([](const std::string& name, auto&& make, const Shape& shape) {
        INFO(name << " in double");
        CHECK(worst_inverse<double>(make, shape, 200) <= 1e-10);
    });
}

TEST_CASE("log-determinants are those of the numeric Jacobians") {
    test::for_each_transform<double>([](const std::string& name, auto&& make, const Shape& shape) {
        INFO(name);
        REQUIRE(shape.size() <= 16);
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
            Rng rng(seed, Purpose::weights);
            auto transform = make(rng);
            test::randomise(transform, rng);
            const Tensor<double> x = rng.normals<double>(shape.inserted(0, 3));
            const Tensor<double> said = transform.forward(Var<double>(x)).log_det.value();
            REQUIRE(said.shape() == Shape{3});
            for (Index k = 0; k < 3; ++k)
                CHECK(std::abs(said[k] - test::numeric_log_det(transform, x.slice(k, k + 1))) <= 1e-6);
        }
    });
}

TEST_CASE("gradients of both ways, with respect to the sample and every weight") {
    test::for_each_transform<double>([](const std::string& name, auto&& make, const Shape& shape) {
        Rng rng(5, Purpose::weights);
        auto transform = make(rng);
        test::randomise(transform, rng);
        std::vector<Tensor<double>> inputs{rng.normals<double>(shape.inserted(0, 2))};
        nn::for_each_leaf(transform, [&]<class Leaf>(const std::string&, Leaf& leaf) {
            if constexpr (requires { leaf.requires_grad(); }) inputs.push_back(leaf.value());
        });
        const auto with = [&](const std::vector<Var<double>>& in, bool inverse) {
            std::size_t next = 1;
            nn::for_each_leaf(transform, [&]<class Leaf>(const std::string&, Leaf& leaf) {
                if constexpr (requires { leaf.requires_grad(); }) leaf = in[next++];
            });
            const auto moved = inverse ? transform.inverse(in[0]) : transform.forward(in[0]);
            return ops::concat({ops::flatten(moved.y), ops::reshape(moved.log_det, {2, 1})}, 1);
        };
        const Tensor<double> image = transform.forward(Var<double>(inputs[0])).y.value();
        for (const bool inverse : {false, true}) {
            if (inverse) inputs[0] = image;
            const GradCheck result = check_grad([&](const auto& in) { return with(in, inverse); }, inputs, 1e-6);
            INFO(name << (inverse ? ", inverse: " : ", forward: ") << result.where << ", error " << result.error);
            CHECK(result.ok(1e-6));
        }
    });
}

TEST_CASE("a batch norm takes the batch's moments in training and moves the running ones at commit") {
    BatchNorm<double> norm(2, {.eps = 0, .momentum = 0.25});
    Rng rng(2);
    const Var<double> x(rng.normals<double>({6, 2}));
    const ChannelMoments exact = channel_moments(x.value());
    {
        Training scope(1, 1);
        const Transformed<double> y = norm.forward(x);
        const ChannelMoments found = channel_moments(y.y.value());
        for (std::size_t k = 0; k < 2; ++k) {
            CHECK(std::abs(found.mean[k]) < 1e-12);
            CHECK(std::abs(found.deviation[k] - std::sqrt(6.0 / 5)) < 1e-12);
        }
        CHECK(norm.running_mean[0] == 0);
        scope.commit();
    }
    for (std::size_t k = 0; k < 2; ++k) {
        const auto at = static_cast<Index>(k);
        CHECK(std::abs(norm.running_mean[at] - 0.25 * exact.mean[k]) < 1e-12);
        CHECK(std::abs(norm.running_variance[at] - 0.75 - 0.25 * exact.deviation[k] * exact.deviation[k]) < 1e-12);
    }
    const GradCheck gradient = check_grad(
        [&](const auto& in) {
            Training scope(1, 1);
            const auto moved = norm.forward(in[0]);
            return ops::concat({moved.y, ops::reshape(moved.log_det, {6, 1})}, 1);
        },
        {x.value()});
    INFO(gradient.where);
    CHECK(gradient.ok(1e-6));
}

TEST_CASE("what starts from data makes them standard") {
    Rng rng(3);
    Tensor<double> x = rng.normals<double>({50, 2, 2, 3});
    for (Index k = 0; k < x.size(); ++k) x[k] = k % 3 == 2 ? 7 : x[k] * static_cast<double>(k % 3 + 2) - 5;
    ActNorm<double> actnorm(3);
    BatchNorm<double> batch_norm(3, {.eps = 1e-12});
    actnorm.initialize(x);
    batch_norm.initialize(x);
    const ChannelMoments a = channel_moments(actnorm.forward(Var<double>(x)).y.value());
    const ChannelMoments b = channel_moments(batch_norm.forward(Var<double>(x)).y.value());
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(std::abs(a.mean[k]) < 1e-10);
        CHECK(std::abs(a.deviation[k] - (k == 2 ? 0 : 1)) < 1e-10);
        CHECK(std::abs(b.mean[k]) < 1e-6);
    }
    x[4] = NAN;
    CHECK_THROWS_AS(actnorm.initialize(x), Error);
    CHECK_THROWS_AS(batch_norm.initialize(x), Error);
}

TEST_CASE("the order of channels after squeezing is nflows'") {
    Tensor<float> x({1, 2, 4, 2});
    for (Index k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k);
    const Tensor<float> y = Squeeze<float>().forward(Var<float>(x)).y.value();
    REQUIRE(y.shape() == Shape{1, 1, 2, 8});
    const std::vector<float> expected{0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15};
    CHECK(std::vector<float>(y.begin(), y.end()) == expected);
}

TEST_CASE("a spline leaves what lies beyond its bounds, and is the identity at zero") {
    const Spline<double> spline({.bins = 4, .bound = 2});
    const Var<double> x(Tensor<double>::from({1, 5}, {-3, -2, 0.3, 1.9, 2.5}));
    Rng rng(4);
    const Var<double> zeros(Tensor<double>::zeros({1, 5 * 11})), some(rng.normals<double>({1, 5 * 11}));
    const Tensor<double> same = spline.forward(x, zeros).y.value();
    for (Index k = 0; k < 5; ++k) CHECK(std::abs(same[k] - x.value()[k]) < 1e-12);
    const Transformed<double> moved = spline.forward(x, some);
    CHECK(moved.y.value()[0] == -3);
    CHECK(moved.y.value()[4] == 2.5);
    CHECK(moved.log_det.value()[4] == 0);
    CHECK(std::abs(moved.y.value()[2] - 0.3) > 1e-3);
}

TEST_CASE("shapes and options that do not fit are refused") {
    Rng rng(1);
    const auto coupling = test::point_coupling<float>(rng, Mask::even, 4, Affine<float>(2, ScaleForm::sigmoid));
    CHECK_THROWS_AS(coupling.forward(Var<float>(Tensor<float>::zeros({2, 3}))), Error);
    CHECK_THROWS_AS(coupling.forward(Var<float>(Tensor<float>::zeros({2, 1}))), Error);
    CHECK_THROWS_AS(kept(Mask::even_pixels, Var<float>(Tensor<float>::zeros({2, 4}))), Error);
    CHECK_THROWS_AS(Squeeze<float>().forward(Var<float>(Tensor<float>::zeros({1, 3, 4, 1}))), Error);
    CHECK_THROWS_AS(Squeeze<float>().inverse(Var<float>(Tensor<float>::zeros({1, 2, 2, 3}))), Error);
    CHECK_THROWS_AS(ActNorm<float>(2).forward(Var<float>(Tensor<float>::zeros({1, 3}))), Error);
    CHECK_THROWS_AS(InvConv1x1<float>(3, rng).forward(Var<float>(Tensor<float>::zeros({1, 2}))), Error);
    CHECK_THROWS_AS(Logit<float>({.alpha = 0.5}), Error);
    CHECK_THROWS_AS(Logit<float>({.low = 1, .high = 1}), Error);
    CHECK_THROWS_AS(Spline<float>({.bins = 1}), Error);
    CHECK_THROWS_AS(Spline<float>({.bins = 2000}), Error);
    CHECK_THROWS_AS(Affine<float>(0, ScaleForm::sigmoid), Error);
}

}  // namespace transforms_test
