// Weights in the order in which products read them, packed once for inference.
#pragma once

#include <memory>
#include <type_traits>

#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/impl/amx.hpp"
#include "genmod/kernels/impl/winograd_kept.hpp"

namespace genmod::kernels {

// The weights [n, k] of a linear layer, or of a convolution with k = kernel_h * kernel_w * in, as the second factor of
// products. Never written again, so that copies may share the panels. With Precision::bf16 and bf16_tiles they take
// half the memory, the first factor is rounded to bf16 as well, and each sum has the same bits everywhere. Denormal
// numbers are taken as zero, and zeros fill up the last pair or the last 32 numbers.
// - bf16 is what AVX-512's vdpbf16ps computes: of each pair (2i, 2i + 1) of products the odd one is added first, both
//   with one rounding to float. Fast where the processor does two pairs at a time (AMD, from Zen 4 on).
// - bf16_tiles is what AMX's tdpbf16ps computes: of 32 products at a time the even ones and the odd ones are chains of
//   fused multiply-adds from zero, which are added to each other and then to the earlier sum. Four to six times as
//   fast as float where the processor has it (Intel, from Sapphire Rapids on), and slower than bf16 elsewhere.
template <class T>
struct PackedWeights {
    Index n = 0, k = 0;
    Precision precision = Precision::full;
    std::shared_ptr<T[]> full = nullptr;     // Precision::full
    std::shared_ptr<bf16[]> half = nullptr;  // Precision::bf16, bf16_tiles
    Index bytes = 0;                         // what the panels take
    std::shared_ptr<detail::KeptTransform<T>> transform = nullptr;
};

// The one of bf16 and bf16_tiles that this build multiplies faster on this processor.
inline Precision fastest_bf16() { return amx::available() ? Precision::bf16_tiles : Precision::bf16; }

// Packs weight [n, k]. Both kinds of bf16 round to nearest even and are for float alone: throws Error for double. With
// a budget, convolutions keep what Winograd's algorithm makes of their weights, four times as large as those, from the
// first call on: the same bits.
template <class T>
PackedWeights<T> pack_weights(const T* weight, Index n, Index k, Precision precision,
                              const std::shared_ptr<TransformBudget>& budget = nullptr);

// weight [n, k] = the numbers that were packed.
template <class T>
void unpack_weights(const PackedWeights<T>& packed, T* weight);

// c [m, n] = a [m, k] times the weights transposed, as gemm() does it: with Precision::full the same bits. Of
// bf16_tiles, which rounds a in any case, a may be rounded already (In = bf16), and c may be stored rounded (Out =
// bf16, with Accumulate::write alone), as another such product would round it. Throws Error for other weights.
template <class T, class In, class Out>
void gemm_packed(const Matrix<In>& a, const PackedWeights<T>& weight, Out* c, Index c_step,
                 const std::type_identity_t<Epilogue<T>>& epilogue = {});

// As conv2d(), and with x and y in bf16 as above. Where that goes by Winograd's algorithm, weights in bf16 are
// multiplied in float; bf16_tiles never does.
template <class T, class In, class Out>
void conv2d_packed(const ConvShape& shape, const In* x, const PackedWeights<T>& weight, Out* y,
                   const std::type_identity_t<Epilogue<T>>& epilogue = {});

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/packed.hpp"
#endif
