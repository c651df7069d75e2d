// The passes of optimisers for float and double.
#include "genmod/kernels/update.hpp"

namespace genmod::kernels {

template void sgd_update(Index, const SgdStep<float>&, const float*, float*, float*);
template void sgd_update(Index, const SgdStep<double>&, const double*, double*, double*);
template void adam_update(Index, const AdamStep<float>&, const float*, float*, float*, float*);
template void adam_update(Index, const AdamStep<double>&, const double*, double*, double*, double*);
template void average_update(Index, float, const float*, float*);
template void average_update(Index, double, const double*, double*);

}  // namespace genmod::kernels
