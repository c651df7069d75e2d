// The likelihood of data under the probability-flow ODE of a network (Song et al. 2021, "Score-based generative
// modeling through SDEs", section 4.3 and eq. 39).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/autograd/var.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/core/types.hpp"
#include "genmod/diffusion/combine.hpp"
#include "genmod/diffusion/denoiser.hpp"
#include "genmod/diffusion/level.hpp"
#include "genmod/diffusion/prediction.hpp"
#include "genmod/metrics/bits_per_dim.hpp"
#include "genmod/nn/divergence.hpp"
#include "genmod/nn/ode.hpp"

namespace genmod::diffusion {

using nn::Trace;

struct LikelihoodOptions {
    PredictionType prediction_type = PredictionType::epsilon;
    double sigma_data = 0;  // of a preconditioned network, as in DenoiserOptions
    Trace trace = Trace::signs;
    Index probes = 1;         // random ones, whose estimates are averaged; they stay the same during a solve
    std::uint64_t seed = 0;   // of the probes: picture k uses seed + k
    double sigma_min = 0;     // where the ODE begins, at signal 1; 0: at the least noise of the levels
    double per_unit = 127.5;  // steps per unit of the data's grid, see metrics::bits_per_dim()
    bool one_by_one = false;  // solve for each picture alone: slower, but none depends on the others through the steps
    nn::OdeOptions ode = {.atol = 1e-5, .rtol = 1e-5};
};

template <class T>
struct Likelihood {
    std::vector<double> nats;    // log p(x) of each picture
    metrics::MeanAndError bits;  // per dimension, over the pictures
    Tensor<T> latent;            // where the ODE takes each picture: standard normals, if the network is right
    Index evaluations = 0;       // of the network
};

namespace detail {

// All levels in one frame, z = x / sqrt(alpha^2 + sigma^2) = cos(phi) x0 + sin(phi) eps, where the ODE is
// dz/dphi = cos(phi) eps - sin(phi) x0, finite from no noise (phi 0) to pure noise (pi/2).
template <class T, class Network>
class ProbabilityFlow {
public:
    ProbabilityFlow(const Network& network, const Levels& levels, const LikelihoodOptions& options, const Shape& shape)
        : network_(network), levels_(levels), options_(options) {
        for (Index k = 0; k < options.probes && options.trace != Trace::exact; ++k) probes_.push_back(probe(shape, k));
    }

    // state {z [n, ...], d [n]} -> {dz/dphi, its divergence}
    std::vector<Tensor<T>> operator()(double phi, const std::vector<Tensor<T>>& state) const {
        const Tensor<T>& z = state.front();
        const NoiseLevel at = levels_.between(std::tan(phi));
        const double length = std::hypot(at.alpha, at.sigma), cosine = std::cos(phi), sine = std::sin(phi);
        const Reading way = reading(options_.prediction_type, at, options_.sigma_data);
        const double from_z = length * (cosine * way.eps_x - sine * way.x0_x);
        const double from_said = cosine * way.eps_said - sine * way.x0_said;
        const double scale = way.input * length;

        const WithGrad on;
        const auto leaf = Var<T>::parameter(combine(scale, z, 0, z));
        const Var<T> said = network_(leaf, Tensor<T>::full({z.dim(0)}, static_cast<T>(at.t)));
        const Index c = z.dim(-1);
        const bool two = said.shape() == z.shape().with(-1, 2 * c);
        check(two || said.shape() == z.shape(), "likelihood: the network made ", said.shape(), " of ", z.shape());
        return {combine(from_z, z, from_said, two ? channels(said.value(), 0, c) : said.value()),
                divergence(said, leaf, two, from_z, from_said * scale)};
    }

private:
    // Random numbers of every picture.
    Tensor<T> probe(const Shape& shape, Index number) const {
        Tensor<T> result(shape);
        const Index size = shape.product(1, shape.rank());
        for (Index k = 0; k < shape.dim(0); ++k) {
            T* own = result.data() + k * size;
            const Stream stream{.seed = options_.seed + static_cast<std::uint64_t>(k),
                                .purpose = Purpose::probe,
                                .step = static_cast<std::uint64_t>(number)};
            nn::fill_probe(options_.trace, stream, own, size);
        }
        return result;
    }

