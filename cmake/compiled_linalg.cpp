// Linear algebra for genmod::compiled.
#include "genmod/kernels/linalg.hpp"

namespace genmod::kernels {

template bool symmetric_eigen<float>(Index, float*, float*, float*);
template bool symmetric_eigen<double>(Index, double*, double*, double*);
template bool invert<float>(Index, const float*, float*, double*);
template bool invert<double>(Index, const double*, double*, double*);

}  // namespace genmod::kernels
