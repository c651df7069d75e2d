// Models for inference: weights in the form that products read, packed once, in float or in bf16.
#pragma once

#include <memory>
#include <string>

#include "genmod/autograd/var.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/types.hpp"
#include "genmod/kernels/packed.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/ops/kept_weight.hpp"

namespace genmod::nn {

// Packs the weights of every linear and every (not transposed) convolution layer of a model and lets go of the
// originals. With Precision::full the model gives the same bits as before, a little faster. With Precision::bf16, for
// models in float, these weights take half the memory; linear layers and convolutions other than Winograd's multiply
// in bf16 and sum in float. With bf16_tiles all convolutions and attention do, and sums go in another order;
// kernels::fastest_bf16() names the faster of the two (kernels/packed.hpp). What norms and activated layers hand on to
// layers in bf16_tiles is stored in bf16 where no gradients are recorded, with the same bits (ops/rounded.hpp). Layers
// with fewer than eight outputs stay as they are. The memory of the originals goes back to the system, with all that
// the pool keeps.
//
// With Precision::full, convolutions by Winograd's algorithm keep the transforms of their weights, four times as large
// as those, from the first call on, as long as `transform_bytes` last; a layer may take an eighth of them. (Two
// threads, a U-Net of 3.9 million parameters: one picture of 28 x 28 is 15 % sooner, four are 4 %, sixty-four as soon.
// Larger transforms would have to come from memory, which takes as long as to make them.)
//
// A frozen model is saved, cloned and differentiated with respect to its inputs as before, and may be shared by
// threads. It is no longer trained or loaded: the weights are constants, and whoever asks for their value() gets an
// Error. Freezing again changes the precision; what bf16 has rounded stays rounded.
template <class Model>
void freeze(Model& model, Precision precision = Precision::full, Index transform_bytes = Index{64} << 20) {
    const auto budget =
        precision == Precision::full ? std::make_shared<kernels::TransformBudget>(transform_bytes) : nullptr;
    for_each_leaf(model, [&]<class Leaf>(const std::string&, Leaf& leaf, Layout layout) {
        if constexpr (requires { leaf.packed(); }) {
            using T = typename Leaf::value_type;
            if ((layout != Layout::linear && layout != Layout::conv) || leaf.dim(0) < 8) return;
            const Tensor<T> weight = ops::numbers(leaf);
            const Index n = weight.dim(0), k = weight.size() / n;
            leaf = Leaf::frozen(weight.shape(), std::make_shared<const kernels::PackedWeights<T>>(
                                                    kernels::pack_weights(weight.data(), n, k, precision, budget)));
        }
    });
    Pool::instance().trim();
}

}  // namespace genmod::nn
