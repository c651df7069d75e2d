// Products with packed weights for float and double.
#include "genmod/kernels/packed.hpp"

namespace genmod::kernels {

template PackedWeights<float> pack_weights(const float*, Index, Index, Precision,
                                           const std::shared_ptr<TransformBudget>&);
template PackedWeights<double> pack_weights(const double*, Index, Index, Precision,
                                            const std::shared_ptr<TransformBudget>&);
template void unpack_weights(const PackedWeights<float>&, float*);
template void unpack_weights(const PackedWeights<double>&, double*);
template void gemm_packed(const Matrix<float>&, const PackedWeights<float>&, float*, Index, const Epilogue<float>&);
template void gemm_packed(const Matrix<bf16>&, const PackedWeights<float>&, float*, Index, const Epilogue<float>&);
template void gemm_packed(const Matrix<float>&, const PackedWeights<float>&, bf16*, Index, const Epilogue<float>&);
template void gemm_packed(const Matrix<bf16>&, const PackedWeights<float>&, bf16*, Index, const Epilogue<float>&);
template void gemm_packed(const Matrix<double>&, const PackedWeights<double>&, double*, Index, const Epilogue<double>&);
template void conv2d_packed(const ConvShape&, const float*, const PackedWeights<float>&, float*,
                            const Epilogue<float>&);
template void conv2d_packed(const ConvShape&, const bf16*, const PackedWeights<float>&, float*, const Epilogue<float>&);
template void conv2d_packed(const ConvShape&, const float*, const PackedWeights<float>&, bf16*, const Epilogue<float>&);
template void conv2d_packed(const ConvShape&, const bf16*, const PackedWeights<float>&, bf16*, const Epilogue<float>&);
template void conv2d_packed(const ConvShape&, const double*, const PackedWeights<double>&, double*,
                            const Epilogue<double>&);

}  // namespace genmod::kernels
