// The packed matrix product: the heart of the kernel layer.
#pragma once

#include "genmod/core/types.hpp"
#include "genmod/kernels/epilogue.hpp"

namespace genmod::kernels {

// A view of rows x cols numbers in memory; element (i, j) is data[i * row_step + j * col_step].
template <class T>
struct Matrix {
    const T* data = nullptr;
    Index rows = 0;
    Index cols = 0;
    Index row_step = 0;
    Index col_step = 1;
};

// A row-major matrix without gaps.
template <class T>
Matrix<T> row_major(const T* data, Index rows, Index cols) {
    return {data, rows, cols, cols, 1};
}

// The same numbers with rows and columns exchanged; nothing is moved.
template <class T>
Matrix<T> transposed(const Matrix<T>& matrix) {
    return {matrix.data, matrix.cols, matrix.rows, matrix.col_step, matrix.row_step};
}

// c = a * b for a [m, k], b [k, n], c [m, n] with rows c_step apart. Each sum is one chain of fused multiply-adds over
// ascending k in blocks of fixed length, whatever the shape, the tile or the thread.
template <class T>
void gemm(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_step, const Epilogue<T>& epilogue = {});

// `count` products of equal shapes whose operands lie a_stride, b_stride and c_stride numbers apart (0: shared).
template <class T>
void gemm_batch(Index count, const Matrix<T>& a, Index a_stride, const Matrix<T>& b, Index b_stride, T* c, Index c_step,
                Index c_stride, const Epilogue<T>& epilogue = {});

// c [m, n] = [c +] a * b without gaps, where k counts samples: as gemm(), but chunks of samples, cut by the shape
// alone, are summed by themselves and then in their order, so that threads read the samples that they have made.
template <class T>
void gemm_over_samples(const Matrix<T>& a, const Matrix<T>& b, T* c, Accumulate mode);

}  // namespace genmod::kernels

#ifndef GENMOD_COMPILED
#include "genmod/kernels/impl/gemm.hpp"
#endif
