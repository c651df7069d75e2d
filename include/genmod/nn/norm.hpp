// Normalisation layers, channels last, under PyTorch's names.
#pragma once

#include <cstdint>

#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/norm.hpp"

namespace genmod::nn {

// Takes x [n, ..., channels], a Var or a Dual. Throws Error unless the groups divide the channels.
template <class T>
struct GroupNorm : Module {
    Var<T> weight;  // [channels]
    Var<T> bias;    // [channels]
    ops::GroupNormOptions options;

    explicit GroupNorm(Index channels, ops::GroupNormOptions o = {})
        : weight(constant_parameter<T>({channels}, 1)), bias(constant_parameter<T>({channels}, 0)), options(o) {
        check(o.groups >= 1 && channels % o.groups == 0, "GroupNorm: ", o.groups, " groups do not divide ", channels,
              " channels");
    }

    // `reader`: of the layer whose product alone reads the result (ops/rounded.hpp).
    auto operator()(const auto& x, Precision reader = Precision::full) const {
        return ops::group_norm(x, weight, bias, for_reader(reader));
    }
    Var<T> operator()(const Var<T>& x, const Var<T>& scale, const Var<T>& shift) const {
        return ops::group_norm(x, weight, bias, options, scale, shift);
    }

    // silu of the same, in one pass.
    auto silu(const auto& x, Precision reader = Precision::full) const {
        return ops::group_norm_silu(x, weight, bias, for_reader(reader));
    }
    Var<T> silu(const Var<T>& x, const Var<T>& scale, const Var<T>& shift, Precision reader = Precision::full) const {
        return ops::group_norm_silu(x, weight, bias, for_reader(reader), scale, shift);
    }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight);
        f("bias", self.bias);
    }

private:
    ops::GroupNormOptions for_reader(Precision reader) const {
        return {.groups = options.groups, .eps = options.eps, .reader = reader};
    }
};

// Takes x [n, ..., channels], a Var or a Dual; each row by itself.
template <class T>
struct LayerNorm : Module {
    Var<T> weight;  // [channels]
    Var<T> bias;    // [channels]
    ops::LayerNormOptions options;

    explicit LayerNorm(Index channels, ops::LayerNormOptions o = {})
        : weight(constant_parameter<T>({channels}, 1)), bias(constant_parameter<T>({channels}, 0)), options(o) {}

    // `reader`: of the layer whose product alone reads the result (ops/rounded.hpp).
    auto operator()(const auto& x, Precision reader = Precision::full) const {
        return ops::layer_norm(x, weight, bias, {.eps = options.eps, .reader = reader});
    }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight);
        f("bias", self.bias);
    }
};

// Takes x [n, ..., channels], a Var or (in evaluation) a Dual. Normalises by the batch inside a Training scope, by the
// running moments elsewhere.
template <class T>
struct BatchNorm : Module {
    Var<T> weight;  // [channels]
    Var<T> bias;    // [channels]
    ops::RunningMoments<T> running;
    ops::BatchNormOptions options;

    explicit BatchNorm(Index channels, ops::BatchNormOptions o = {})
        : weight(constant_parameter<T>({channels}, 1)),
          bias(constant_parameter<T>({channels}, 0)),
          running{Tensor<T>::zeros({channels}), Tensor<T>::full({channels}, T(1)), Tensor<std::int64_t>::zeros({})},
          options(o) {}

    auto operator()(const auto& x) const { return ops::batch_norm(x, weight, bias, running, options); }

    static void visit(auto& self, auto&& f) {
        f("weight", self.weight);
        f("bias", self.bias);
        f("running_mean", self.running.mean);
        f("running_var", self.running.variance);
        f("num_batches_tracked", self.running.batches);
    }
};

}  // namespace genmod::nn
