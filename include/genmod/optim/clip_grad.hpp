// Bounding the norm of all gradients together.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/reduce.hpp"
#include "genmod/nn/module.hpp"

namespace genmod::optim {

// The Euclidean norm of all collected gradients of a model together. Throws Error(non_finite), naming the first
// parameter to blame, when it is NaN or infinite.
template <class Model>
double grad_norm(const Model& model) {
    double squares = 0;
    nn::for_each_leaf(model, [&](const std::string& key, const auto& leaf) {
        if constexpr (requires { leaf.requires_grad(); }) {
            if (!leaf.requires_grad() || leaf.grad().empty()) return;
            squares += static_cast<double>(kernels::sum_of_squares(leaf.size(), leaf.grad().data()));
            if (!is_finite(squares)) fail(ErrorCode::non_finite, "the gradient of ", key, " is not finite");
        }
    });
    return std::sqrt(squares);
}

// Scales all collected gradients by max_norm / (norm + 1e-6) when that is below 1 (torch.nn.utils.clip_grad_norm_), and
// returns the norm before. Throws Error(non_finite) as grad_norm() does.
template <class Model>
double clip_grad_norm(Model& model, double max_norm) {
    check(max_norm > 0, "clip_grad_norm: expected a positive bound, found ", max_norm);
    const double norm = grad_norm(model);
    const double factor = std::min(1.0, max_norm / (norm + 1e-6));
    if (factor == 1.0) return norm;
    nn::for_each_leaf(model, [&](const std::string&, auto& leaf) {
        if constexpr (requires { leaf.requires_grad(); }) {
            if (!leaf.requires_grad() || leaf.grad().empty()) return;
            auto& grad = leaf.grad();
            if (!grad.unique()) grad = grad.clone();  // two parameters may have been handed the same gradient
            using T = std::remove_cvref_t<decltype(grad[0])>;
            kernels::unary(kernels::Unary::scale, grad.data(), grad.data(), grad.size(), static_cast<T>(factor));
        }
    });
    return norm;
}

}  // namespace genmod::optim
