// The kernels of genmod/kernels/resample.hpp for float and double.
#include "genmod/kernels/resample.hpp"

namespace genmod::kernels {

template Taps<float> nearest_taps<float>(Index, Index);
template Taps<double> nearest_taps<double>(Index, Index);
template Taps<float> linear_taps<float>(Index, Index);
template Taps<double> linear_taps<double>(Index, Index);
template Taps<float> mean_taps<float>(Index, Index, Index);
template Taps<double> mean_taps<double>(Index, Index, Index);
template Taps<float> stride_taps<float>(Index, Index);
template Taps<double> stride_taps<double>(Index, Index);
template Taps<float> transposed<float>(const Taps<float>&);
template Taps<double> transposed<double>(const Taps<double>&);
template void resample<float>(const Taps<float>&, const Taps<float>&, Index, Index, const float*, float*, Accumulate);
template void resample<double>(const Taps<double>&, const Taps<double>&, Index, Index, const double*, double*,
                               Accumulate);

}  // namespace genmod::kernels
