// Tensors, gradients and modules in one page: fits a curve by gradient descent and checks a gradient.
#include <cmath>
#include <cstdio>

#include "examples/support/run.hpp"
#include "genmod/genmod.hpp"

using namespace genmod;

namespace {

void tensors() {
    // A tensor is a shape and a shared buffer: copies share, clone() does not.
    Tensor<float> a = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
    const Tensor<float> row = a.slice(1, 2);  // shares the memory of a
    const Tensor<float> long_row = a.reshape({6});
    a[3] = 40;  // in memory order
    std::printf("a has shape %s; its second row begins with %g, as does a[3] = %g\n", to_string(a.shape()).c_str(),
                static_cast<double>(row[0]), static_cast<double>(long_row[3]));
    try {
        a.reshape({4, 2});
    } catch (const Error& error) {  // every mistake is an exception with one clear line
        std::printf("caught: %s\n", error.what());
    }
}

void gradients() {
    // A Var remembers how it was made. d/dw of mean((x w - y)^2) by backward():
    const Var<float> x(Tensor<float>::from({3, 1}, {1, 2, 3}));
    const Var<float> y(Tensor<float>::from({3, 1}, {2, 4, 6}));
    Var<float> w = Var<float>::parameter(Tensor<float>::from({1, 1}, {0.5f}));
    for (int step = 0; step < 20; ++step) {
        const Var<float> loss = ops::mse_loss(ops::linear(x, w, {}), y);
        backward(loss);
        w.value()[0] -= 0.1f * w.grad()[0];
        w.zero_grad();
    }
    std::printf("gradient descent found w = %.4f (2 is right)\n", static_cast<double>(w.item()));

    // Any function of Vars can be checked against differences, in double precision.
    Rng rng(1);
    const GradCheck result =
        check_grad([](const std::vector<Var<double>>& in) { return ops::tanh(ops::linear(in[0], in[1], in[2])); },
                   {rng.normals<double>({4, 3}), rng.normals<double>({2, 3}), rng.normals<double>({2})});
    std::printf("largest error of the gradient of tanh(x W + b): %.1e\n", result.error);
}

void network() {
    // A module is a struct of Vars; an optimiser takes all of them by their names.
    Rng rng(2);
    nn::Mlp<float> net(1, 1, rng, {.hidden = {64, 64}});
    optim::Adam<float> adam(net, {.lr = 3e-3});
    const Tensor<float> x = rng.uniforms<float>({256, 1}, -3, 3);
    Tensor<float> y(x.shape());
    for (Index k = 0; k < x.size(); ++k) y[k] = std::sin(2 * x[k]);
    double loss = 0;
    for (int step = 0; step < 1500; ++step) {
        const Var<float> error = ops::mse_loss(net(Var<float>(x)), Var<float>(y));
        loss = static_cast<double>(error.item());
        backward(error);
        adam.step();
    }
    std::printf("a network of %lld weights learnt sin(2x) to a mean squared error of %.5f\n",
                static_cast<long long>(nn::count(net)), loss);
    nn::for_each_leaf(net, [](const std::string& key, const auto& leaf) {
        std::printf("  %s %s\n", key.c_str(), to_string(leaf.shape()).c_str());
    });
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Tensors, gradients and modules in one page.", "explore_tensors");
    return examples::run(app, argc, argv, [] {
        tensors();
        gradients();
        network();
        std::printf("next: diffuse_points, a diffusion model of points in the plane\n");
    });
}
