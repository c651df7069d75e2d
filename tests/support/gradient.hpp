// Gradient and tangent checks under the name of the op; a house test compares these names with the functions in ops/.
#pragma once

#include <string>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "tests/support/catch.hpp"

namespace genmod::test {

template <class Function>
void require_gradient(const std::string& op, Function&& function, const std::vector<Tensor<double>>& inputs) {
    const GradCheck result = check_grad(function, inputs);
    INFO(op << ": " << result.where << ", error " << result.error);
    REQUIRE(result.ok());
}

template <class Function>
void require_tangent(const std::string& op, Function&& function, const Tensor<double>& input) {
    const GradCheck result = check_tangent(function, input);
    INFO(op << " (tangent): " << result.where << ", error " << result.error);
    REQUIRE(result.ok());
}

}  // namespace genmod::test
