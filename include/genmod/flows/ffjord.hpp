// FFJORD (Grathwohl et al. 2019): a flow without layers, whose points move along a learned vector field.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/flows/concat_squash.hpp"
#include "genmod/flows/transform.hpp"
#include "genmod/nn/divergence.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/ode_adjoint.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/elementary.hpp"

namespace genmod::flows {

struct FfjordOptions {
    nn::Trace trace = nn::Trace::exact;  // signs or normals for data of many numbers
    Index probes = 1;                    // random ones, which stay the same during a solve
    std::uint64_t seed = 0;              // of the probes outside of a Training scope
    double end_time = 0.5;
    bool learn_end_time = true;
    nn::IntegrateOptions integrate = {};  // the solver, and how gradients come back
};

// dz/dt = field(t, z) from the data at 0 to the noise at the end time, and with it the change of volume,
// d log|det|/dt = tr dfield/dz. field(t, z), of t [1, 1] and z [n, ...], takes Vars and Duals. A flow of dopri5 inverts
// within the solver's tolerance, and with it all samples of a batch share their steps.
template <class T, class Field = ConcatSquashMlp<T>>
struct Ffjord : nn::Module {
    Var<T> sqrt_end_time;  // [], learned as a root, which keeps the time positive
    Field field;
    FfjordOptions options;

    // Throws Error unless end_time > 0 and probes >= 1.
    explicit Ffjord(Field vectors, const FfjordOptions& o = {}) : field(std::move(vectors)), options(o) {
        check(o.end_time > 0 && o.probes >= 1, "Ffjord: an end time of ", o.end_time, " or ", o.probes, " probes");
        const auto root = Tensor<T>::full({}, static_cast<T>(std::sqrt(o.end_time)));
        sqrt_end_time = o.learn_end_time ? Var<T>::parameter(root) : Var<T>(root);
    }

    // x [n, ...]
    Transformed<T> forward(const Var<T>& x) const { return transformed(solve(x, 0, 1)); }
    Transformed<T> inverse(const Var<T>& y) const { return transformed(solve(y, 1, 0)); }

    // {z, log|det|} after the way from one time to another, in parts of the end time, and what it took. The module must
    // neither move nor end before gradients were asked for. Throws what nn::integrate() throws.
    nn::OdeSolution<std::vector<Var<T>>> solve(const Var<T>& z, double begin, double end) const {
        Training* const step = training();
        const Stream stream{.seed = step != nullptr ? step->seed() : options.seed,
                            .step = step != nullptr ? step->step() : 0,
                            .draw = step != nullptr ? step->next_place() : 0};
        return solve(z, begin, end, nn::trace_directions<T>(options.trace, z.shape(), options.probes, stream));
    }

    // The same with directions of the caller's choice.
    nn::OdeSolution<std::vector<Var<T>>> solve(const Var<T>& z, double begin, double end,
                                               const nn::TraceDirections<T>& directions) const {
        const Var<T> end_time = ops::square(sqrt_end_time);
        std::vector<Var<T>> parameters = nn::parameters<T>(field);
        if (end_time.requires_grad()) parameters.push_back(end_time);
        const auto slopes = [vectors = &field, end_time, directions](double part, const std::vector<Var<T>>& state) {
            const Var<T> t = ops::reshape(ops::scale(end_time, part), {1, 1});
            const auto moved = [&](const Dual<T>& at) { return (*vectors)(t, at); };
            const auto found = nn::slope_and_trace<T>(moved, state[0], directions);
            const Var<T> slope = found.slope * end_time;
            const Var<T> trace = found.trace * end_time;
            return std::vector<Var<T>>{slope, trace};
        };
        const Var<T> zeros(Tensor<T>::zeros({z.dim(0)}));
        return nn::integrate<T>(slopes, {z, zeros}, parameters, begin, end, options.integrate);
    }

    static void visit(auto& self, auto&& f) {
        f("sqrt_end_time", self.sqrt_end_time);
        f("odefunc.diffeq", self.field);
    }

private:
    static Transformed<T> transformed(const nn::OdeSolution<std::vector<Var<T>>>& found) {
        return {found.y[0], found.y[1]};
    }
};

// An Ffjord of points [n, dims] that move along a ConcatSquashMlp.
template <class T>
Ffjord<T> ffjord(Index dims, Rng& rng, const ConcatSquashOptions& field = {}, const FfjordOptions& options = {}) {
    return Ffjord<T>(ConcatSquashMlp<T>(dims, rng, field), options);
}

}  // namespace genmod::flows
