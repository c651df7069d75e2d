// The version of genmod. CMakeLists.txt reads the three numbers.
#pragma once

#define GENMOD_VERSION_MAJOR 0
#define GENMOD_VERSION_MINOR 1
#define GENMOD_VERSION_PATCH 0

namespace genmod {

inline constexpr char version[] = "0.1.0";

}  // namespace genmod
