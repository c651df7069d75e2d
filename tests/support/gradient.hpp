// Gradient and tangent checks under the name of the op; a house test compares these names with the functions in ops/.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "genmod/autograd/check_grad.hpp"
#include "tests/support/catch.hpp"

namespace genmod::test {

// Leaves "gradient <op>" or "tangent <op>" in the file that tests/house/ops_checked.sh asks for.
inline void note_check(const char* kind, const std::string& op) {
    if (const char* path = std::getenv("GENMOD_CHECKED_OPS"))
        std::ofstream(path, std::ios::app) << kind << ' ' << op << '\n';
}

template <class Function>
void require_gradient(const std::string& op, Function&& function, const std::vector<Tensor<double>>& inputs) {
    const GradCheck result = check_grad(function, inputs);
    INFO(op << ": " << result.where << ", error " << result.error);
    REQUIRE(result.ok());
    note_check("gradient", op);
}

template <class Function>
void require_tangent(const std::string& op, Function&& function, const Tensor<double>& input) {
    const GradCheck result = check_tangent(function, input);
    INFO(op << " (tangent): " << result.where << ", error " << result.error);
    REQUIRE(result.ok());
    note_check("tangent", op);
}

}  // namespace genmod::test
