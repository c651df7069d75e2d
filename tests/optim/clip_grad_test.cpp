#include "genmod/optim/clip_grad.hpp"

#include <cmath>
#include <limits>

#include "genmod/autograd/var.hpp"
#include "genmod/io/safetensors.hpp"
#include "genmod/nn/module.hpp"
#include "tests/support/catch.hpp"

namespace clip_grad_test {

using namespace genmod;

namespace {

struct TwoWeights : nn::Module {
    Var<double> first, second;
    TwoWeights()
        : first(Var<double>::parameter(Tensor<double>::zeros({20}))),
          second(Var<double>::parameter(Tensor<double>::zeros({17}))) {}
    static void visit(auto& self, auto&& f) {
        f("first", self.first);
        f("second", self.second);
    }
};

}  // namespace

TEST_CASE("clipping scales all gradients as torch's clip_grad_norm_") {
    const io::Safetensors golden(GENMOD_GOLDEN_DIR "/optim.safetensors");
    const auto grads = golden.read<double>("grads").reshape({-1}), clipped = golden.read<double>("clip/grads");
    TwoWeights model;
    model.first.grad() = grads.slice(0, 20).clone();
    model.second.grad() = grads.slice(20, 37).clone();
    REQUIRE(optim::clip_grad_norm(model, 1.5) == Approx(golden.read<double>("clip/norm").item()).epsilon(1e-14));
    for (Index k = 0; k < 37; ++k) {
        const double found = k < 20 ? model.first.grad()[k] : model.second.grad()[k - 20];
        REQUIRE(found == Approx(clipped[k]).epsilon(1e-14));
    }
}

TEST_CASE("clipping leaves small gradients alone, bit for bit") {
    TwoWeights model;
    model.first.grad() = Tensor<double>::full({20}, 0.1);
    const double norm = optim::clip_grad_norm(model, 10);
    REQUIRE(norm == Approx(std::sqrt(0.2)));
    REQUIRE(model.first.grad()[3] == 0.1);
    REQUIRE(model.second.grad().empty());
}

TEST_CASE("a gradient that two parameters share is scaled once") {
    TwoWeights model;
    const auto shared = Tensor<double>::full({20}, 1.0);
    model.first.grad() = shared;
    model.second.grad() = shared.slice(0, 17);
    const double norm = optim::clip_grad_norm(model, 1.0);
    REQUIRE(norm == Approx(std::sqrt(37.0)));
    REQUIRE(model.first.grad()[0] == Approx(1 / norm).epsilon(1e-5));
    REQUIRE(model.second.grad()[0] == Approx(1 / norm).epsilon(1e-5));
    REQUIRE(shared[0] == 1.0);
}

TEST_CASE("a gradient that is not finite is an error that names the parameter") {
    for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
        TwoWeights model;
        model.first.grad() = Tensor<double>::full({20}, 1.0);
        model.second.grad() = Tensor<double>::full({17}, 1.0);
        model.second.grad()[16] = bad;
        try {
            optim::clip_grad_norm(model, 1.0);
            FAIL("no error");
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::non_finite);
            REQUIRE(std::string(error.what()).find("second") != std::string::npos);
        }
        REQUIRE(model.first.grad()[0] == 1.0);
    }
}

}  // namespace clip_grad_test
