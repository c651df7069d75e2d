// Losses against PyTorch's, values and gradients.
#include <string>
#include <vector>

#include "genmod/ops/loss.hpp"
#include "tests/support/golden.hpp"

namespace loss_golden_test {

using namespace genmod;
using genmod::test::check_layer;
using genmod::test::Golden;

TEMPLATE_TEST_CASE("losses agree with PyTorch", "", float, double) {
    using T = TestType;
    const Golden golden("layers/loss.safetensors");
    const auto check_loss = [&](const std::string& name, auto&& loss) {
        const Var<T> target(golden.raw<T>(name + "/target"));
        check_layer<T>(golden, name, {"x"}, [&](const std::vector<Var<T>>& in) { return loss(in[0], target); });
    };
    using Given = const Var<T>&;
    check_loss("mse", [](Given x, Given y) { return ops::mse_loss(x, y); });
    check_loss("l1", [](Given x, Given y) { return ops::l1_loss(x, y); });
    check_loss("huber", [](Given x, Given y) { return ops::huber_loss(x, y, 0.7); });
    check_loss("bce_with_logits", [](Given x, Given y) { return ops::bce_with_logits_loss(x, y); });
}

TEMPLATE_TEST_CASE("cross entropy agrees with PyTorch, smooth labels included", "", float, double) {
    using T = TestType;
    const Golden golden("layers/loss.safetensors");
    const auto labels = golden.indices("cross_entropy/target");
    check_layer<T>(golden, "cross_entropy", {"x"},
                   [&](const std::vector<Var<T>>& in) { return ops::cross_entropy_loss(in[0], labels); });
    check_layer<T>(golden, "cross_entropy_smooth", {"x"}, [&](const std::vector<Var<T>>& in) {
        return ops::cross_entropy_loss(in[0], labels, {.label_smoothing = 0.1});
    });
}

}  // namespace loss_golden_test
