// Convolutions for float and double.
#include "genmod/kernels/conv2d.hpp"

namespace genmod::kernels {

template void conv2d(const ConvShape&, const float*, const float*, float*, const Epilogue<float>&);
template void conv2d(const ConvShape&, const double*, const double*, double*, const Epilogue<double>&);
template void conv2d_backward_input(const ConvShape&, const float*, const float*, float*, const Epilogue<float>&);
template void conv2d_backward_input(const ConvShape&, const double*, const double*, double*, const Epilogue<double>&);
template void conv2d_backward_weight(const ConvShape&, const float*, const float*, float*, Accumulate);
template void conv2d_backward_weight(const ConvShape&, const double*, const double*, double*, Accumulate);

}  // namespace genmod::kernels
