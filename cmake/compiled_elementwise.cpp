// The kernels of genmod/kernels/elementwise.hpp for float and double.
#include "genmod/kernels/elementwise.hpp"

namespace genmod::kernels {

template void unary<float>(Unary, const float*, float*, Index, float, float);
template void unary<double>(Unary, const double*, double*, Index, double, double);
template void unary_backward<float>(Unary, const float*, const float*, float*, Index, Accumulate, float, float);
template void unary_backward<double>(Unary, const double*, const double*, double*, Index, Accumulate, double, double);
template void unary_second<float>(Unary, const float*, const float*, const float*, float*, Index, Accumulate, float,
                                  float);
template void unary_second<double>(Unary, const double*, const double*, const double*, double*, Index, Accumulate,
                                   double, double);
template void gated<float>(Unary, const float*, float*, Index, Index);
template void gated<double>(Unary, const double*, double*, Index, Index);
template void gated_backward<float>(Unary, const float*, const float*, float*, Index, Index, Accumulate);
template void gated_backward<double>(Unary, const double*, const double*, double*, Index, Index, Accumulate);
template void binary<float>(Binary, const Broadcast&, const float*, const float*, float*);
template void binary<double>(Binary, const Broadcast&, const double*, const double*, double*);
template void combine<float>(float, const float*, float, const float*, float*, Index);
template void combine<double>(double, const double*, double, const double*, double*, Index);
template void accumulate<float>(const float*, float*, Index, Accumulate);
template void accumulate<double>(const double*, double*, Index, Accumulate);

}  // namespace genmod::kernels
