// The kernels of genmod/kernels/loss.hpp for float and double.
#include "genmod/kernels/loss.hpp"

namespace genmod::kernels {

template void loss_sums<float>(Loss, Index, Index, const float*, const float*, float*, float, float);
template void loss_sums<double>(Loss, Index, Index, const double*, const double*, double*, double, double);
template void loss_backward<float>(Loss, Index, Index, const float*, const float*, const float*, float, float*,
                                   Accumulate, bool, float);
template void loss_backward<double>(Loss, Index, Index, const double*, const double*, const double*, double, double*,
                                    Accumulate, bool, double);
template void cross_entropy<float>(Index, Index, const float*, const Index*, float*, float);
template void cross_entropy<double>(Index, Index, const double*, const Index*, double*, double);
template void cross_entropy_backward<float>(Index, Index, const float*, const Index*, const float*, float*, Accumulate,
                                            float);
template void cross_entropy_backward<double>(Index, Index, const double*, const Index*, const double*, double*,
                                             Accumulate, double);

}  // namespace genmod::kernels
