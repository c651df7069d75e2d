// The kernels of genmod/kernels/copy.hpp for float and double.
#include "genmod/kernels/copy.hpp"

namespace genmod::kernels {

template void copy_rows<float>(Index, Index, const float*, Index, float*, Index, Accumulate);
template void copy_rows<double>(Index, Index, const double*, Index, double*, Index, Accumulate);
template void gather_axes<float>(const Layout&, const float*, float*, Accumulate);
template void gather_axes<double>(const Layout&, const double*, double*, Accumulate);

}  // namespace genmod::kernels
