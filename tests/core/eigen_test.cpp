#include "genmod/core/eigen.hpp"

#include <utility>

#include "tests/support/catch.hpp"

namespace eigen_test {

using namespace genmod;

TEST_CASE("a tensor and its Eigen map share memory") {
    Tensor<float> tensor = Tensor<float>::from({2, 1, 3}, {1, 2, 3, 4, 5, 6});
    auto matrix = as_matrix(tensor);
    REQUIRE(matrix.rows() == 2);
    REQUIRE(matrix.cols() == 3);
    REQUIRE(matrix.data() == tensor.data());
    matrix(1, 0) = 9;
    REQUIRE(tensor[3] == 9);
    REQUIRE(as_vector(std::as_const(tensor)).sum() == 26);
    const Tensor<float> scalar = Tensor<float>::zeros({});
    REQUIRE_THROWS_AS(as_matrix(scalar), Error);
}

TEST_CASE("an Eigen matrix becomes a tensor without a copy") {
    RowMajorMatrix<double> matrix(2, 2);
    matrix << 1, 2, 3, 4;
    Tensor<double> view = view_matrix(matrix);
    view[2] = 7;
    REQUIRE(matrix(1, 0) == 7);

    const double* memory = matrix.data();
    Tensor<double> taken = take_matrix(std::move(matrix));
    REQUIRE(taken.data() == memory);
    REQUIRE(taken.shape() == Shape{2, 2});
    REQUIRE(taken[3] == 4);
}

}  // namespace eigen_test
