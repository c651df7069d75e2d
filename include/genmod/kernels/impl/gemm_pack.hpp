// Packing of the matrix product's operands into panels [k][width].
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/impl/gemm_operand.hpp"
#include "genmod/kernels/impl/gemm_pack_pixels.hpp"
#include "genmod/kernels/impl/gemm_pack_strided.hpp"

namespace genmod::kernels::detail {

// Packs i = first..first+count-1 (padded with zeros up to width), k = k0..k0+length-1 (at most k_block) into
// to[length][width]; pack_slack numbers behind may be overwritten.
template <class T>
void pack_panel(const Operand<T>& from, Index first, Index count, Index width, Index k0, Index length, T* to) {
    switch (from.kind) {
        case OperandKind::strided: return pack_strided(from, first, count, width, k0, length, to);
        case OperandKind::pixel_rows: return pack_pixel_rows(from, first, count, width, k0, length, to);
        case OperandKind::pixel_columns: return pack_pixel_columns(from, first, count, width, k0, length, to);
    }
}

}  // namespace genmod::kernels::detail
