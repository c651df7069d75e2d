// Whether a sampler does what it claims: on data whose best prediction is known, so that no network is needed.
#pragma once

#include <string>

#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/diffusion/certify/checks.hpp"
#include "genmod/diffusion/certify/identities.hpp"
#include "genmod/diffusion/certify/options.hpp"
#include "genmod/diffusion/certify/report.hpp"
#include "genmod/diffusion/certify/run.hpp"

namespace genmod::diffusion {

// Measures a sampler (the library's or any other struct with State and step):
//   levels_*   the levels join, fall, are what the network expects, start and end as they should
//   order      the order of convergence to the exact solution; of the variance, for stochastic samplers
//   noise      noise is drawn if and only if the sampler is stochastic
//   mean, variance_middle, variance_end   the moments of Gaussian data, followed to rounding through all steps: the
//              limits for many steps must be right (absent when the sampler is not linear in x and noise)
//   last_step  the last level's noise is gone at the end
//   law_*      mean, variance, shares of the modes and Wasserstein distance of samples of a mixture
//   finite     only where numbers went astray, and nothing more was measured
// The same options give the same certificate. Throws Error when the options make no sense, or the sampler does.
template <class Sampler>
Certificate certify(const Sampler& sampler, const CertifyOptions& options = {}) {
    const Threads one(1);  // batches of small pictures are not worth more
    const CertifyRun run = runs_of(sampler);
    Certificate result;
    try {
        detail::check_levels(options, result);
        detail::check_order(run, options, result);
        detail::check_moments(run, options, result);
        detail::check_last_step(run, options, result);
        detail::check_law(run, options, result);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::non_finite) throw;
        result.checks.push_back({.name = "finite", .text = std::string("finite: ") + error.what() + ": refused"});
    }
    return result;
}

}  // namespace genmod::diffusion
