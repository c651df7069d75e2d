// Every header of genmod that needs only the standard library, Eigen, xsimd, nlohmann-json and stb. A plain list:
// macros_push.hpp stays first and macros_pop.hpp last, the rest follows the order of the rooms.
#pragma once

// clang-format off
#include "genmod/core/macros_push.hpp"

#include "genmod/version.hpp"

#include "genmod/core/macros_pop.hpp"