    // The trace of own + factor * d said / d leaf for each picture, as the sum over probes v of <v, that v>: signs and
    // normals see both parts alike, so that what cancels in the sum cancels in the estimate.
    Tensor<T> divergence(const Var<T>& said, const Var<T>& leaf, bool two, double own, double factor) const {
        const Index n = leaf.dim(0), size = leaf.size() / n;
        const bool exact = options_.trace == Trace::exact;
        std::vector<double> sums(static_cast<std::size_t>(n), 0.0);
        for (Index number = 0; number < (exact ? size : options_.probes); ++number) {
            const Tensor<T> v = exact ? unit(leaf.shape(), number) : probes_[static_cast<std::size_t>(number)];
            const Tensor<T> product = grad(said, {leaf}, two ? widened(v) : v)[0];
            for (Index k = 0; k < v.size(); ++k)
                sums[static_cast<std::size_t>(k / size)] +=
                    static_cast<double>(v[k]) *
                    (own * static_cast<double>(v[k]) + factor * static_cast<double>(product[k]));
        }
        Tensor<T> result({n});
        const double count = exact ? 1 : static_cast<double>(options_.probes);
        for (Index k = 0; k < n; ++k) result[k] = static_cast<T>(sums[static_cast<std::size_t>(k)] / count);
        return result;
    }

    // Number `number` of every picture 1, the others 0.
    static Tensor<T> unit(const Shape& shape, Index number) {
        auto result = Tensor<T>::zeros(shape);
        const Index size = shape.product(1, shape.rank());
        for (Index k = 0; k < shape.dim(0); ++k) result[k * size + number] = 1;
        return result;
    }

    // [n, ..., c] -> [n, ..., 2 c] with zeros for a learned variance.
    static Tensor<T> widened(const Tensor<T>& x) {
        const Index c = x.dim(-1);
        auto result = Tensor<T>::zeros(x.shape().with(-1, 2 * c));
        for (Index k = 0; k < x.size(); ++k) result[k / c * 2 * c + k % c] = x[k];
        return result;
    }

