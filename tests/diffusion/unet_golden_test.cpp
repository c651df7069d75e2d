// The U-Net against diffusers' UNet2DModel: configuration, weights by name, forward, all gradients, 20 steps of
// training.
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "genmod/autograd/grad.hpp"
#include "genmod/core/rng.hpp"
#include "genmod/diffusion/forward_process.hpp"
#include "genmod/diffusion/schedule.hpp"
#include "genmod/diffusion/unet.hpp"
#include "genmod/diffusion/unet_config.hpp"
#include "genmod/io/json.hpp"
#include "genmod/nn/state.hpp"
#include "genmod/ops/loss.hpp"
#include "genmod/optim/adam.hpp"
#include "tests/support/golden_module.hpp"

namespace unet_golden_test {

using namespace genmod;
using genmod::test::Golden;

namespace {

const std::string cases[] = {"unconditional", "class_conditional", "scale_shift",   "scale_shift_attention_norm",
                             "three_levels",  "without_attention", "other_options", "without_middle"};

// The promise is 1e-4 of the largest output and 1e-3 of the largest gradient; both are kept tenfold.
template <class T>
constexpr double forward_tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-7;
template <class T>
constexpr double gradient_tolerance = std::is_same_v<T, float> ? 1e-4 : 1e-7;

std::string weights_of(const std::string& name) {
    return Golden::path("unet/" + name + "/diffusion_pytorch_model.safetensors");
}

// The network of a config.json, with the weights that diffusers saved beside it: none missing, none left over.
template <class T>
diffusion::Unet<T> loaded(const std::string& name) {
    const auto file = diffusion::read_unet_config(io::Config::load(Golden::path("unet/" + name + "/config.json")));
    REQUIRE(file.ignored.empty());
    Rng rng(1);
    diffusion::Unet<T> net(file.config, rng);
    REQUIRE(nn::load(net, weights_of(name)).complete());
    return net;
}

template <class T>
void check_pass(const std::string& name, bool checkpointing) {
    INFO(name);
    const Golden golden("unet/" + name + "/pass.safetensors");
    auto net = loaded<T>(name);
    net.checkpointing = checkpointing;
    const auto x = Var<T>::parameter(golden.read<T>("x"));
    const auto labels = golden.has("labels") ? golden.indices("labels") : std::vector<Index>{};
    const Var<T> y = net(x, golden.raw<T>("t"), labels);
    golden.require_close("y", y.value(), forward_tolerance<T>);
    test::check_gradients<T>(golden, "", net, y, {"x"}, {x}, gradient_tolerance<T>);
}

}  // namespace

TEMPLATE_TEST_CASE("the U-Net agrees with diffusers, forward and backward", "", float, double) {
    for (const std::string& name : cases) check_pass<TestType>(name, false);
}

TEST_CASE("the U-Net with gradient checkpointing agrees with diffusers") {
    for (const std::string& name : cases) check_pass<float>(name, true);
}

TEST_CASE("a U-Net's file is diffusers' own: the same names, shapes and numbers") {
    for (const std::string& name : cases) {
        const auto net = loaded<float>(name);
        const std::string path = "unet_" + name + ".safetensors";  // see tests/reference/check_unet_in_diffusers.py
        nn::save(net, path);
        const io::Safetensors ours(path), theirs(weights_of(name));
        REQUIRE(ours.names() == theirs.names());
        for (const std::string& key : ours.names()) {
            INFO(name << ": " << key);
            const auto a = ours.read<float>(key), b = theirs.read<float>(key);
            REQUIRE(a.shape() == b.shape());
            REQUIRE(std::vector<float>(a.begin(), a.end()) == std::vector<float>(b.begin(), b.end()));
        }
    }
}

TEMPLATE_TEST_CASE("20 steps of training follow PyTorch's", "", float, double) {
    using T = TestType;
    const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-7;
    const Golden golden("unet/curve.safetensors");
    const auto data = golden.raw<T>("data"), noise = golden.raw<T>("noise");
    const auto t = golden.indices("t");
    const auto losses = golden.raw<double>("losses");
    const diffusion::Schedule schedule;
    auto net = loaded<T>("unconditional");
    optim::Adam<T> adam(net, {.lr = 2e-3});
    const Index batch = data.dim(1);
    const Shape picture{batch, data.dim(2), data.dim(3), data.dim(4)};
    for (Index k = 0; k < data.dim(0); ++k) {
        const auto x0 = test::channels_last(data.slice(k, k + 1).reshape(picture));
        const auto eps = test::channels_last(noise.slice(k, k + 1).reshape(picture));
        const std::vector<Index> steps(t.begin() + k * batch, t.begin() + (k + 1) * batch);
        Tensor<T> times({batch});
        for (Index i = 0; i < batch; ++i) times[i] = static_cast<T>(steps[static_cast<std::size_t>(i)]);
        const Var<T> loss = ops::mse_loss(net(diffusion::add_noise(schedule, x0, eps, steps), times), Var<T>(eps));
        INFO("step " << k << ": loss " << loss.item() << ", expected " << losses[k]);
        REQUIRE(std::abs(static_cast<double>(loss.item()) - losses[k]) <= tolerance * losses[k]);
        backward(loss);
        adam.step();
    }
    nn::for_each_leaf(net, [&](const std::string& key, const Var<T>& leaf) {
        if (golden.has("final/" + key)) golden.require_close("final/" + key, leaf.value(), tolerance);
    });
}

}  // namespace unet_golden_test
