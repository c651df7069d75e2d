// Frozen models: the same bits in float, nearly the same numbers in bf16, and clear refusals.
#include "genmod/nn/freeze.hpp"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/context.hpp"
#include "genmod/core/error.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/nn/conv2d.hpp"
#include "genmod/nn/embedding.hpp"
#include "genmod/nn/resblock.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/nn/transformer.hpp"
#include "genmod/ops/shape.hpp"

#include "tests/support/catch.hpp"

namespace freeze_test {

using namespace genmod;

namespace {

// A convolution, a residual block with time, a transformer block and a convolution to few channels.
template <class T>
struct Net : nn::Module {
    nn::Conv2d<T> first;
    nn::ResBlock<T> block;
    nn::TransformerBlock<T> transformer;
    nn::Conv2d<T> last;
    nn::Embedding<T> labels;

    explicit Net(Rng& rng)
        : first(3, 32, rng, {.padding = 1}),
          block({.in = 32, .out = 48, .time = 24, .groups = 8}, rng),
          transformer({.width = 48, .context = 24, .heads = 3, .head_dim = 16}, rng),
          last(48, 3, rng, {.padding = 1}),
          labels(5, 24, rng) {}

    Var<T> operator()(const Var<T>& x) const {
        const Var<T> time = labels(Tensor<Index>::from({2}, {1, 4}));
        const Var<T> h = block(first(x), time);
        const Var<T> tokens = ops::reshape(h, {h.dim(0), h.dim(1) * h.dim(2), h.dim(3)});
        const Var<T> context = ops::reshape(time, {2, 1, 24});
        return last(ops::reshape(transformer(tokens, context), h.shape()));
    }

    static void visit(auto& self, auto&& f) {
        f("first", self.first);
        f("block", self.block);
        f("transformer", self.transformer);
        f("last", self.last);
        f("labels", self.labels);
    }
};

template <class T>
Net<T> make() {
    Rng rng(1);
    return Net<T>(rng);
}

template <class T>
Tensor<T> input() {
    Rng rng(2);
    return rng.normals<T>({2, 9, 12, 3});
}

template <class T>
Tensor<T> run(const Net<T>& net) {
    const NoGrad off;
    return net(input<T>()).value();
}

template <class T>
bool equal(const Tensor<T>& a, const Tensor<T>& b) {
    return a.shape() == b.shape() &&
           std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

double difference(const Tensor<float>& a, const Tensor<float>& b) {
    double squares = 0, power = 0;
    for (Index k = 0; k < a.size(); ++k) {
        squares += std::pow(static_cast<double>(a[k]) - static_cast<double>(b[k]), 2);
        power += std::pow(static_cast<double>(b[k]), 2);
    }
    return std::sqrt(squares / power);
}

}  // namespace

TEMPLATE_TEST_CASE("a frozen model gives the same bits", "", float, double) {
    Net<TestType> net = make<TestType>();
    const Tensor<TestType> before = run(net);
    nn::freeze(net);
    REQUIRE(equal(run(net), before));
    nn::freeze(net);
    REQUIRE(equal(run(net), before));
}

TEST_CASE("a model in bf16 gives nearly the same numbers") {
    for (const Precision precision : {Precision::bf16, Precision::bf16_tiles}) {
        Net<float> net = make<float>();
        const Tensor<float> before = run(net);
        nn::freeze(net, precision);
        const double error = difference(run(net), before);
        CHECK(error < 0.02);
        CHECK(error > 1e-5);
    }
}

TEST_CASE("numbers that layers hand on in bf16 where no gradients are recorded change no bit") {
    Net<float> net = make<float>();
    nn::freeze(net, Precision::bf16_tiles);
    REQUIRE(equal(run(net), net(input<float>()).value()));  // where gradients are recorded
}

TEST_CASE("what is frozen, and what is not") {
    Net<float> net = make<float>();
    nn::freeze(net);
    CHECK(net.first.weight.packed() != nullptr);
    CHECK(net.transformer.ff.proj.weight.packed() != nullptr);
    CHECK(net.last.weight.packed() == nullptr);
    CHECK(net.labels.weight.packed() == nullptr);
    CHECK(net.first.weight.shape() == Shape{32, 3, 3, 3});
    CHECK(net.first.weight.size() == 864);
    CHECK(!net.first.weight.empty());
    CHECK(!net.first.weight.requires_grad());
}

TEST_CASE("nobody reads or writes the numbers of a frozen weight") {
    Net<float> net = make<float>();
    nn::freeze(net);
    REQUIRE_THROWS_WITH(net.first.weight.value(), ContainsSubstring("frozen weight of shape [32, 3, 3, 3]"));
    REQUIRE_THROWS_AS(net.first.weight.data(), Error);
    const Net<float> other = make<float>();
    REQUIRE_THROWS_AS(nn::copy(other, net), Error);
}

TEST_CASE("a frozen model is saved with the numbers it has") {
    const auto path = std::filesystem::temp_directory_path() / "genmod_freeze_test.safetensors";
    Net<float> net = make<float>();
    const Tensor<float> before = run(net);
    for (const Precision precision : {Precision::full, Precision::bf16, Precision::bf16_tiles}) {
        nn::freeze(net, precision);
        nn::save(net, path.string());
        Net<float> loaded = make<float>();
        loaded.first.weight.value().fill(0);
        nn::load(loaded, path.string());
        if (precision == Precision::full) CHECK(equal(run(loaded), before));
        const float one = loaded.first.weight.value()[5];
        CHECK((to_float(to_bf16(one)) == one) == (precision != Precision::full));
        REQUIRE_THROWS_AS(nn::load(net, path.string()), Error);
    }
    std::filesystem::remove(path);
}

TEST_CASE("gradients flow through a frozen model to its input") {
    Net<float> net = make<float>();
    const auto gradient = [&] {
        auto x = Var<float>::parameter(input<float>());
        backward(net(x), Tensor<float>::full({2, 9, 12, 3}, 1));
        return x.grad();
    };
    const Tensor<float> before = gradient();
    nn::freeze(net);
    REQUIRE(equal(gradient(), before));
}

TEST_CASE("a clone of a frozen model shares its weights, and threads may share a model") {
    Net<float> net = make<float>();
    nn::freeze(net, Precision::bf16);
    const Net<float> copy = nn::clone(net);
    CHECK(copy.first.weight.packed() == net.first.weight.packed());
    const Tensor<float> expected = run(net);
    std::vector<Tensor<float>> found(3);
    std::vector<std::thread> threads;
    for (Tensor<float>& result : found) threads.emplace_back([&] { result = run(copy); });
    for (std::thread& thread : threads) thread.join();
    for (const Tensor<float>& result : found) CHECK(equal(result, expected));
}

TEST_CASE("bf16 is for models in float") {
    Net<double> net = make<double>();
    const Tensor<double> before = run(net);
    REQUIRE_THROWS_AS(nn::freeze(net, Precision::bf16), Error);
    REQUIRE(equal(run(net), before));
}

}  // namespace freeze_test
