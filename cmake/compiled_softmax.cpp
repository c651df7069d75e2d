// Softmax for genmod::compiled.
#include "genmod/kernels/softmax.hpp"

namespace genmod::kernels {

template void softmax<float>(Index, Index, const float*, float*);
template void softmax<double>(Index, Index, const double*, double*);
template void softmax_backward<float>(Index, Index, const float*, const float*, float*, Accumulate);
template void softmax_backward<double>(Index, Index, const double*, const double*, double*, Accumulate);
template void log_softmax<float>(Index, Index, const float*, float*);
template void log_softmax<double>(Index, Index, const double*, double*);
template void log_softmax_backward<float>(Index, Index, const float*, const float*, float*, Accumulate);
template void log_softmax_backward<double>(Index, Index, const double*, const double*, double*, Accumulate);

}  // namespace genmod::kernels
