// What the orders share in which Winograd's convolution goes.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/winograd_panels.hpp"
#include "genmod/kernels/impl/winograd_tiles.hpp"

namespace genmod::kernels::detail {

template <class T>
struct WinogradWork {
    const T* image;
    const Patches& grid;
    const WinogradTiles tiles;
    const ConvWeights<T>& weights;
    Index in, columns;
    const T* zeros;
    T* c;
    const Epilogue<T>& epilogue;
};

}  // namespace genmod::kernels::detail
