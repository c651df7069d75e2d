#include "genmod/kernels/attention.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "genmod/core/context.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/core/tensor.hpp"
#include "genmod/kernels/impl/attention_bf16.hpp"
#include "genmod/kernels/impl/attention_frame.hpp"
#include "genmod/kernels/impl/attention_tile.hpp"
#include "tests/support/catch.hpp"

namespace attention_test {

using namespace genmod;
using kernels::AttentionShape;
using kernels::Heads;

namespace {

using Real = long double;

// Operands whose tokens lie `gap` numbers further apart than needed.
template <class T>
struct Case {
    AttentionShape shape;
    Index gap = 0;
    T scale = T(0.5);
    Tensor<T> q, k, v, y, dy, log_sums;

    Case(const AttentionShape& s, Index g, Rng& rng)
        : shape(s), gap(g), scale(T(1) / std::sqrt(static_cast<T>(s.dim))) {
        q = rng.normals<T>({s.n, s.queries, step()});
        k = rng.normals<T>({s.n, s.keys, step()});
        v = rng.normals<T>({s.n, s.keys, step()});
        dy = rng.normals<T>(q.shape());
        y = Tensor<T>::zeros(q.shape());
        log_sums = Tensor<T>({s.n, s.heads, s.queries});
    }
    Index step() const { return shape.heads * shape.dim + gap; }
    Heads<const T> of(const Tensor<T>& tensor) const { return {tensor.data(), tensor.dim(1) * step(), step()}; }
    Heads<T> into(Tensor<T>& tensor) const { return {tensor.data(), tensor.dim(1) * step(), step()}; }
    void forward() { kernels::attention<T>(shape, scale, of(q), of(k), of(v), into(y), log_sums.data()); }
    void backward(const kernels::AttentionGradients<T>& gradients) const {
        kernels::attention_backward<T>(shape, scale, of(q), of(k), of(v), of(y), log_sums.data(), of(dy), gradients);
    }
};

// A number and the sum of the absolute values that it was added up from.
struct Measured {
    Real value = 0, size = 0;
    void add(Real term, Real term_size) { value += term, size += term_size; }
};

struct Expected {
    std::vector<Measured> y, dq, dk, dv, log_sums;
};

// One query of one head, by the definition.
template <class T>
void expect_query(const Case<T>& c, Index sample, Index head, Index query, Expected& e) {
    const AttentionShape& s = c.shape;
    const auto at = [&](Index tokens, Index token, Index d) {
        return static_cast<std::size_t>((sample * tokens + token) * c.step() + head * s.dim + d);
    };
    const auto read = [](const Tensor<T>& tensor, std::size_t i) -> Real { return tensor[static_cast<Index>(i)]; };
    const Index keys = s.causal ? std::min(s.keys, query + 1) : s.keys;
    std::vector<Real> p(static_cast<std::size_t>(keys)), p_size(p.size());
    Real most = -1e30L, sum = 0, doubt = 0, widest = 0;
    for (std::size_t k = 0; k < p.size(); ++k) {
        for (Index d = 0; d < s.dim; ++d) {
            const Real product =
                c.scale * read(c.q, at(s.queries, query, d)) * read(c.k, at(s.keys, static_cast<Index>(k), d));
            p[k] += product, p_size[k] += std::fabs(product);
        }
        most = std::max(most, p[k]), widest = std::max(widest, p_size[k]);
    }
    for (Real& share : p) sum += share = std::exp(share - most);
    for (std::size_t k = 0; k < p.size(); ++k) {
        p[k] /= sum;
        doubt += p[k] * p_size[k];  // an error of a score is a relative error of its share
    }
    e.log_sums[static_cast<std::size_t>((sample * s.heads + head) * s.queries + query)] = {
        most + std::log(sum), 1 + std::fabs(most) + widest + std::log(sum)};
    Measured delta;
    std::vector<Measured> dp(p.size());
    for (std::size_t k = 0; k < p.size(); ++k) {
        p_size[k] = p[k] * (1 + p_size[k] + doubt);
        for (Index d = 0; d < s.dim; ++d) {
            const std::size_t to = at(s.queries, query, d), from = at(s.keys, static_cast<Index>(k), d);
            const Real value = read(c.v, from), slope = read(c.dy, to);
            e.y[to].add(p[k] * value, p_size[k] * std::fabs(value));
            e.dv[from].add(p[k] * slope, p_size[k] * std::fabs(slope));
            dp[k].add(slope * value, std::fabs(slope * value));
        }
        delta.add(p[k] * dp[k].value, p_size[k] * dp[k].size);
    }
    for (std::size_t k = 0; k < p.size(); ++k) {
        const Real ds = p[k] * (dp[k].value - delta.value), ds_size = p_size[k] * (dp[k].size + delta.size);
        for (Index d = 0; d < s.dim; ++d) {
            const std::size_t to = at(s.queries, query, d), from = at(s.keys, static_cast<Index>(k), d);
            const Real key = c.scale * read(c.k, from), asked = c.scale * read(c.q, to);
            e.dq[to].add(ds * key, ds_size * std::fabs(key));
            e.dk[from].add(ds * asked, ds_size * std::fabs(asked));
        }
    }
}

template <class T>
Expected expect(const Case<T>& c) {
    const auto size = [](const Tensor<T>& tensor) { return static_cast<std::size_t>(tensor.size()); };
    Expected e;
    e.y.resize(size(c.q)), e.dq.resize(size(c.q)), e.dk.resize(size(c.k)), e.dv.resize(size(c.v));
    e.log_sums.resize(size(c.log_sums));
    for (Index sample = 0; sample < c.shape.n; ++sample)
        for (Index head = 0; head < c.shape.heads; ++head)
            for (Index query = 0; query < c.shape.queries; ++query) expect_query(c, sample, head, query, e);
    return e;
}

// Numbers in the gaps must stay as they were: `before`.
template <class T>
void require_close(const std::string& name, const Tensor<T>& found, const std::vector<Measured>& expected,
                   Real before = 0) {
    Real worst = 0;
    for (Index k = 0; k < found.size(); ++k) {
        const Measured& e = expected[static_cast<std::size_t>(k)];
        const Real unit = std::numeric_limits<T>::epsilon() * (e.size + before) + 1e-30L;
        const Real error = std::fabs(static_cast<Real>(found[k]) - before - e.value) / unit;
        worst = error >= 0 ? std::max(worst, error) : 1e9L;
    }
    INFO(name << ": " << static_cast<double>(worst) << " eps");
    REQUIRE(worst <= 16);
}

template <class T>
void check_attention(Case<T> c) {
    INFO("n " << c.shape.n << " queries " << c.shape.queries << " keys " << c.shape.keys << " heads " << c.shape.heads
              << " dim " << c.shape.dim << " causal " << c.shape.causal << " gap " << c.gap);
    const Expected e = expect(c);
    c.forward();
    require_close("y", c.y, e.y);
    require_close("log sums", c.log_sums, e.log_sums);
    Tensor<T> dq = Tensor<T>::zeros(c.q.shape()), dk = Tensor<T>::zeros(c.k.shape()), dv = dk.clone();
    c.backward({.q = c.into(dq), .k = c.into(dk), .v = c.into(dv)});
    require_close("dq", dq, e.dq);
    require_close("dk", dk, e.dk);
    require_close("dv", dv, e.dv);
    dq.fill(T(3)), dk.fill(T(3)), dv.fill(T(3));
    c.backward({.q = c.into(dq),
                .k = c.into(dk),
                .v = c.into(dv),
                .q_mode = Accumulate::add,
                .k_mode = Accumulate::add,
                .v_mode = Accumulate::add});
    require_close("dq added", dq, e.dq, 3);
    require_close("dk added", dk, e.dk, 3);
    require_close("dv added", dv, e.dv, 3);
}

template <class T>
void check_random(int cases, std::uint64_t seed) {
    Rng rng(seed);
    for (int k = 0; k < cases; ++k) {
        AttentionShape shape{
            1 + rng.below(3), 1 + rng.below(k % 4 == 0 ? 150 : 40), 1 + rng.below(k % 5 == 0 ? 200 : 70),
            1 + rng.below(3), 1 + rng.below(k % 7 == 0 ? 160 : 24), k % 3 == 1};
        if (k % 6 == 1) shape.keys = shape.queries;
        check_attention(Case<T>(shape, k % 2 == 0 ? 0 : rng.below(20), rng));
    }
}

bool same(const Tensor<float>& a, const Tensor<float>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](float x, float y) { return std::bit_cast<int>(x) == std::bit_cast<int>(y); });
}

}  // namespace

