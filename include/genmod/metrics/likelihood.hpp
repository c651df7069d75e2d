// Likelihoods of all families of models side by side: what kind they are of, in nats and in bits per dimension.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "genmod/core/error.hpp"
#include "genmod/core/types.hpp"
#include "genmod/metrics/bits_per_dim.hpp"

namespace genmod::metrics {

// exact: log p(x) itself (flows; the probability-flow ODE with an exact trace). bound: never above it in the mean (the
// ELBO, the variational bound of diffusion, variational dequantization). estimate: right in the limit of many draws
// (importance sampling, Hutchinson's trace).
enum class LikelihoodKind { exact, bound, estimate };

inline std::string to_string(LikelihoodKind kind) {
    switch (kind) {
        case LikelihoodKind::exact: return "exact";
        case LikelihoodKind::bound: return "bound";
        case LikelihoodKind::estimate: return "estimate";
    }
    fail(ErrorCode::argument, "likelihood: there is no kind number ", static_cast<int>(kind));
}

// log p of samples, as densities of numbers in the units that the model was given. Numbers that come from a grid of
// `per_unit` steps per unit (and were spread over their cells) carry it along, so that bits per dimension are those of
// the grid, whatever the units; 1 leaves densities, and probabilities of discrete data, as they are.
struct LogLikelihood {
    LikelihoodKind kind = LikelihoodKind::exact;
    std::vector<double> nats;  // of each sample
    Index dims = 1;            // numbers of a sample
    double per_unit = 1;

    // Means over the samples. The standard errors contain what the estimates of single samples add.
    MeanAndError nats_per_sample() const {
        MeanAndError result = mean_and_error(nats);
        result.mean += static_cast<double>(dims) * offset();
        return result;
    }
    MeanAndError bits() const { return mean_and_error(bits_per_dim(nats, dims, per_unit)); }

    // What a cell of the grid adds to log p of each number: log(1 / per_unit).
    double offset() const {
        check(per_unit > 0 && dims >= 1, "likelihood: ", dims, " numbers and ", per_unit, " steps per unit");
        return -std::log(per_unit);
    }
};

// "-91.23 +- 0.45 nats, 0.1679 +- 0.0008 bits/dim (estimate)"
inline std::string to_string(const LogLikelihood& likelihood) {
    const MeanAndError nats = likelihood.nats_per_sample(), bits = likelihood.bits();
    char text[128];
    std::snprintf(text, sizeof text, "%.2f +- %.2f nats, %.4f +- %.4f bits/dim", nats.mean, nats.standard_error,
                  bits.mean, bits.standard_error);
    return text + (" (" + to_string(likelihood.kind) + ")");
}

}  // namespace genmod::metrics
