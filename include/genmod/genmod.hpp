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

#include "genmod/kernels/conv2d.hpp"
#include "genmod/kernels/elementwise.hpp"
#include "genmod/kernels/gemm.hpp"
#include "genmod/kernels/update.hpp"

#include "genmod/autograd/check_grad.hpp"
#include "genmod/autograd/checkpoint.hpp"
#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/node.hpp"
#include "genmod/autograd/var.hpp"

#include "genmod/nn/init.hpp"
#include "genmod/nn/module.hpp"

#include "genmod/diffusion/bound.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/guidance.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/loss.hpp"
#include "genmod/diffusion/loss_terms.hpp"
#include "genmod/diffusion/noise.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/diffusion/sample.hpp"
#include "genmod/diffusion/sampler/ddim.hpp"
#include "genmod/diffusion/sampler/ddpm.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/spacing.hpp"
#include "genmod/diffusion/threshold.hpp"

#include "genmod/io/apng.hpp"
#include "genmod/io/atomic_file.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/crc32.hpp"
#include "genmod/io/dtype.hpp"
#include "genmod/io/image.hpp"
#include "genmod/io/json.hpp"
#include "genmod/io/png.hpp"
#include "genmod/io/png_chunks.hpp"
#include "genmod/io/progress.hpp"
#include "genmod/io/read_file.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/io/safetensors_header.hpp"
#include "genmod/io/safetensors_writer.hpp"

#include "genmod/data/batches.hpp"
#include "genmod/data/idx.hpp"
#include "genmod/data/images.hpp"
#include "genmod/data/labelled_images.hpp"
#include "genmod/data/toy.hpp"

#include "genmod/core/macros_pop.hpp"
