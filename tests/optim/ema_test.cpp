#include "genmod/optim/ema.hpp"

#include "genmod/autograd/var.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "tests/support/catch.hpp"

namespace ema_test {

using namespace genmod;

namespace {

struct Net : nn::Module {
    Var<float> weight;
    Var<float> constant;      // a Var that is not trained
    Tensor<float> statistic;  // only saved
    explicit Net(float value)
        : weight(Var<float>::parameter(Tensor<float>::full({40}, value))),
          constant(Tensor<float>::full({2}, value)),
          statistic(Tensor<float>::full({3}, value)) {}
    void set(float value) {
        weight.value().fill(value);
        constant.value().fill(value);
        statistic.fill(value);
    }
    static void visit(auto& self, auto&& f) {
        f("weight", self.weight);
        f("constant", self.constant);
        f("statistic", self.statistic);
    }
};

}  // namespace

TEST_CASE("the decays are those of diffusers' EMAModel") {
    REQUIRE(optim::ema_decay(1, {}) == 0);
    REQUIRE(optim::ema_decay(2, {}) == Approx(2.0 / 11));
    REQUIRE(optim::ema_decay(11, {}) == Approx(0.55));
    REQUIRE(optim::ema_decay(101, {}) == Approx(101.0 / 110));
    REQUIRE(optim::ema_decay(10'000'000, {}) == 0.9999);
    REQUIRE(optim::ema_decay(2, {.warmup = true}) == Approx(0.370039).epsilon(1e-5));
    REQUIRE(optim::ema_decay(11, {.warmup = true}) == Approx(0.797820).epsilon(1e-5));
    REQUIRE(optim::ema_decay(101, {.warmup = true}) == Approx(0.953891).epsilon(1e-5));
    REQUIRE(optim::ema_decay(5, {.update_after = 4}) == 0);
    REQUIRE(optim::ema_decay(6, {.update_after = 4}) == Approx(2.0 / 11));
    REQUIRE(optim::ema_decay(2, {.min_decay = 0.5}) == 0.5);
    REQUIRE(optim::ema_decay(50, {.decay = 0.3}) == 0.3);
}

TEST_CASE("the average follows the weights, and copies what is not trained") {
    Net net(1);
    optim::Ema ema(net, {.decay = 0.9, .min_decay = 0.9});
    net.set(2);
    REQUIRE(ema.model().weight.value()[0] == 1);  // a copy of its own
    ema.update(net);                              // the first update only copies
    REQUIRE(ema.model().weight.value()[39] == 2);
    net.set(3);
    ema.update(net);
    for (const float value : ema.model().weight.value()) REQUIRE(value == Approx(2.1));
    REQUIRE(ema.model().constant.value()[1] == 3);
    REQUIRE(ema.model().statistic[2] == 3);
    REQUIRE(ema.updates() == 2);
}

TEST_CASE("an average that is saved and loaded continues with the same bits") {
    Net net(1);
    optim::Ema ema(net);
    const auto advance = [&net](auto& average, int from, int to) {
        for (int k = from; k < to; ++k) {
            net.set(static_cast<float>(k) * 0.37f);
            average.update(net);
        }
    };
    advance(ema, 0, 5);
    io::Checkpoint written;
    nn::put_state(ema, written, "ema.");
    io::Checkpoint read(io::Safetensors(written.to_bytes(), "memory"));
    optim::Ema again(net);
    nn::get_state(again, read, "ema.");
    read.finish();
    advance(ema, 5, 9);
    advance(again, 5, 9);
    REQUIRE(again.updates() == 9);
    REQUIRE(std::equal(ema.model().weight.value().begin(), ema.model().weight.value().end(),
                       again.model().weight.value().begin()));
}

TEST_CASE("impossible decays are errors") {
    const Net net(1);
    REQUIRE_THROWS_AS(optim::Ema(net, {.decay = 1.5}), Error);
    REQUIRE_THROWS_AS(optim::Ema(net, {.min_decay = -0.1}), Error);
}

}  // namespace ema_test
