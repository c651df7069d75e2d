// genmod::compiled holds the kernels, instantiated once for float and double: one file compiled_<kernel>.cpp for each
// header in genmod/kernels. This one only gives the library a file to begin with.
#include "genmod/version.hpp"

#ifdef GENMOD_COMPILED
#error "the files of genmod::compiled need the kernels' definitions, which GENMOD_COMPILED hides"
#endif

namespace genmod {
// The version this library was built from.
extern const int compiled_version[3];
const int compiled_version[3] = {GENMOD_VERSION_MAJOR, GENMOD_VERSION_MINOR, GENMOD_VERSION_PATCH};
}   // namespace genmod