    const Network& network_;
    const Levels& levels_;
    const LikelihoodOptions& options_;
    std::vector<Tensor<T>> probes_;
};

inline double angle(const NoiseLevel& level) { return std::atan2(level.sigma, level.alpha); }

// Where the ODE begins: at sigma_min, or at the last level that has noise.
inline double first_angle(const Levels& levels, double sigma_min) {
    if (sigma_min > 0) return std::atan(sigma_min);
    const LevelPair& last = levels.steps.back();
    return angle(last.to.sigma > 0 ? last.to : last.from);
}

template <class T, class Network>
Likelihood<T> solve_likelihood(const Network& network, const Tensor<T>& x, const Levels& levels,
                               const LikelihoodOptions& options) {
    const double begin = first_angle(levels, options.sigma_min), end = angle(levels.steps.front().from);
    check(begin < end, "likelihood: the ODE would begin with as much noise as it ends with");
    const ProbabilityFlow<T, Network> flow(network, levels, options, x.shape());
    // x is taken for data with the noise that the ODE begins with, at signal 1.
    const double shrink = std::cos(begin);
    auto solved = nn::solve_ode(flow, std::vector<Tensor<T>>{combine(shrink, x, 0, x), Tensor<T>::zeros({x.dim(0)})},
                                begin, end, options.ode);
    const NoiseLevel& noisiest = levels.steps.front().from;
    const double deviation = levels.start_scale / std::hypot(noisiest.alpha, noisiest.sigma);
    const Index n = x.dim(0), size = x.size() / n;
    const double constant = std::log(shrink / deviation) - 0.5 * std::log(2 * std::numbers::pi);
    Likelihood<T> result;
    result.latent = combine(1 / deviation, solved.y[0], 0, solved.y[0]);
    result.evaluations = solved.evaluations;
    for (Index k = 0; k < n; ++k) {
        double nats = static_cast<double>(size) * constant + static_cast<double>(solved.y[1][k]);
        for (Index i = k * size; i < (k + 1) * size; ++i)
            nats -= 0.5 * static_cast<double>(result.latent[i]) * static_cast<double>(result.latent[i]);
        if (!is_finite(nats)) fail(ErrorCode::non_finite, "likelihood: NaN or infinity for picture ", k);
        result.nats.push_back(nats);
    }
    return result;
}

}  // namespace detail

// log p(x) of pictures x [n, ..., c] under the density that sample() draws from in infinitely many steps over these
// levels, up to their least noise: the ODE is solved from there to the most noise, whose x is levels.start_scale times
// normals, and between the levels the network is told what levels.between says. The network is
// network(x: Var [n, ..., c], t: Tensor [n]) -> Var, not changed, without clipping; of twice the channels the first
// half counts. Data on a grid (bytes) are to be dequantized() before. dopri5's steps are chosen from all pictures
// together, see nn::solve_ode(). Throws Error when levels or options do not fit, Error(non_finite), Error(stopped).
template <class T, class Network>
Likelihood<T> log_likelihood(const Network& network, const Tensor<T>& x, const Levels& levels,
                             const LikelihoodOptions& options = {}) {
    check(x.rank() >= 2 && x.size() > 0, "likelihood: expected a batch of pictures, found shape ", x.shape());
    check(!levels.steps.empty() && levels.between, "likelihood: needs levels that know what lies between them");
    check(options.probes >= 1 && options.sigma_min >= 0, "likelihood: probes ", options.probes, " or sigma_min ",
          options.sigma_min, " is out of range");
    reading(options.prediction_type, levels.steps.front().from, options.sigma_data);
    Likelihood<T> result;
    if (!options.one_by_one) result = detail::solve_likelihood(network, x, levels, options);
    if (options.one_by_one) result.latent = Tensor<T>(x.shape());
    LikelihoodOptions own = options;
    for (Index k = 0; options.one_by_one && k < x.dim(0); ++k, ++own.seed) {
        const auto alone = detail::solve_likelihood(network, x.slice(k, k + 1), levels, own);
        result.nats.push_back(alone.nats.front());
        result.latent.slice(k, k + 1).assign(alone.latent);
        result.evaluations += alone.evaluations;
    }
    result.bits = metrics::mean_and_error(metrics::bits_per_dim(result.nats, x.size() / x.dim(0), options.per_unit));
    return result;
}

// Pictures of numbers on a grid of `per_unit` steps per unit, each spread evenly over its cell: x + (u - 1/2) /
// per_unit with u in [0, 1), drawn by the seed of the picture, seed + k. The density of the result bounds the
// probability of the grid's points from below (Theis et al. 2016).
template <class T>
Tensor<T> dequantized(const Tensor<T>& x, std::uint64_t seed, double per_unit = 127.5) {
    check(x.rank() >= 1 && per_unit > 0, "dequantize: pictures ", x.shape(), " and ", per_unit, " steps per unit");
    Tensor<T> noise(x.shape());
    const Index size = x.shape().product(1, x.rank());
    for (Index k = 0; k < x.dim(0); ++k)
        fill_uniform({.seed = seed + static_cast<std::uint64_t>(k), .purpose = Purpose::data}, noise.data() + k * size,
                     size);
    return zip(x, noise, [per_unit](T value, T u, Index) {
        return static_cast<T>(static_cast<double>(value) + (static_cast<double>(u) - 0.5) / per_unit);
    });
}

}  // namespace genmod::diffusion
