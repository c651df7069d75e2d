#include "genmod/kernels/norm.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "tests/support/catch.hpp"

namespace norm_test {

using namespace genmod;
using kernels::GroupShape;

namespace {

using Real = long double;

template <class T>
struct Case {
    GroupShape shape;
    T eps = T(1e-5);
    bool silu = false, given = false;
    Tensor<T> x, dy, weight, bias, scale, shift, mean, variance;

    Case(const GroupShape& s, Rng& rng) : shape(s) {
        x = rng.normals<T>({s.n, s.positions, s.channels});
        for (T& number : x) number = T(1.5) * number + T(0.7);
        dy = rng.normals<T>(x.shape());
        mean = rng.normals<T>({s.n, s.groups});
        variance = rng.normals<T>({s.n, s.groups});
        for (T& number : variance) number = T(0.5) + number * number;
    }
    void add_affine(Rng& rng) {
        weight = rng.normals<T>({shape.channels});
        bias = rng.normals<T>({shape.channels});
    }
    void add_modulation(Rng& rng) {
        scale = rng.normals<T>({shape.n, shape.channels});
        shift = rng.normals<T>({shape.n, shape.channels});
    }
    kernels::NormAffine<T> affine() const { return {weight.data(), bias.data(), scale.data(), shift.data(), silu}; }
    Index group(Index s, Index c) const { return s * shape.groups + c / (shape.channels / shape.groups); }
    Index at(Index s, Index p, Index c) const { return (s * shape.positions + p) * shape.channels + c; }
};

// A number and the sum of the absolute values that it was added up from.
struct Measured {
    Real value = 0, size = 0;
    void add(Real term, Real term_size) { value += term, size += term_size; }
};

struct Expected {
    std::vector<Measured> mean, variance, y, dx, dweight, dbias, dscale, dshift;
};

template <class T>
Real number_of(const Tensor<T>& tensor, Index k, Real otherwise) {
    return tensor.empty() ? otherwise : static_cast<Real>(tensor[k]);
}

// Everything by the definitions, with plain loops.
template <class T>
Expected expect(const Case<T>& c) {
    const Index n = c.shape.n, positions = c.shape.positions, channels = c.shape.channels, groups = c.shape.groups;
    const auto count = [](Index k) { return static_cast<std::size_t>(k); };
    Expected e;
    const std::size_t all = count(n * positions * channels), cells = count(n * groups);
    e.mean.resize(cells), e.variance.resize(cells), e.y.resize(all), e.dx.resize(all);
    e.dweight.resize(count(channels)), e.dbias.resize(count(channels));
    e.dscale.resize(count(n * channels)), e.dshift.resize(count(n * channels));
    const Real number = static_cast<Real>(positions * channels / groups);
    const auto each = [&](auto body) {
        for (Index s = 0; s < n; ++s)
            for (Index p = 0; p < positions; ++p)
                for (Index k = 0; k < channels; ++k) body(s, k, count(c.at(s, p, k)), count(c.group(s, k)));
    };
    each([&](Index, Index, std::size_t i, std::size_t g) {
        const Real x = c.x[static_cast<Index>(i)];
        e.mean[g].add(x / number, std::fabs(x) / number);
    });
    if (c.given)
        for (std::size_t g = 0; g < cells; ++g) e.mean[g].value = c.mean[static_cast<Index>(g)];
    each([&](Index, Index, std::size_t i, std::size_t g) {
        const Real x = c.x[static_cast<Index>(i)], square = (x - e.mean[g].value) * (x - e.mean[g].value) / number;
        e.variance[g].add(square, square);
    });
    if (c.given)
        for (std::size_t g = 0; g < cells; ++g) e.variance[g].value = c.variance[static_cast<Index>(g)];
    std::vector<Real> normal(all);
    std::vector<Measured> dnormal(all), sum(cells), product(cells);
    const auto rstd = [&](std::size_t g) { return 1 / std::sqrt(e.variance[g].value + static_cast<Real>(c.eps)); };
    each([&](Index s, Index k, std::size_t i, std::size_t g) {
        const Real x = c.x[static_cast<Index>(i)], dy = c.dy[static_cast<Index>(i)];
        const Real weight = number_of(c.weight, k, 1), bias = number_of(c.bias, k, 0);
        const Index cell = s * channels + k;
        const Real gain = 1 + number_of(c.scale, cell, 0), shift = number_of(c.shift, cell, 0);
        const Real z = normal[i] = (x - e.mean[g].value) * rstd(g);
        const Real v = (z * weight + bias) * gain + shift;
        const Real size =
            std::fabs(gain) * (std::fabs(weight) * rstd(g) * (std::fabs(x) + e.mean[g].size) + std::fabs(bias)) +
            std::fabs(shift);
        const Real sigmoid = 1 / (1 + std::exp(-v));
        e.y[i] = c.silu ? Measured{v * sigmoid, 1.1L * size} : Measured{v, size};
        const Real dv = c.silu ? dy * (sigmoid + v * sigmoid * (1 - sigmoid)) : dy;
        const Real dv_size = c.silu ? std::fabs(dy) * (1.1L + 0.5L * size) : std::fabs(dy);
        const Real z_size = std::fabs(z) + rstd(g) * e.mean[g].size;
        e.dweight[count(k)].add(dv * gain * z, dv_size * std::fabs(gain) * z_size);
        e.dbias[count(k)].add(dv * gain, dv_size * std::fabs(gain));
        e.dscale[count(cell)].add(dv * (z * weight + bias), dv_size * (std::fabs(weight) * z_size + std::fabs(bias)));
        e.dshift[count(cell)].add(dv, dv_size);
        dnormal[i] = {dv * gain * weight, dv_size * std::fabs(gain * weight)};
        sum[g].add(dnormal[i].value / number, dnormal[i].size / number);
        product[g].add(dnormal[i].value * z / number, dnormal[i].size * z_size / number);
    });
    each([&](Index, Index, std::size_t i, std::size_t g) {
        const Real rest = c.given ? 0 : sum[g].value + normal[i] * product[g].value;
        const Real rest_size = c.given ? 0 : sum[g].size + std::fabs(normal[i]) * product[g].size;
        e.dx[i] = {rstd(g) * (dnormal[i].value - rest), rstd(g) * (dnormal[i].size + rest_size)};
    });
    return e;
}

// The largest error in units of eps * size.
template <class T>
void require_close(const std::string& name, const Tensor<T>& found, const std::vector<Measured>& expected,
                   const Tensor<T>& before = {}) {
    Real worst = 0;
    for (Index k = 0; k < found.size(); ++k) {
        const Measured& e = expected[static_cast<std::size_t>(k)];
        const Real start = number_of(before, k, 0);
        const Real unit = std::numeric_limits<T>::epsilon() * (e.size + std::fabs(start)) + 1e-30L;
        const Real error = std::fabs(static_cast<Real>(found[k]) - start - e.value) / unit;
        worst = error >= 0 ? std::max(worst, error) : 1e9L;
    }
    INFO(name << ": " << static_cast<double>(worst) << " eps");
    REQUIRE(worst <= 16);
}

template <class T>
void check_group_norm(const Case<T>& c) {
    INFO("n " << c.shape.n << " positions " << c.shape.positions << " channels " << c.shape.channels << " groups "
              << c.shape.groups << " silu " << c.silu << " given " << c.given);
    const Expected e = expect(c);
    const GroupShape& s = c.shape;
    Tensor<T> y(c.x.shape()), mean = c.mean.clone(), variance = c.variance.clone();
    const kernels::Moments<T> moments{mean.data(), variance.data()};
    if (c.given)
        kernels::group_norm_apply(s, c.x.data(), c.affine(), c.eps, moments, y.data());
    else
        kernels::group_norm(s, c.x.data(), c.affine(), c.eps, y.data(), moments);
    if (!c.given) {
        require_close("mean", mean, e.mean);
        require_close("variance", variance, e.variance);
    }
    require_close("y", y, e.y);

    Rng rng(5);
    Tensor<T> dx(c.x.shape()), dweight({s.channels}), dbias({s.channels});
    const Tensor<T> scale_before = rng.normals<T>({s.n, s.channels}), dx_before = rng.normals<T>(c.x.shape());
    Tensor<T> dscale = scale_before.clone(), dshift({s.n, s.channels});
    kernels::NormGradients<T> gradients{.x = {dx.data()},
                                        .weight = {dweight.data()},
                                        .bias = {dbias.data()},
                                        .scale = {dscale.data(), Accumulate::add},
                                        .shift = {dshift.data()}};
    kernels::group_norm_backward(s, c.x.data(), c.affine(), c.eps, moments, c.given, c.dy.data(), gradients);
    require_close("dx", dx, e.dx);
    require_close("dweight", dweight, e.dweight);
    require_close("dbias", dbias, e.dbias);
    require_close("dscale", dscale, e.dscale, scale_before);
    require_close("dshift", dshift, e.dshift);
    dx.assign(dx_before);
    kernels::group_norm_backward<T>(s, c.x.data(), c.affine(), c.eps, moments, c.given, c.dy.data(),
                                    {.x = {dx.data(), Accumulate::add}});
    require_close("dx added", dx, e.dx, dx_before);
}

template <class T>
void check_random_groups(int cases, std::uint64_t seed) {
    Rng rng(seed);
    for (int k = 0; k < cases; ++k) {
        const Index groups = 1 + rng.below(6), depth = 1 + rng.below(k % 3 == 0 ? 20 : 5);
        const GroupShape shape{1 + rng.below(4), 2 + rng.below(k % 2 == 0 ? 40 : 300), groups * depth, groups};
        Case<T> c(shape, rng);
        if (k % 4 != 0) c.add_affine(rng);
        if (k % 5 == 1) c.add_modulation(rng);
        c.silu = k % 2 == 1;
        c.given = k % 7 == 3;
        check_group_norm(c);
    }
}

template <class T>
void check_layer_norm(Index rows, Index channels, bool affine, Rng& rng) {
    INFO("rows " << rows << " channels " << channels);
    Case<T> c({rows, 1, channels, 1}, rng);
    if (affine) c.add_affine(rng);
    const Expected e = expect(c);
    Tensor<T> y(c.x.shape()), mean({rows}), rstd({rows}), dx(c.x.shape()), dweight({channels}), dbias({channels});
    kernels::layer_norm(rows, channels, c.x.data(), c.weight.data(), c.bias.data(), c.eps, y.data(), mean.data(),
                        rstd.data());
    require_close("y", y, e.y);
    require_close("mean", mean, e.mean);
    kernels::layer_norm_backward<T>(rows, channels, c.x.data(), c.weight.data(), mean.data(), rstd.data(), c.dy.data(),
                                    {.x = {dx.data()}, .weight = {dweight.data()}, .bias = {dbias.data()}});
    require_close("dx", dx, e.dx);
    require_close("dweight", dweight, e.dweight);
    require_close("dbias", dbias, e.dbias);
    const Tensor<T> before = rng.normals<T>(c.x.shape());
    dx.assign(before);
    kernels::layer_norm_backward<T>(rows, channels, c.x.data(), c.weight.data(), mean.data(), rstd.data(), c.dy.data(),
                                    {.x = {dx.data(), Accumulate::add}});
    require_close("dx added", dx, e.dx, before);
}

bool same(const Tensor<float>& a, const Tensor<float>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](float x, float y) { return std::bit_cast<int>(x) == std::bit_cast<int>(y); });
}

}  // namespace