TEST_CASE("attention and its gradients agree with the definition on random shapes") {
    check_random<float>(70, 1);
    check_random<double>(50, 2);
}

TEST_CASE("attention agrees with the definition beyond one chunk of keys") {
    Rng rng(3);
    check_attention(Case<float>({1, 70, 1100, 1, 8, false}, 0, rng));
    check_attention(Case<float>({1, 1090, 1090, 1, 4, true}, 0, rng));
}

TEST_CASE("attention copes with large scores") {
    Rng rng(4);
    Case<float> c({1, 40, 150, 1, 8, false}, 0, rng);
    for (float& number : c.q) number *= 300;
    check_attention(c);
}

TEST_CASE("attention has the same bits for any number of threads, and for a sample alone") {
    Rng rng(5);
    for (const AttentionShape& shape :
         {AttentionShape{8, 49, 49, 4, 32, false}, AttentionShape{2, 300, 1200, 2, 20, false},
          AttentionShape{3, 300, 500, 2, 40, false, true}}) {
        Case<float> c(shape, 0, rng);
        const auto run = [&](int threads, Index samples) {
            const Threads scope(threads);
            c.shape.n = samples;
            c.y.fill(0);
            c.forward();
            Tensor<float> dq = Tensor<float>::zeros(c.q.shape()), dk = Tensor<float>::zeros(c.k.shape()),
                          dv = dk.clone();
            c.backward({.q = c.into(dq), .k = c.into(dk), .v = c.into(dv)});
            return std::vector<Tensor<float>>{c.y.clone(), dq, dk, dv};
        };
        const auto expected = run(1, shape.n);
        for (const int threads : {2, 3, 7}) {
            const auto found = run(threads, shape.n);
            for (std::size_t k = 0; k < 4; ++k) REQUIRE(same(found[k], expected[k]));
        }
        const auto alone = run(2, 1);
        for (std::size_t k = 0; k < 4; ++k) REQUIRE(same(alone[k].slice(0, 1), expected[k].slice(0, 1)));
    }
}

