// genmod::compiled holds the kernels, instantiated once for float and double: one file compiled_<kernel>.cpp for each
// header in genmod/kernels. This one only gives the library a file to begin with.
#include "genmod/version.hpp"

#ifdef GENMOD_COMPILED
#error "the files of genmod::compiled need the kernels' definitions, which GENMOD_COMPILED hides"
#endif

static_assert(GENMOD_VERSION_MAJOR >= 0);
