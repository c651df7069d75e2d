// Resampling against PyTorch's interpolate, avg_pool2d and pixel_unshuffle, forward and backward.
#include <vector>

#include "genmod/ops/resample.hpp"
#include "tests/support/golden.hpp"

namespace resample_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("resampling agrees with PyTorch", "", float, double) {
    using T = TestType;
    using Inputs = std::vector<Var<T>>;
    const Golden golden("layers/resample.safetensors");
    check_layer<T>(golden, "nearest", {"x"}, [](const Inputs& in) { return ops::upsample_nearest(in[0]); });
    check_layer<T>(golden, "bilinear", {"x"}, [](const Inputs& in) { return ops::resize_bilinear(in[0], 10, 8); });
    check_layer<T>(golden, "bilinear_to_7x9", {"x"},
                   [](const Inputs& in) { return ops::resize_bilinear(in[0], 7, 9); });
    check_layer<T>(golden, "avg_pool", {"x"}, [](const Inputs& in) { return ops::average_pool(in[0], 2); });
    check_layer<T>(golden, "pixel_unshuffle", {"x"}, [](const Inputs& in) { return ops::space_to_depth(in[0], 2); });
    check_layer<T>(golden, "pixel_shuffle", {"x"}, [](const Inputs& in) { return ops::depth_to_space(in[0], 2); });
}

}  // namespace resample_golden_test