TEST_CASE("group norm and its gradients agree with the definition on random shapes") {
    check_random_groups<float>(80, 1);
    check_random_groups<double>(40, 2);
}

TEST_CASE("group norm agrees with the definition where samples are cut into pieces") {
    Rng rng(3);
    for (const GroupShape& shape :
         {GroupShape{1, 2100, 64, 8}, GroupShape{2, 1500, 99, 3}, GroupShape{1, 45000, 3, 3}}) {
        Case<float> c(shape, rng);
        c.add_affine(rng);
        c.silu = shape.channels == 64;
        check_group_norm(c);
    }
}

TEST_CASE("the variance survives a mean that is large beside it") {
    Rng rng(4);
    for (const Index positions : {70, 3000}) {
        Case<float> c({2, positions, 48, 4}, rng);
        for (float& number : c.x) number = 3000.0f + number;
        Tensor<float> y(c.x.shape()), mean({2, 4}), variance({2, 4});
        kernels::group_norm<float>(c.shape, c.x.data(), {}, c.eps, y.data(), {mean.data(), variance.data()});
        Expected e = expect(c);  // one rounding of each x changes the variance by up to eps * mean * deviation
        for (std::size_t g = 0; g < 8; ++g) e.variance[g].size = e.mean[g].value * std::sqrt(e.variance[g].value);
        require_close("variance", variance, e.variance);
    }
}

