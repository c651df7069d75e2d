// Transforms against nflows and normflows with the same weights (tests/reference/make_flow_goldens.py).
#include <string>
#include <utility>
#include <vector>

#include "genmod/flows/glow.hpp"
#include "genmod/nn/state.hpp"
#include "tests/support/flow_cases.hpp"
#include "tests/support/golden.hpp"

namespace golden_test {

using namespace genmod;
using namespace genmod::flows;
using genmod::test::Golden;

namespace {

const Golden& golden() {
    static const Golden file("flows.safetensors");
    return file;
}

// The largest relative error allowed: the files hold doubles.
template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-12;

// Compares y, log_det and the gradient of <dy, y> + <dl, log_det>, and the way back.
template <class T, class F>
void compare(const std::string& name, const F& transform) {
    INFO(name);
    const std::string prefix = name + "/";
    const auto x = Var<T>::parameter(golden().read<T>(prefix + "x"));
    const Transformed<T> moved = transform.forward(x);
    golden().require_close(prefix + "y", moved.y.value(), tolerance<T>);
    golden().require_close(prefix + "log_det", moved.log_det.value(), tolerance<T>);
    const Var<T> weighted = ops::sum(ops::mul(moved.y, Var<T>(golden().read<T>(prefix + "dy"))));
    const Var<T> dets = ops::sum(ops::mul(moved.log_det, Var<T>(golden().read<T>(prefix + "dl"))));
    const Var<T> total = ops::add(weighted, dets);
    const auto dx = grad(total, {x}, Tensor<T>::full({}, T(1))).front();
    golden().require_close(prefix + "dx", dx, 10 * tolerance<T>);
    const Transformed<T> back = transform.inverse(Var<T>(golden().read<T>(prefix + "y")));
    golden().require_close(prefix + "x", back.y.value(), 20 * tolerance<T>);
}

template <class T, class F>
void load_and_compare(const std::string& name, F transform) {
    nn::load(transform, golden().file(), {.prefix = name + "/weights/"});
    compare<T>(name, transform);
}

template <class T>
void compare_couplings() {
    Rng rng(1);
    load_and_compare<T>("affine_points",
                        test::point_coupling<T>(rng, Mask::odd, 5, Affine<T>(2, ScaleForm::sigmoid_shift)));
    using ImageCoupling = Coupling<T, ConvNet<T>, Affine<T>>;
    load_and_compare<T>("affine_images", ImageCoupling(ConvNet<T>(2, 4, 6, rng), Affine<T>(2, ScaleForm::sigmoid_shift),
                                                       Mask::second_half));
    load_and_compare<T>("spline", test::point_coupling<T>(rng, Mask::odd, 4, Spline<T>({.bins = 5, .bound = 2})));
}

template <class T>
void compare_channels() {
    Rng rng(1);
    load_and_compare<T>("actnorm", ActNorm<T>(2));
    ActNorm<T> started(2);
    started.initialize(golden().read<T>("actnorm/x"));
    compare<T>("actnorm", started);
    load_and_compare<T>("conv_full", InvConv1x1<T>(4, rng, MatrixForm::full));
    load_and_compare<T>("conv_lu", InvConv1x1<T>(4, rng, MatrixForm::lu));
}

template <class T>
void compare_glow() {
    Rng rng(1);
    std::vector<ImageStep<T>> steps;
    add_glow_step<T>(steps, 5, 6, MatrixForm::lu, rng);
    load_and_compare<T>("glow_block", Sequence<T, ImageStep<T>>(std::move(steps)));
}

}  // namespace

TEST_CASE("couplings agree with nflows") {
    compare_couplings<float>();
    compare_couplings<double>();
}

TEST_CASE("actnorm and 1x1 convolutions agree with nflows") {
    compare_channels<float>();
    compare_channels<double>();
}

TEST_CASE("a step of Glow agrees with normflows") {
    compare_glow<float>();
    compare_glow<double>();
}

}  // namespace golden_test