// The products are exact in the operands that were rounded; what is left is the rounding of the shares to bf16.
TEST_CASE("attention in AMX's order is attention in bf16, by tiles and by vectors alike") {
    if (!kernels::amx::available()) WARN("there is no AMX here, or not in this build: vectors stand for it");
    Rng rng(6);
    for (int round = 0; round < 40; ++round) {
        AttentionShape shape{1 + rng.below(2), 1 + rng.below(90),  1 + rng.below(200),
                             1 + rng.below(3), 1 + rng.below(100), round % 3 == 1};
        if (round % 6 == 1) shape.keys = shape.queries;
        Case<float> c(shape, round % 2 == 0 ? 0 : rng.below(20), rng);
        c.scale =
            0.25f * 0.693147181f;  // 1/4 where shares are powers of two: rounds nothing, wherever it is multiplied
        for (Tensor<float>* operand : {&c.q, &c.k, &c.v})
            for (float& number : *operand) number = to_float(to_bf16(number));
        c.forward();
        const Tensor<float> y = c.y.clone(), log_sums = c.log_sums.clone();
        c.shape.tiles = true;
        c.forward();
        INFO("queries " << shape.queries << ", keys " << shape.keys << ", dim " << shape.dim);
        float widest = 0;
        for (const float number : c.v) widest = std::max(widest, std::abs(number));
        for (Index i = 0; i < y.size(); ++i) REQUIRE(std::abs(c.y[i] - y[i]) <= widest / 256);
        for (Index i = 0; i < log_sums.size(); ++i) REQUIRE(std::abs(c.log_sums[i] - log_sums[i]) <= 1e-5f * 30);
        Tensor<float> by_vectors = Tensor<float>::zeros(y.shape());
        using namespace kernels::detail;
        const AttentionOperands<float> operands{c.shape, c.scale, c.of(c.q), c.of(c.k), c.of(c.v), c.into(by_vectors),
                                                nullptr};
        for (Index head = 0; head < shape.n * shape.heads; ++head) {
            const QueryBlock<float> block{operands, Head<float>(c.shape, head), 0, shape.queries};
            TileProducts products(block, false);
            attend(block, products);
        }
        REQUIRE(same(by_vectors, c.y));
    }
}

}  // namespace attention_test