TEST_CASE("layer norm and its gradients agree with the definition on random shapes") {
    Rng rng(6);
    for (int k = 0; k < 80; ++k) check_layer_norm<float>(1 + rng.below(60), 2 + rng.below(100), k % 4 != 0, rng);
    for (int k = 0; k < 40; ++k) check_layer_norm<double>(1 + rng.below(30), 2 + rng.below(100), k % 4 != 0, rng);
    check_layer_norm<float>(1500, 33, true, rng);
}

TEST_CASE("norms have the same bits for any number of threads, and for a sample alone") {
    Rng rng(7);
    for (const GroupShape& shape : {GroupShape{16, 784, 32, 8}, GroupShape{2, 4096, 64, 8}}) {
        Case<float> c(shape, rng);
        c.add_affine(rng);
        c.silu = true;
        const Index one = shape.positions * shape.channels;
        const auto run = [&](int threads, Index samples) {
            const Threads scope(threads);
            const GroupShape part{samples, shape.positions, shape.channels, shape.groups};
            Tensor<float> out({2, samples, one}), mean({samples, shape.groups}), variance({samples, shape.groups});
            const kernels::Moments<float> moments{mean.data(), variance.data()};
            kernels::group_norm(part, c.x.data(), c.affine(), c.eps, out.data(), moments);
            kernels::group_norm_backward<float>(part, c.x.data(), c.affine(), c.eps, moments, false, c.dy.data(),
                                                {.x = {out.data() + samples * one}});
            return out;
        };
        const Tensor<float> expected = run(1, shape.n);
        for (const int threads : {2, 3, 7}) REQUIRE(same(run(threads, shape.n), expected));
        const Tensor<float> alone = run(2, 1);
        REQUIRE(same(alone.slice(0, 1).reshape({one}), expected.reshape({-1}).slice(0, one)));
        REQUIRE(
            same(alone.slice(1, 2).reshape({one}), expected.reshape({-1}).slice(shape.n * one, (shape.n + 1) * one)));
    }
}

}  // namespace norm_test
