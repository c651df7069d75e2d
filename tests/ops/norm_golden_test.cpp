// Normalisation against PyTorch's, forward and backward, running statistics included.
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/ops/norm.hpp"
#include "tests/support/golden.hpp"

namespace norm_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

namespace {

const std::vector<std::string> affine{"x", "weight", "bias"};

}  // namespace

TEMPLATE_TEST_CASE("group_norm agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/norm.safetensors");
    const auto check_groups = [&](const std::string& name, const ops::GroupNormOptions& options) {
        check_layer<T>(golden, name, affine,
                       [&](const std::vector<Var<T>>& in) { return ops::group_norm(in[0], in[1], in[2], options); });
    };
    check_groups("group_norm", {.groups = 4});
    check_groups("group_norm_one", {.groups = 1, .eps = 1e-6});
    check_groups("group_norm_each", {.groups = 6});
    check_layer<T>(golden, "group_norm_silu", affine, [](const std::vector<Var<T>>& in) {
        return ops::group_norm_silu(in[0], in[1], in[2], {.groups = 4});
    });
}

TEMPLATE_TEST_CASE("layer_norm agrees with PyTorch", "", float, double) {
    using T = TestType;
    check_layer<T>(Golden("layers/norm.safetensors"), "layer_norm", affine,
                   [](const std::vector<Var<T>>& in) { return ops::layer_norm(in[0], in[1], in[2]); });
}

TEMPLATE_TEST_CASE("batch_norm agrees with PyTorch, while training and afterwards", "", float, double) {
    using T = TestType;
    const Golden golden("layers/norm.safetensors");
    const auto moments = [&](const std::string& name) {
        return ops::RunningMoments<T>{golden.raw<T>(name + "/running_mean"), golden.raw<T>(name + "/running_var"), {}};
    };
    const auto trained = moments("batch_norm_train"), fixed = moments("batch_norm_eval");
    {
        Training step(1, 1);
        check_layer<T>(golden, "batch_norm_train", affine,
                       [&](const std::vector<Var<T>>& in) { return ops::batch_norm(in[0], in[1], in[2], trained); });
        step.commit();
    }
    golden.require_close("batch_norm_train/new_running_mean", trained.mean, test::layer_tolerance<T>);
    golden.require_close("batch_norm_train/new_running_var", trained.variance, test::layer_tolerance<T>);
    check_layer<T>(golden, "batch_norm_eval", affine,
                   [&](const std::vector<Var<T>>& in) { return ops::batch_norm(in[0], in[1], in[2], fixed); });
    golden.require_close("batch_norm_eval/running_mean", fixed.mean, 0);
    golden.require_close("batch_norm_eval/running_var", fixed.variance, 0);
}

}  // namespace norm_golden_test
