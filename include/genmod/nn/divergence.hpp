// A vector field together with its divergence, the trace of its Jacobian.
#pragma once

#include <cstdint>
#include <vector>

#include "genmod/autograd/dual.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "genmod/ops/reduce.hpp"
#include "genmod/ops/shape.hpp"

namespace genmod::nn {

// How the trace of a Jacobian is found: one derivative for each number of a sample, or Hutchinson's estimate (1990) by
// random signs or normals, which is right in the mean.
enum class Trace { exact, signs, normals };

// The numbers of one random probe: signs or normals.
template <class T>
void fill_probe(Trace trace, const Stream& stream, T* out, Index count) {
    check(trace != Trace::exact, "probe: an exact trace has no random probes");
    if (trace == Trace::normals) return fill_normal(stream, out, count);
    fill_uniform(stream, out, count);
    for (Index k = 0; k < count; ++k) out[k] = out[k] < T(0.5) ? T(-1) : T(1);
}

// Directions to take derivatives along: `count` for each sample, one whole batch after the other, [count n, ...]. The
// trace is the sum over them of <v, J v>, times `weight`.
template <class T>
struct TraceDirections {
    Tensor<T> v;
    Index count = 1;
    double weight = 1;
};

// For samples of `shape` [n, ...]: all unit vectors for an exact trace, else `probes` random ones. Those of sample k
// depend on the stream's seed, step and draw, on k, and on the number of the probe.
template <class T>
TraceDirections<T> trace_directions(Trace trace, const Shape& shape, Index probes, const Stream& stream) {
    const Index n = shape.dim(0), size = shape.product(1, shape.rank());
    check(probes >= 1 && size >= 1, "trace: ", probes, " probes for samples of shape ", shape);
    const Index count = trace == Trace::exact ? size : probes;
    TraceDirections<T> result{Tensor<T>::zeros(shape.with(0, count * n)), count, 1};
    if (trace != Trace::exact) result.weight = 1 / static_cast<double>(count);
    for (Index c = 0; c < count; ++c)
        for (Index k = 0; k < n; ++k) {
            T* own = result.v.data() + (c * n + k) * size;
            Stream mine = stream;
            mine.purpose = Purpose::probe;
            mine.step = stream.step * static_cast<std::uint64_t>(count) + static_cast<std::uint64_t>(c);
            mine.sample = static_cast<std::uint32_t>(k);
            if (trace == Trace::exact)
                own[c] = 1;
            else
                fill_probe(trace, mine, own, size);
        }
    return result;
}

// A field's values at z [n, ...], and its divergence at each sample, [n].
template <class T>
struct SlopeAndTrace {
    Var<T> slope;
    Var<T> trace;
};

// field(Dual) -> Dual of the same shape is asked once, for all directions. Both results can be differentiated again.
template <class T, class Field>
SlopeAndTrace<T> slope_and_trace(const Field& field, const Var<T>& z, const TraceDirections<T>& directions) {
    const Index n = z.dim(0), count = directions.count;
    const Var<T> along(directions.v);
    const Var<T> again = count == 1 ? z : ops::concat(std::vector<Var<T>>(static_cast<std::size_t>(count), z), 0);
    const Dual<T> moved = field(Dual<T>(again, along));
    check(moved.shape() == again.shape(), "divergence: a field of shape ", moved.shape(), " at points ", again.shape());
    const Var<T> terms = ops::reshape(ops::sum(ops::flatten(moved.tangent * along), {1}), Shape{count, n});
    const Var<T> trace = ops::scale(ops::sum(terms, {0}), directions.weight);
    return {count == 1 ? moved.value : ops::slice(moved.value, 0, 0, n), trace};
}

}  // namespace genmod::nn
