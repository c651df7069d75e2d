// softmax and log_softmax against PyTorch's, forward and backward.
#include <vector>

#include "genmod/ops/softmax.hpp"
#include "tests/support/golden.hpp"

namespace softmax_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("softmax and log_softmax agree with PyTorch", "", float, double) {
    using T = TestType;
    using Inputs = std::vector<Var<T>>;
    const Golden golden("layers/activation.safetensors");
    check_layer<T>(golden, "softmax", {"x"}, [](const Inputs& in) { return ops::softmax(in[0]); });
    check_layer<T>(golden, "log_softmax", {"x"}, [](const Inputs& in) { return ops::log_softmax(in[0]); });
}

}  // namespace softmax_golden_test
