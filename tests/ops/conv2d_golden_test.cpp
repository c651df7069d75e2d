// Convolutions against PyTorch's, forward and backward, to parts of the sum of absolute products.
#include <string>
#include <vector>

#include "genmod/ops/conv2d.hpp"
#include "tests/support/golden.hpp"

namespace conv2d_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("conv2d agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/conv.safetensors");
    const auto check_conv = [&](const std::string& name, const ops::Conv2dOptions& options) {
        check_layer<T>(golden, name, {"x", "weight", "bias"},
                       [&](const std::vector<Var<T>>& in) { return ops::conv2d(in[0], in[1], in[2], options); });
    };
    check_conv("conv_3x3", {.padding = 1});
    check_conv("conv_3x3_from_1", {.padding = 1});
    check_conv("conv_3x3_to_1", {.padding = 1});
    check_conv("conv_3x3_7x7", {.padding = 1});
    check_conv("conv_3x3_winograd", {.padding = 1});
    check_conv("conv_3x3_winograd_odd", {.padding = 1});
    check_conv("conv_3x3_stride", {.stride = 2, .padding = 1});
    check_conv("conv_3x3_stride_odd", {.stride = 2, .padding = 1});
    check_conv("conv_3x3_stride_no_padding", {.stride = 2});
    check_conv("conv_1x1", {});
    check_conv("conv_5x5_odd", {.padding = 2});
    check_conv("conv_4x4_stride", {.stride = 2, .padding = 1});
}

TEMPLATE_TEST_CASE("conv_transpose2d agrees with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/conv.safetensors");
    const auto check_transposed = [&](const std::string& name, const ops::ConvTranspose2dOptions& options) {
        check_layer<T>(golden, name, {"x", "weight", "bias"}, [&](const std::vector<Var<T>>& in) {
            return ops::conv_transpose2d(in[0], in[1], in[2], options);
        });
    };
    check_transposed("transposed_4x4", {.stride = 2, .padding = 1});
    check_transposed("transposed_3x3", {.stride = 2, .padding = 1, .output_padding = 1});
}

}  // namespace conv2d_golden_test
