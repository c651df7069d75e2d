// Weights in the order in which products read them, packed once for inference.
#pragma once

#include <memory>

#include "genmod/core/types.hpp"
#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/gemm.hpp"

namespace genmod::kernels {

// The weights [n, k] of a linear layer, or of a convolution with k = kernel_h * kernel_w * in, as the second factor of
// products. Never written again, so that copies may share the panels. With Precision::bf16 they take half the memory,
// the first factor is rounded to bf16 as well, and each sum is what AVX-512's vdpbf16ps computes, everywhere: of each
// pair (2i, 2i + 1) of products the odd one is added first, both with one rounding to float and denormal numbers
// taken as zero. A last odd k has a zero for its partner.
template <class T>
struct PackedWeights {
    Index n = 0, k = 0;
    Precision precision = Precision::full;
    std::shared_ptr<T[]> full = nullptr;     // Precision::full
    std::shared_ptr<bf16[]> half = nullptr;  // Precision::bf16
    Index bytes = 0;                         // what the panels take
};

// Packs weight [n, k]. Precision::bf16 rounds to nearest even and is for float alone: throws Error for double.
template <class T>
PackedWeights<T> pack_weights(const T* weight, Index n, Index k, Precision precision);

// weight [n, k] = the numbers that were packed.
template <class T>
void unpack_weights(const PackedWeights<T>& packed, T* weight);

// c [m, n] = a [m, k] times the weights transposed, as gemm() does it: with Precision::full the same bits.
template <class T>
void gemm_packed(const Matrix<T>& a, const PackedWeights<T>& weight, T* c, Index c_step,
                 const Epilogue<T>& epilogue = {});

// As conv2d(). Where that goes by Winograd's algorithm, weights in bf16 are multiplied in float.
template <class T>
void conv2d_packed(const ConvShape& shape, const T* x, const PackedWeights<T>& weight, T* y,
                   const Epilogue<T>& epilogue = {});

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/packed.hpp"
#endif
