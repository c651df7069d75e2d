// Every header of genmod that needs only the standard library, Eigen, xsimd, nlohmann-json and stb. A plain list:
// macros_push.hpp stays first and macros_pop.hpp last, the rest follows the order of the rooms.
#pragma once

// clang-format off
#include "genmod/core/macros_push.hpp"

#include "genmod/version.hpp"

#include "genmod/core/build_info.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/memory.hpp"
#include "genmod/core/parallel.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/shape.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"

#include "genmod/autograd/check_grad.hpp"
#include "genmod/autograd/checkpoint.hpp"
#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/node.hpp"
#include "genmod/autograd/var.hpp"

#include "genmod/core/macros_pop.hpp"
