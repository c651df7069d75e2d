// The kernels of genmod/kernels/reduce.hpp for float and double.
#include "genmod/kernels/reduce.hpp"

namespace genmod::kernels {

template void reduce_sum<float>(Index, Index, Index, const float*, float*, Accumulate, float);
template void reduce_sum<double>(Index, Index, Index, const double*, double*, Accumulate, double);
template void reduce_max<float>(Index, Index, Index, const float*, float*);
template void reduce_max<double>(Index, Index, Index, const double*, double*);
template void reduce_max_backward<float>(Index, Index, Index, const float*, const float*, const float*, float*,
                                         Accumulate);
template void reduce_max_backward<double>(Index, Index, Index, const double*, const double*, const double*, double*,
                                          Accumulate);
template void sum_to<float>(const Shape&, const Shape&, const float*, float*, Accumulate, float);
template void sum_to<double>(const Shape&, const Shape&, const double*, double*, Accumulate, double);
template float sum<float>(Index, const float*);
template double sum<double>(Index, const double*);
template float sum_of_squares<float>(Index, const float*);
template double sum_of_squares<double>(Index, const double*);

}  // namespace genmod::kernels
