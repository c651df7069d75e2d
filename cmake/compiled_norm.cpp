// Group, layer and batch normalisation for genmod::compiled.
#include "genmod/kernels/norm.hpp"

namespace genmod::kernels {

template void group_norm<float>(const GroupShape&, const float*, const NormAffine<float>&, float, float*,
                                const Moments<float>&);
template void group_norm<float>(const GroupShape&, const float*, const NormAffine<float>&, float, bf16*,
                                const Moments<float>&);
template void group_norm<double>(const GroupShape&, const double*, const NormAffine<double>&, double, double*,
                                 const Moments<double>&);
template void group_norm_apply<float>(const GroupShape&, const float*, const NormAffine<float>&, float,
                                      const Moments<float>&, float*);
template void group_norm_apply<float>(const GroupShape&, const float*, const NormAffine<float>&, float,
                                      const Moments<float>&, bf16*);
template void group_norm_apply<double>(const GroupShape&, const double*, const NormAffine<double>&, double,
                                       const Moments<double>&, double*);
template void group_norm_backward<float>(const GroupShape&, const float*, const NormAffine<float>&, float,
                                         const Moments<float>&, bool, const float*, const NormGradients<float>&);
template void group_norm_backward<double>(const GroupShape&, const double*, const NormAffine<double>&, double,
                                          const Moments<double>&, bool, const double*, const NormGradients<double>&);
template void layer_norm<float>(Index, Index, const float*, const float*, const float*, float, float*, float*, float*);
template void layer_norm<float>(Index, Index, const float*, const float*, const float*, float, bf16*, float*, float*);
template void layer_norm<double>(Index, Index, const double*, const double*, const double*, double, double*, double*,
                                 double*);
template void layer_norm_backward<float>(Index, Index, const float*, const float*, const float*, const float*,
                                         const float*, const NormGradients<float>&);
template void layer_norm_backward<double>(Index, Index, const double*, const double*, const double*, const double*,
                                          const double*, const NormGradients<double>&);

}  // namespace genmod::kernels
