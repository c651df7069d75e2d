// The kernels of genmod/kernels/embed.hpp for float and double.
#include "genmod/kernels/embed.hpp"

namespace genmod::kernels {

template void embed<float>(Index, Index, const Index*, const float*, float*);
template void embed<double>(Index, Index, const Index*, const double*, double*);
template void embed_backward<float>(Index, Index, Index, const Index*, const float*, float*, Accumulate);
template void embed_backward<double>(Index, Index, Index, const Index*, const double*, double*, Accumulate);

}  // namespace genmod::kernels
