// Squeezing: 2 x 2 pixels become four channels (Dinh et al. 2017, section 3.6).
#pragma once

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::flows {

// x [n, h, w, c] -> [n, h / 2, w / 2, 4 c]; pixel (i, j) of a square and channel k become channel 4 k + 2 i + j.
// Throws Error when h or w is odd.
template <class T>
struct Squeeze : nn::Module {
    static constexpr const char* name = "squeeze";

    Transformed<T> forward(const Var<T>& x) const {
        check(x.rank() == 4 && x.dim(1) % 2 == 0 && x.dim(2) % 2 == 0, "squeeze: cannot halve ", x.shape());
        const Index n = x.dim(0), h = x.dim(1) / 2, w = x.dim(2) / 2, c = x.dim(3);
        const Var<T> cells = ops::permute(ops::reshape(x, {n, h, 2, w, 2, c}), {0, 1, 3, 5, 2, 4});
        return {ops::reshape(cells, {n, h, w, 4 * c}), no_log_det(x)};
    }
    Transformed<T> inverse(const Var<T>& y) const {
        check(y.rank() == 4 && y.dim(3) % 4 == 0, "squeeze: cannot spread the channels of ", y.shape());
        const Index n = y.dim(0), h = y.dim(1), w = y.dim(2), c = y.dim(3) / 4;
        const Var<T> cells = ops::permute(ops::reshape(y, {n, h, w, c, 2, 2}), {0, 1, 4, 2, 5, 3});
        return {ops::reshape(cells, {n, 2 * h, 2 * w, c}), no_log_det(y)};
    }

    static void visit(auto&, auto&&) {}
};

}  // namespace genmod::flows
