// Tensors as Eigen matrices and back, without copying. Optional: include it by name.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <utility>

#include "genmod/core/error.hpp"
#include "genmod/core/tensor.hpp"

namespace genmod {

template <class T>
using RowMajorMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The numbers of a tensor as a matrix [product of the leading axes, last axis]. Valid while a tensor holds the buffer.
template <class T>
Eigen::Map<RowMajorMatrix<T>> as_matrix(Tensor<T>& tensor) {
    check(tensor.rank() >= 1, "as_matrix: expected at least one axis, found shape ", tensor.shape());
    return {tensor.data(), tensor.shape().product(0, tensor.rank() - 1), tensor.dim(-1)};
}
template <class T>
Eigen::Map<const RowMajorMatrix<T>> as_matrix(const Tensor<T>& tensor) {
    check(tensor.rank() >= 1, "as_matrix: expected at least one axis, found shape ", tensor.shape());
    return {tensor.data(), tensor.shape().product(0, tensor.rank() - 1), tensor.dim(-1)};
}

// All numbers of a tensor as one vector.
template <class T>
Eigen::Map<Eigen::Vector<T, Eigen::Dynamic>> as_vector(Tensor<T>& tensor) {
    return {tensor.data(), tensor.size()};
}
template <class T>
Eigen::Map<const Eigen::Vector<T, Eigen::Dynamic>> as_vector(const Tensor<T>& tensor) {
    return {tensor.data(), tensor.size()};
}

// A tensor [rows, cols] on the matrix's own memory. The matrix must outlive the tensor and keep its size.
template <class T>
Tensor<T> view_matrix(RowMajorMatrix<T>& matrix) {
    return Tensor<T>({matrix.rows(), matrix.cols()}, std::shared_ptr<T[]>(matrix.data(), [](T*) {}));
}

// A tensor [rows, cols] that takes the matrix over with its memory.
template <class T>
Tensor<T> take_matrix(RowMajorMatrix<T>&& matrix) {
    auto owner = std::make_shared<RowMajorMatrix<T>>(std::move(matrix));
    return Tensor<T>({owner->rows(), owner->cols()}, std::shared_ptr<T[]>(owner, owner->data()));
}

}  // namespace genmod
