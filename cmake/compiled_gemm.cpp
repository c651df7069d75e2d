// The matrix product for float and double.
#include "genmod/kernels/gemm.hpp"

namespace genmod::kernels {

template void gemm(const Matrix<float>&, const Matrix<float>&, float*, Index, const Epilogue<float>&);
template void gemm(const Matrix<double>&, const Matrix<double>&, double*, Index, const Epilogue<double>&);
template void gemm_batch(Index, const Matrix<float>&, Index, const Matrix<float>&, Index, float*, Index, Index,
                         const Epilogue<float>&);
template void gemm_batch(Index, const Matrix<double>&, Index, const Matrix<double>&, Index, double*, Index, Index,
                         const Epilogue<double>&);
template void gemm_over_samples(const Matrix<float>&, const Matrix<float>&, float*, Accumulate);
template void gemm_over_samples(const Matrix<double>&, const Matrix<double>&, double*, Accumulate);

}  // namespace genmod::kernels
