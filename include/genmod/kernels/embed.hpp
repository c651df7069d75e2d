// Rows of a table, looked up by number.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// y[i] = table[indices[i]] for `count` rows of `width` numbers.
template <class T>
void embed(Index count, Index width, const Index* indices, const T* table, T* y);

// dtable [entries, width]: the rows of dy added up by index, in their order.
template <class T>
void embed_backward(Index count, Index width, Index entries, const Index* indices, const T* dy, T* dtable,
                    Accumulate mode);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/embed.hpp"
#endif
