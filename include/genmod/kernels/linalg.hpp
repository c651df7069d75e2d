// Dense linear algebra on small matrices.
#pragma once

#include "genmod/core/types.hpp"

namespace genmod::kernels {

// The eigenvalues of a symmetric matrix a [n, n], ascending, and its eigenvectors as rows of `vectors` [n, n]: a =
// vectors^T diag(values) vectors. Overwrites a. Null vectors are not computed. Returns false when the iteration does
// not end, as with NaN.
template <class T>
bool symmetric_eigen(Index n, T* a, T* values, T* vectors);

// The inverse of a [n, n] and log |det a|, both computed in double. Null `inverse` is not filled. Returns false, with
// nothing written, when a is singular or not finite.
template <class T>
bool invert(Index n, const T* a, T* inverse, double* log_abs_det);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/inverse.hpp"
#include "genmod/kernels/impl/linalg.hpp"
#endif
