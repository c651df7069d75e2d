// Adam, AdamW and SGD against torch's own trajectories (tests/reference/make_optim_goldens.py).
#include <cmath>
#include <string>

#include "genmod/autograd/grad.hpp"
#include "genmod/io/checkpoint.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/nn/module.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/optim/adam.hpp"
#include "genmod/optim/sgd.hpp"
#include "tests/support/catch.hpp"

namespace adam_test {

using namespace genmod;

namespace {

template <class T>
struct OneWeight : nn::Module {
    Var<T> weight;
    explicit OneWeight(const Tensor<T>& start) : weight(Var<T>::parameter(start.clone())) {}
    static void visit(auto& self, auto&& f) { f("weight", self.weight); }
};

const io::Safetensors& golden() {
    static const io::Safetensors file(GENMOD_GOLDEN_DIR "/optim.safetensors");
    return file;
}

// The largest distance between the weights of our trajectory and of torch's.
template <class T, class Make>
double distance(const std::string& name, Make make) {
    OneWeight<T> model(golden().read<T>("start"));
    auto optimiser = make(model);
    const auto grads = golden().read<T>("grads");
    const auto expected = golden().read<double>(name + "/weights");
    double largest = 0;
    for (Index step = 0; step < grads.dim(0); ++step) {
        if (name != "skip" || step % 3 != 2) model.weight.grad() = grads.slice(step, step + 1).clone();
        optimiser.step();
        REQUIRE(model.weight.grad().empty());
        for (Index k = 0; k < model.weight.size(); ++k) {
            const double found = static_cast<double>(model.weight.value()[k]);
            largest = std::max(largest, std::fabs(found - expected[step * expected.dim(1) + k]));
        }
    }
    return largest;
}

template <class Make>
void require_trajectory(const std::string& name, Make make) {
    INFO(name);
    REQUIRE(distance<double>(name, make) < 1e-14);
    REQUIRE(distance<float>(name, make) < 2e-6);
}

template <class Model>
auto adam(const Model& model, optim::AdamOptions options) {
    return optim::Adam<typename decltype(model.weight)::value_type>(model, options);
}
template <class Model>
auto sgd(const Model& model, optim::SgdOptions options) {
    return optim::Sgd<typename decltype(model.weight)::value_type>(model, options);
}

}  // namespace

TEST_CASE("Adam and AdamW walk as torch's do") {
    require_trajectory("adam", [](auto& model) { return adam(model, {.lr = 0.01}); });
    require_trajectory("adam_decay", [](auto& model) {
        return adam(model, {.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1});
    });
    require_trajectory("adamw",
                       [](auto& model) { return adam(model, {.lr = 0.01, .weight_decay = 0.1, .decoupled = true}); });
    require_trajectory("skip", [](auto& model) { return adam(model, {.lr = 0.01}); });
}

TEST_CASE("SGD walks as torch's does") {
    require_trajectory("sgd", [](auto& model) { return sgd(model, {.lr = 0.05}); });
    require_trajectory("sgd_decay", [](auto& model) { return sgd(model, {.lr = 0.05, .weight_decay = 0.1}); });
    require_trajectory("sgd_momentum",
                       [](auto& model) { return sgd(model, {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1}); });
    require_trajectory("sgd_nesterov",
                       [](auto& model) { return sgd(model, {.lr = 0.05, .momentum = 0.9, .nesterov = true}); });
}

namespace {

// Runs `steps` steps, saving and rebuilding everything after step `cut`.
template <class Make>
Tensor<float> interrupted(Make make, Index steps, Index cut) {
    auto model = std::make_unique<OneWeight<float>>(golden().read<float>("start"));
    auto optimiser = std::make_unique<decltype(make(*model))>(make(*model));
    const auto grads = golden().read<float>("grads");
    for (Index step = 0; step < steps; ++step) {
        model->weight.grad() = grads.slice(step, step + 1).clone();
        optimiser->step();
        if (step != cut) continue;
        io::Checkpoint written;
        nn::put_state(*model, written, "model.");
        nn::put_state(*optimiser, written, "optimiser.");
        io::Checkpoint read(io::Safetensors(written.to_bytes(), "memory"));
        model = std::make_unique<OneWeight<float>>(Tensor<float>::zeros({37}));
        optimiser = std::make_unique<decltype(make(*model))>(make(*model));
        nn::get_state(*model, read, "model.");
        nn::get_state(*optimiser, read, "optimiser.");
        read.finish();
    }
    return model->weight.value();
}

bool equal_bits(const Tensor<float>& a, const Tensor<float>& b) {
    return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace

TEST_CASE("an optimiser that is saved and loaded continues with the same bits") {
    const auto make_adam = [](auto& model) { return adam(model, {.lr = 0.01}); };
    REQUIRE(equal_bits(interrupted(make_adam, 8, 3), interrupted(make_adam, 8, 99)));
    REQUIRE_FALSE(equal_bits(interrupted(make_adam, 8, 3), interrupted(make_adam, 7, 3)));
    const auto make_sgd = [](auto& model) { return sgd(model, {.lr = 0.01, .momentum = 0.9}); };
    REQUIRE(equal_bits(interrupted(make_sgd, 8, 3), interrupted(make_sgd, 8, 99)));
    REQUIRE(equal_bits(interrupted(make_sgd, 8, 0), interrupted(make_sgd, 8, 99)));
}

TEST_CASE("the learning rate may change between steps") {
    OneWeight<double> model(Tensor<double>::full({1}, 1.0));
    optim::Sgd<double> plain(model, {.lr = 0.5});
    for (const double lr : {0.5, 0.25}) {
        plain.options.lr = lr;
        model.weight.grad() = Tensor<double>::full({1}, 1.0);
        plain.step();
    }
    REQUIRE(model.weight.value()[0] == 0.25);
}

TEST_CASE("gradients of several backward calls add up before a step") {
    OneWeight<double> model(Tensor<double>::full({2}, 1.0));
    for (int part = 0; part < 4; ++part) backward(model.weight, Tensor<double>::full({2}, 0.25 * (part + 1)));
    REQUIRE(model.weight.grad()[0] == 2.5);
    optim::Sgd<double> plain(model, {.lr = 0.1});
    plain.step();
    REQUIRE(model.weight.value()[1] == Approx(0.75));
}

TEST_CASE("impossible options are errors") {
    const OneWeight<float> model(Tensor<float>::zeros({2}));
    REQUIRE_THROWS_AS(adam(model, {.lr = -1}), Error);
    REQUIRE_THROWS_AS(adam(model, {.beta1 = 1}), Error);
    REQUIRE_THROWS_AS(adam(model, {.lr = std::nan("")}), Error);
    REQUIRE_THROWS_AS(sgd(model, {.nesterov = true}), Error);
}

}  // namespace adam_test
