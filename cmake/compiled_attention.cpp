// Attention for genmod::compiled.
#include "genmod/kernels/attention.hpp"

namespace genmod::kernels {

template void attention<float>(const AttentionShape&, float, const Heads<const float>&, const Heads<const float>&,
                               const Heads<const float>&, const Heads<float>&, float*);
template void attention<double>(const AttentionShape&, double, const Heads<const double>&, const Heads<const double>&,
                                const Heads<const double>&, const Heads<double>&, double*);
template void attention_backward<float>(const AttentionShape&, float, const Heads<const float>&,
                                        const Heads<const float>&, const Heads<const float>&, const Heads<const float>&,
                                        const float*, const Heads<const float>&, const AttentionGradients<float>&);
template void attention_backward<double>(const AttentionShape&, double, const Heads<const double>&,
                                         const Heads<const double>&, const Heads<const double>&,
                                         const Heads<const double>&, const double*, const Heads<const double>&,
                                         const AttentionGradients<double>&);

}  // namespace genmod::kernels
