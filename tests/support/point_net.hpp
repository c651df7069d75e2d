// A small network of points in the plane, the ring that it learns, and what tests of training ask of both.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/dropout.hpp"
#include "genmod/nn/linear.hpp"
#include "genmod/nn/timestep.hpp"
#include "genmod/ops/activation.hpp"
#include "genmod/ops/arithmetic.hpp"
#include "tests/support/catch.hpp"

namespace genmod::test {

// Points [n, 2] with a time.
struct PointNet : nn::Module {
    nn::Linear<float> in, time, middle, out;
    nn::Dropout dropout;

    explicit PointNet(Rng& rng, double dropped = 0)
        : in(2, 96, rng), time(32, 96, rng), middle(96, 96, rng), out(96, 2, rng), dropout(dropped) {}

    Var<float> operator()(const Var<float>& x, const Tensor<float>& t) const {
        const Var<float> when = time(nn::sinusoid_embedding(t, 32));
        return out(ops::silu(middle(dropout(ops::silu(ops::add(in(x), when))))));
    }

    static void visit(auto& self, auto&& f) {
        f("in", self.in);
        f("time", self.time);
        f("middle", self.middle);
        f("out", self.out);
    }
};

// A ring of radius 1 around (0.5, 0).
inline Tensor<float> ring(Index n, std::uint64_t step) {
    Tensor<float> points({n, 2}), angle({n});
    fill_uniform({.seed = 77, .purpose = Purpose::data, .step = step}, angle.data(), n);
    for (Index k = 0; k < n; ++k) {
        points[2 * k] = 0.5f + std::cos(6.2831853f * angle[k]);
        points[2 * k + 1] = std::sin(6.2831853f * angle[k]);
    }
    return points;
}

// Requires points to lie near the ring, and all around it.
inline void require_ring(const Tensor<float>& points) {
    double off = 0, middle = 0;
    const auto n = static_cast<double>(points.dim(0));
    for (Index k = 0; k < points.dim(0); ++k) {
        off += std::fabs(std::hypot(points[2 * k] - 0.5, points[2 * k + 1]) - 1) / n;
        middle += points[2 * k] / n;
    }
    INFO("distance from the ring " << off << ", middle " << middle);
    REQUIRE(off < 0.15);
    REQUIRE(std::fabs(middle - 0.5) < 0.15);
}

// The largest difference of two networks' weights.
inline double distance(const PointNet& a, const PointNet& b) {
    double most = 0;
    nn::for_each_pair(a, b, [&](const std::string&, const Var<float>& x, const Var<float>& y) {
        for (Index k = 0; k < x.size(); ++k)
            most = std::max(most, std::fabs(static_cast<double>(x.value()[k]) - static_cast<double>(y.value()[k])));
    });
    return most;
}

// Trains on the ring; the mean losses of the first and last fifty steps.
template <class Trainer>
std::pair<double, double> train_on_ring(Trainer& trainer, int steps, Index batch) {
    double first = 0, last = 0;
    for (int k = 0; k < steps; ++k) {
        const double loss = trainer.step(ring(batch, static_cast<std::uint64_t>(k)));
        if (k < 50) first += loss / 50;
        if (k >= steps - 50) last += loss / 50;
    }
    return {first, last};
}

// Requires a run that make() begins to end with the same bytes when it is saved and loaded on its way.
template <class Make>
void require_resumes(const std::string& path, Make make) {
    auto whole = make();
    for (std::uint64_t k = 0; k < 12; ++k) whole.step(ring(16, k));
    auto before = make();
    for (std::uint64_t k = 0; k < 5; ++k) before.step(ring(16, k));
    io::Checkpoint saved;
    before.save(saved);
    saved.save(path);
    auto after = make();
    auto loaded = io::Checkpoint::load(path);
    std::filesystem::remove(path);
    after.load(loaded);
    REQUIRE(after.steps() == 5);
    for (std::uint64_t k = 5; k < 12; ++k) after.step(ring(16, k));
    REQUIRE(distance(whole.model(), after.model()) == 0);
    REQUIRE(distance(whole.average(), after.average()) == 0);
    REQUIRE(distance(whole.model(), before.model()) > 0);
}

}  // namespace genmod::test
