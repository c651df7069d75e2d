// Activations against PyTorch's, forward and backward, from -20 to 20 with 0 among them.
#include <vector>

#include "genmod/ops/activation.hpp"
#include "tests/support/golden.hpp"

namespace activation_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("activations agree with PyTorch", "", float, double) {
    using T = TestType;
    using Inputs = std::vector<Var<T>>;
    const Golden golden("layers/activation.safetensors");
    check_layer<T>(golden, "relu", {"x"}, [](const Inputs& in) { return ops::relu(in[0]); });
    check_layer<T>(golden, "leaky_relu", {"x"}, [](const Inputs& in) { return ops::leaky_relu(in[0], 0.2); });
    check_layer<T>(golden, "silu", {"x"}, [](const Inputs& in) { return ops::silu(in[0]); });
    check_layer<T>(golden, "gelu", {"x"}, [](const Inputs& in) { return ops::gelu(in[0]); });
    check_layer<T>(golden, "gelu_tanh", {"x"}, [](const Inputs& in) { return ops::gelu_tanh(in[0]); });
    check_layer<T>(golden, "quick_gelu", {"x"}, [](const Inputs& in) { return ops::quick_gelu(in[0]); });
    check_layer<T>(golden, "tanh", {"x"}, [](const Inputs& in) { return ops::tanh(in[0]); });
    check_layer<T>(golden, "sigmoid", {"x"}, [](const Inputs& in) { return ops::sigmoid(in[0]); });
    check_layer<T>(golden, "softplus", {"x"}, [](const Inputs& in) { return ops::softplus(in[0]); });
    check_layer<T>(golden, "geglu", {"x"}, [](const Inputs& in) { return ops::geglu(in[0]); });
}

}  // namespace activation_golden_test
